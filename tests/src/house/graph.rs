//! What may not be linked, however far down.
//!
//! In: the resolved graph (not Cargo.lock, which also lists what no feature switches on). Out: banned packages with the way that leads to them.

use std::collections::VecDeque;

use crate::house::plan::Plan;
use crate::house::{Finding, House, line_of};

/// No banned package is reachable from a package of ours by normal, build or test edges.
#[must_use]
pub fn bans(house: &House, plan: &Plan) -> Vec<Finding> {
    let ways = ways(house);
    let mut findings = Vec::new();
    for (index, resolved) in house.graph.iter().enumerate() {
        let Some((_, why)) = plan.banned_packages.iter().find(|(name, _)| *name == resolved.name) else { continue };
        let Some(way) = way_to(house, &ways, index) else { continue };
        let package = way.first().and_then(|first| house.packages.iter().find(|package| package.name == *first));
        let path = package.map_or_else(|| "Cargo.toml".to_owned(), |package| format!("{}/Cargo.toml", package.folder));
        let line = way.get(1).map_or(1, |dependency| line_of(&house.manifests, &path, dependency));
        let what = format!("\"{}\" is banned and comes in by {}", resolved.name, way.join(" -> "));
        let remedy = format!("{why}: switch off the feature that brings it, or replace \"{}\"", way.get(1).copied().unwrap_or_default());
        findings.push(Finding { path, line, rule: "ban", what, remedy });
    }
    findings
}

/// For each package that is reachable, the one that the shortest way to it comes from (itself for our own).
fn ways(house: &House) -> Vec<Option<usize>> {
    let mut from: Vec<Option<usize>> = house.graph.iter().enumerate().map(|(index, resolved)| resolved.own.then_some(index)).collect();
    let mut open: VecDeque<usize> = from.iter().flatten().copied().collect();
    while let Some(index) = open.pop_front() {
        for link in house.graph.get(index).map(|resolved| resolved.links.as_slice()).unwrap_or_default() {
            if let Some(slot) = from.get_mut(*link)
                && slot.is_none()
            {
                *slot = Some(index);
                open.push_back(*link);
            }
        }
    }
    from
}

fn way_to<'h>(house: &'h House, ways: &[Option<usize>], target: usize) -> Option<Vec<&'h str>> {
    let mut way = Vec::new();
    let mut index = target;
    loop {
        way.push(house.graph.get(index)?.name.as_str());
        let before = (*ways.get(index)?)?;
        if before == index {
            way.reverse();
            return Some(way);
        }
        index = before;
    }
}
