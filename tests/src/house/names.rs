//! Where certain names may be written.
//!
//! In: literals and paths of the sources. Out: reserved header names outside their home, constructors of facts outside their room.

use crate::house::crates::stale;
use crate::house::plan::{Fact, Plan};
use crate::house::{Finding, House};

/// The names of reserved headers are written once; everybody else imports them. Tests write them out, for a test that imports the name that it
/// tests would follow any mistake in it.
#[must_use]
pub fn reserved_headers(house: &House, plan: &Plan) -> Vec<Finding> {
    let elsewhere = house.sources.iter().filter(|source| !plan.reserved_header_homes.iter().any(|home| source.path.starts_with(home)));
    let mut findings = Vec::new();
    for source in elsewhere {
        for literal in source.literals.iter().filter(|literal| !literal.in_test) {
            if literal.text.to_ascii_lowercase().contains(plan.reserved_header) {
                let what = format!("{:?} spells a reserved header name", literal.text);
                findings.push(source.finding(literal.line, "reserved header", what, "import it from contract::headers".to_owned()));
            }
        }
    }
    findings
}

/// The constructor of a fact is named in the room that proves it, and nowhere else.
#[must_use]
pub fn constructors(house: &House, plan: &Plan) -> Vec<Finding> {
    plan.facts.iter().flat_map(|fact| constructor(house, fact)).collect()
}

fn constructor(house: &House, fact: &Fact) -> Vec<Finding> {
    let Fact { home, name, constructor, room } = fact;
    let mut findings = Vec::new();
    if !house.sources.iter().any(|source| source.path == *home && source.structs.iter().any(|defined| defined == name)) {
        findings.push(stale(format!("the plan names a fact \"{name}\" that {home} does not define")));
    }
    // The crate of the room is the only one that can see the constructor, and other crates may have a type of that name.
    let krate = home.split("/src/").next().unwrap_or_default();
    let in_crate = house.sources.iter().filter(|source| source.path.strip_prefix(krate).is_some_and(|rest| rest.starts_with('/')));
    for source in in_crate {
        let in_room = source.path.strip_prefix(room).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
        for reference in &source.references {
            if reference.alias.is_some() && reference.parts.last().is_some_and(|last| last == name) {
                let what = format!("the fact \"{name}\" gets another name");
                findings.push(source.finding(
                    reference.line,
                    "fact",
                    what,
                    "call it by its own, so that its maker can be found".to_owned(),
                ));
            }
            let makes = reference.parts.ends_with(&[(*name).to_owned(), (*constructor).to_owned()]);
            if makes && !in_room {
                let what = format!("\"{name}::{constructor}\" is named outside {room}, the room that proves it");
                findings.push(source.finding(reference.line, "fact", what, "let the corridor pass the fact on".to_owned()));
            }
        }
    }
    findings
}
