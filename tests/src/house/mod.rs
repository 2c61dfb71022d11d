//! The rules of the house, held by a test: which crate and which room may know which, what files may be called, where things may be written.
//!
//! In: a [`House`], read from disk or made up by a test of these rules. Out: [`Finding`]s, each with place, rule, what is wrong and the remedy.
//! Never: fixes anything, or reads anything but the house that it is given.

pub mod crates;
pub mod files;
pub mod graph;
pub mod manifests;
pub mod names;
pub mod plan;
pub mod read;
pub mod references;
pub mod rooms;
pub mod source;

mod linked;

use std::fmt;

use crate::house::plan::Plan;
use crate::house::source::Source;

/// Everything that the rules look at. Paths are relative to the workspace, with `/`.
#[derive(Clone, Debug, Default)]
pub struct House {
    /// The workspace's own packages.
    pub packages: Vec<Package>,
    /// Every package of the resolved graph; the indices in it are indices of this list.
    pub graph: Vec<Resolved>,
    /// The members' manifests.
    pub manifests: Vec<Manifest>,
    /// Every `.rs` file.
    pub sources: Vec<Source>,
    /// What lies at the top level, without dot-files and `target`.
    pub top_level: Vec<String>,
}

/// A package of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name, `security-gw`.
    pub name: String,
    /// Its folder, `shared/wire`.
    pub folder: String,
    /// What its manifest names, of every kind and for every platform.
    pub dependencies: Vec<Dependency>,
}

/// A dependency that a manifest names.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// It is for tests alone.
    pub dev: bool,
}

/// A package of the resolved graph.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The package's name.
    pub name: String,
    /// It is one of the workspace's own.
    pub own: bool,
    /// What it links, as indices of the graph.
    pub links: Vec<usize>,
}

/// A member's `Cargo.toml`.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its path, `shared/wire/Cargo.toml`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule, in two words.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, what, remedy } = self;
        write!(f, "{path}:{line}: {rule}: {what}; {remedy}")
    }
}

/// All breaches of all rules, in the order of the files.
#[must_use]
pub fn inspect(house: &House, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(crates::edges(house, plan));
    findings.extend(crates::purity(house, plan));
    findings.extend(crates::admission(house, plan));
    findings.extend(graph::bans(house, plan));
    findings.extend(manifests::versions(house));
    findings.extend(rooms::edges(house, plan));
    findings.extend(files::headings(house));
    findings.extend(files::names(house, plan));
    findings.extend(files::top_level(house, plan));
    findings.extend(names::reserved_headers(house, plan));
    findings.extend(names::constructors(house, plan));
    findings.sort();
    findings.dedup();
    findings
}

/// The line of a manifest that speaks of a dependency; the first line where none does.
pub(crate) fn line_of(manifests: &[Manifest], path: &str, dependency: &str) -> usize {
    let speaks = |line: &str| {
        let line = line.trim_start();
        let entry = line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
        entry || (line.starts_with('[') && line.trim_end().ends_with(&format!("dependencies.{dependency}]")))
    };
    let manifest = manifests.iter().find(|manifest| manifest.path == path);
    manifest.and_then(|manifest| manifest.text.lines().position(speaks)).map_or(1, |index| index + 1)
}
