//! Which crate may know which.
//!
//! In: the packages and the plan. Out: forbidden edges, a pure crate that is no longer pure, shared crates that are not shared.

use crate::house::plan::Plan;
use crate::house::{Finding, House, Package, line_of};

/// Every edge between crates of ours is in the plan, and every crate of ours too.
#[must_use]
pub fn edges(house: &House, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &house.packages {
        let Some((_, allowed)) = plan.crates.iter().find(|(name, _)| *name == package.name) else {
            let what = format!("the crate \"{}\" is not in the plan", package.name);
            findings.push(finding(house, package, "", "crate edge", what, "add it to house::plan with the crates that it may know"));
            continue;
        };
        let own = |name: &str| plan.crates.iter().any(|(known, _)| *known == name) || house.packages.iter().any(|known| known.name == name);
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if own(name) && !allowed.contains(&name) {
                let what = format!("\"{}\" may not know \"{name}\"", package.name);
                let remedy = match allowed.as_slice() {
                    [] => "it knows no crate of ours: move what it needs into it, or its need to whoever knows both".to_owned(),
                    allowed => format!("it may know {}: move what is needed down, or the need up", allowed.join(", ")),
                };
                findings.push(finding(house, package, name, "crate edge", what, &remedy));
            }
        }
    }
    for (name, _) in &plan.crates {
        if !house.packages.iter().any(|package| package.name == *name) {
            findings.push(stale(format!("the plan names a crate \"{name}\" that is not there")));
        }
    }
    findings
}

/// The pure crate depends on nothing that could do I/O or read a clock.
#[must_use]
pub fn purity(house: &House, plan: &Plan) -> Vec<Finding> {
    let (pure, allowed) = &plan.pure;
    let packages = house.packages.iter().filter(|package| package.name == *pure);
    let breaches = packages.flat_map(|package| {
        let outside = package.dependencies.iter().filter(|dependency| !dependency.dev && !allowed.contains(&dependency.name.as_str()));
        outside.map(|dependency| {
            let what = format!("\"{pure}\" is pure and may not depend on \"{}\"", dependency.name);
            let remedy = format!("it may depend on {}; do the rest in a crate that calls it", allowed.join(", "));
            finding(house, package, &dependency.name, "purity", what, &remedy)
        })
    });
    breaches.collect()
}

/// A shared crate is used in the code of both tiers, or of another shared crate.
#[must_use]
pub fn admission(house: &House, plan: &Plan) -> Vec<Finding> {
    let shared: Vec<&Package> = house.packages.iter().filter(|package| package.folder.starts_with("shared/")).collect();
    let mut findings = Vec::new();
    for package in &shared {
        let used_by = |user: &Package| user.name != package.name && uses(house, user, &package.name);
        let by_tiers = plan
            .tiers
            .iter()
            .filter(|tier| house.packages.iter().any(|user| tier.sources.starts_with(&format!("{}/", user.folder)) && used_by(user)))
            .count();
        let by_shared = shared.iter().any(|user| used_by(user));
        if by_tiers < plan.tiers.len() && !by_shared && !plan.exempt_from_admission.contains(&package.name.as_str()) {
            let what = format!(
                "\"{}\" lies in shared/ but is used by {by_tiers} of {} tiers and by no shared crate",
                package.name,
                plan.tiers.len()
            );
            findings.push(finding(house, package, "", "admission", what, "move it into the tier that uses it"));
        }
    }
    findings
}

fn uses(house: &House, user: &Package, name: &str) -> bool {
    let folder = format!("{}/src/", user.folder);
    let ident = name.replace('-', "_");
    let sources = house.sources.iter().filter(|source| source.path.starts_with(&folder));
    sources.flat_map(|source| &source.references).any(|reference| reference.parts.len() > 1 && reference.parts.first() == Some(&ident))
}

fn finding(house: &House, package: &Package, dependency: &str, rule: &'static str, what: String, remedy: &str) -> Finding {
    let path = format!("{}/Cargo.toml", package.folder);
    let line = if dependency.is_empty() { 1 } else { line_of(&house.manifests, &path, dependency) };
    Finding { path, line, rule, what, remedy: remedy.to_owned() }
}

/// A line of the plan that speaks of something that is gone.
pub(crate) fn stale(what: String) -> Finding {
    Finding { path: "tests/src/house/plan.rs".to_owned(), line: 1, rule: "plan", what, remedy: "take it out of the plan".to_owned() }
}
