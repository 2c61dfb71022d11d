//! How files begin, what they are called, and what lies at the top level.
//!
//! In: paths and first lines. Out: files without a heading, names that say nothing, strangers at the top level.

use crate::house::plan::Plan;
use crate::house::{Finding, House};

/// Every file begins with `//!`: what comes in, what goes out, what it refuses, what it never does.
#[must_use]
pub fn headings(house: &House) -> Vec<Finding> {
    let bare = house.sources.iter().filter(|source| !source.has_heading);
    let remedy = "say what comes in, what goes out, what it refuses, what it never does";
    bare.map(|source| source.finding(1, "heading", "the file does not begin with \"//!\"".to_owned(), remedy.to_owned())).collect()
}

/// No file or folder has a name under which anything could be put.
#[must_use]
pub fn names(house: &House, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &house.sources {
        for part in source.path.split('/') {
            let name = part.strip_suffix(".rs").unwrap_or(part);
            if plan.banned_names.contains(&name) {
                let what = format!("\"{name}\" says nothing about what is in it");
                findings.push(source.finding(1, "file name", what, "name it after the one thing that it holds".to_owned()));
            }
        }
    }
    findings
}

/// The top level is fixed.
#[must_use]
pub fn top_level(house: &House, plan: &Plan) -> Vec<Finding> {
    let stranger = |name: &&String| !plan.top_level.contains(&name.as_str());
    let finding = |path: &str, what: &str, remedy: &str| Finding {
        path: path.to_owned(),
        line: 1,
        rule: "top level",
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    let strangers = house.top_level.iter().filter(stranger).map(|name| {
        finding(
            name,
            "this does not belong at the top level",
            "tool configuration goes into dot-files, the rest into one of the folders there",
        )
    });
    let missing = plan.top_level.iter().filter(|name| !house.top_level.iter().any(|present| present == *name));
    strangers.chain(missing.map(|name| finding(name, "this is missing at the top level", "put it back"))).collect()
}
