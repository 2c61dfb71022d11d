//! Rooms never know each other.
//!
//! In: the sources of a tier and its three lists. Out: imports and paths from a room to another room or to an assembler, from a common module
//! to anything but a common one, and modules that are in no list.

use std::collections::BTreeSet;

use crate::house::crates::stale;
use crate::house::plan::{Plan, Tier};
use crate::house::source::{Reference, Source};
use crate::house::{Finding, House};

/// Every edge between modules of a tier is allowed by its lists.
#[must_use]
pub fn edges(house: &House, plan: &Plan) -> Vec<Finding> {
    plan.tiers.iter().flat_map(|tier| tier_edges(house, tier)).collect()
}

fn tier_edges(house: &House, tier: &Tier) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for source in &house.sources {
        let Some(module) = module_of(source, tier) else { continue };
        seen.insert(module);
        if tier.assemblers.contains(&module) {
            continue;
        }
        if !tier.rooms.contains(&module) && !tier.common.contains(&module) {
            let what = format!("the module \"{module}\" is neither a room nor common nor an assembler");
            findings.push(source.finding(1, "room edge", what, "add it to one list of its tier in house::plan".to_owned()));
            continue;
        }
        findings.extend(source.references.iter().filter_map(|reference| edge(source, tier, module, reference)));
    }
    let listed = tier.rooms.iter().chain(&tier.common).chain(&tier.assemblers);
    let gone = listed.filter(|module| !seen.contains(*module));
    findings.extend(gone.map(|module| stale(format!("the plan of {} names a module \"{module}\" that is not there", tier.sources))));
    findings
}

/// The module at the root of the tier that the file belongs to.
fn module_of<'s>(source: &'s Source, tier: &Tier) -> Option<&'s str> {
    let inside = source.path.strip_prefix(tier.sources)?.strip_prefix('/')?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn edge(source: &Source, tier: &Tier, module: &str, reference: &Reference) -> Option<Finding> {
    let mut parts = reference.parts.iter().map(String::as_str);
    if parts.next() != Some("crate") {
        return None;
    }
    let target = parts.next()?;
    if target == module || tier.common.contains(&target) {
        return None;
    }
    let is_room = tier.rooms.contains(&module);
    let kind = if is_room { "room" } else { "common module" };
    let (what, remedy) = if tier.rooms.contains(&target) {
        let remedy = if is_room {
            "take the fact it needs as an argument from the corridor"
        } else {
            "what is common knows no room: turn the edge round"
        };
        (format!("the {kind} \"{module}\" knows the room \"{target}\""), remedy)
    } else if tier.assemblers.contains(&target) {
        (format!("the {kind} \"{module}\" knows \"{target}\", which puts the rooms together"), "let it be handed what it needs")
    } else {
        (format!("the {kind} \"{module}\" knows \"{target}\", which is in no list"), "import from the module where the thing lives")
    };
    Some(source.finding(reference.line, "room edge", what, format!("{remedy}; it may know {}", tier.common.join(", "))))
}
