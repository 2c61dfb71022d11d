//! Every complaint about one file, each with its place, its key, what is wrong and what to do.
//!
//! In: complaints of the reader, and of the checks that follow it. Out: all of them in the order of the file. Refuses: to complain twice about
//! one thing: what depends on a value that was already complained about stays silent. Never: shows a value of the environment.

use std::fmt;

use crate::mask::Mask;
use crate::names::nearest;
use crate::tree::{Found, Mark, Node, Shape};
use crate::words::{names, quote};

/// The most complaints that are kept; after them somebody mends before anybody reads on.
pub const COMPLAINTS_MAX: usize = 100;

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, as it was named to the reader.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// The path of keys, like `routes[2].service`; empty where the whole file is meant. Indices count as the file is written, from 0.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, what, remedy } = self;
        let gap = if key.is_empty() { "" } else { " " };
        write!(f, "{file}:{line}:{column}{gap}{key}: {what}; {remedy}")
    }
}

/// The complaints about one file, and the memory of where each key stood.
#[derive(Default)]
pub struct Report {
    file: String,
    complaints: Vec<Complaint>,
    tree: Option<Node>,
    mask: Mask,
}

// The tree holds every value of the file, and some are secrets.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("file", &self.file).field("complaints", &self.complaints).finish_non_exhaustive()
    }
}

impl Report {
    /// A report without complaints.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Complains about the value at `key`: keys joined by `.`, indices as `[n]` in the lists *as deserialized* (`routes[2].service`). Where the
    /// key is not in the file, the nearest thing above it gives the place. Silent where the value was already complained about.
    pub fn complain(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let place = match self.place(key) {
            None => (Mark { line: 1, column: 1 }, key.to_owned()),
            Some((found, _)) if found.node.gone.get() => return,
            Some((found, _)) => (found.node.mark, found.path),
        };
        self.add(place.0, place.1, what.into(), remedy.into());
    }

    /// Complains that something is absent from `key` (an empty list, no rule for a host…). Silent where something at or below `key` was
    /// taken out by another complaint, for then nobody knows whether it is absent.
    pub fn complain_of_absence(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        if !self.has_losses(key) {
            self.complain(key, what, remedy);
        }
    }

    /// Complains that `key` names a `kind` (`"service"`) that is not among the `known` ones. Silent where the mapping or list `home`
    /// (`"services"`) holds something of that name which was itself complained about.
    pub fn unknown_name<'a>(&mut self, key: &str, kind: &str, name: &str, home: &str, known: impl Iterator<Item = &'a str> + Clone) {
        if self.has_lost(home, name) {
            return;
        }
        let what = format!("no {kind} is named {}", quote(name));
        let remedy = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => match names(known) {
                none if none.is_empty() => format!("add it to \"{home}\""),
                all => format!("name one of \"{home}\": {all}"),
            },
        };
        self.complain(key, what, remedy);
    }

    /// Whether something at or below `key` was taken out by a complaint, so that what was read is not all that was written.
    #[must_use]
    pub fn has_losses(&self, key: &str) -> bool {
        self.place(key).is_some_and(|(found, _)| found.node.gone.get() || found.node.has_losses())
    }

    /// No complaint was made.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty()
    }

    /// The complaints in the order of the file.
    #[must_use]
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// One complaint a line, for the operator.
    #[must_use]
    pub fn print(&self) -> String {
        self.complaints.iter().map(|complaint| format!("{complaint}\n")).collect()
    }

    /// Starts a report on another file; its complaints join those made before.
    pub(crate) fn open(&mut self, file: &str) {
        file.clone_into(&mut self.file);
        self.tree = None;
        self.mask = Mask::default();
    }

    /// The values that no complaint about this file shows.
    pub(crate) fn mask(&mut self) -> &mut Mask {
        &mut self.mask
    }

    /// Keeps the tree for the places of later complaints.
    pub(crate) fn keep(&mut self, tree: Node) {
        self.tree = Some(tree);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.complaints.len() >= COMPLAINTS_MAX
    }

    pub(crate) fn add(&mut self, mark: Mark, key: String, what: String, remedy: String) {
        // What comes from the environment may be a secret in the wrong place, whoever quotes it.
        let what = self.mask.over(what).unwrap_or_else(|| "the value from the environment does not fit".to_owned());
        let remedy = self.mask.over(remedy).unwrap_or_else(|| "set the variable to what fits here".to_owned());
        let complaint = Complaint { file: self.file.clone(), line: mark.line, column: mark.column, key, what, remedy };
        // What lies behind an alias is read once for each place that names it, but it is one mistake.
        let same = |other: &Complaint| {
            (&other.file, other.line, other.column, &other.what) == (&complaint.file, complaint.line, complaint.column, &complaint.what)
        };
        if self.is_full() || self.complaints.iter().any(same) {
            return;
        }
        let place = |complaint: &Complaint| (complaint.line, complaint.column);
        // Files of earlier reports stay in front; within a file the place decides, and among equals the order of complaining.
        let start = self.complaints.iter().position(|other| other.file == complaint.file).unwrap_or(self.complaints.len());
        let after = self.complaints.iter().skip(start).take_while(|other| place(other) <= place(&complaint)).count();
        self.complaints.insert(start + after, complaint);
    }

    fn place(&self, key: &str) -> Option<(Found<'_>, bool)> {
        self.tree.as_ref().map(|tree| tree.resolve(key))
    }

    fn has_lost(&self, home: &str, name: &str) -> bool {
        let Some((found, true)) = self.place(home) else { return false };
        found.node.gone.get()
            || match &found.node.shape {
                Shape::Scalar(_) => false,
                Shape::Mapping(entries) => entries.iter().any(|entry| entry.key == name && entry.value.gone.get()),
                Shape::Sequence(nodes) => nodes.iter().any(|node| node.gone.get() && is_named(node, name)),
            }
    }
}

/// Lists of things that carry their own `name:`.
fn is_named(node: &Node, wanted: &str) -> bool {
    let Shape::Mapping(entries) = &node.shape else { return false };
    entries.iter().any(|entry| entry.key == "name" && matches!(&entry.value.shape, Shape::Scalar(scalar) if scalar.text == wanted))
}
