//! A document as a tree in which every node knows its place.
//!
//! In: what `yaml` read. Out: nodes by number, by key path, with line and column. Never: loses a node: one that cannot be used is marked as
//! gone, so that its siblings keep their numbers and a later complaint about it can stay silent.

use std::cell::{Cell, RefCell};

/// A place in a file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Clone)]
pub(crate) struct Node {
    /// The number of the node in its tree, in reading order.
    pub(crate) id: u32,
    pub(crate) mark: Mark,
    pub(crate) shape: Shape,
    /// A complaint about this node, or about a required part of it, has been made; nobody reads it any more.
    pub(crate) gone: Cell<bool>,
    /// serde read this node into a buffer of its own, and faults in there come without a place.
    pub(crate) buffered: Cell<bool>,
    /// serde read this node as the name of a variant.
    pub(crate) names_variant: Cell<bool>,
    /// Required keys that this mapping lacks and that were complained about.
    pub(crate) stand_ins: RefCell<Vec<&'static str>>,
}

#[derive(Clone)]
pub(crate) enum Shape {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes: `5` may be a number and `~` nothing.
    pub(crate) plain: bool,
    /// A variable gave (a part of) the text: then even a quoted `"${PORT}"` may be a number, and no complaint repeats the text.
    pub(crate) from_env: bool,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
    /// For an unknown key: the known one that was probably meant, and is therefore not "missing".
    pub(crate) meant: RefCell<Option<&'static str>>,
}

/// A node found by its number or its path, with the path in the document as written.
pub(crate) struct Found<'t> {
    pub(crate) node: &'t Node,
    /// The key that leads to the node, where one does.
    pub(crate) entry: Option<&'t Entry>,
    pub(crate) path: String,
}

impl Node {
    pub(crate) fn new(mark: Mark, shape: Shape) -> Self {
        Self {
            id: 0,
            mark,
            shape,
            gone: Cell::new(false),
            buffered: Cell::new(false),
            names_variant: Cell::new(false),
            stand_ins: RefCell::default(),
        }
    }

    /// Gives every node its number, in reading order.
    pub(crate) fn number(&mut self, next: &mut u32) {
        self.id = *next;
        *next = next.saturating_add(1);
        match &mut self.shape {
            Shape::Scalar(_) => {}
            Shape::Sequence(nodes) => nodes.iter_mut().for_each(|node| node.number(next)),
            Shape::Mapping(entries) => entries.iter_mut().for_each(|entry| entry.value.number(next)),
        }
    }

    /// The nodes directly below this one, in reading order, gone ones among them.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.shape {
            Shape::Scalar(_) => Vec::new(),
            Shape::Sequence(nodes) => nodes.iter().collect(),
            Shape::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
        }
    }

    /// Whether something below this node has been taken out.
    pub(crate) fn has_losses(&self) -> bool {
        self.children().into_iter().any(|child| child.gone.get() || child.has_losses())
    }

    /// The mapping, this one or (inside a buffered one) below it, that lacks `field` only because a complaint has taken it out, or because its
    /// key is misspelt.
    pub(crate) fn loser_of(&self, field: &str) -> Option<&Node> {
        let lost = |entry: &Entry| entry.value.gone.get() && (entry.key == field || *entry.meant.borrow() == Some(field));
        match &self.shape {
            _ if self.gone.get() => None,
            Shape::Mapping(entries) if entries.iter().any(lost) && !self.has_live(field) => Some(self),
            _ if self.buffered.get() => self.children().into_iter().find_map(|child| child.loser_below(field)),
            _ => None,
        }
    }

    fn loser_below(&self, field: &str) -> Option<&Node> {
        self.loser_of(field).or_else(|| self.live_children().into_iter().find_map(|child| child.loser_below(field)))
    }

    /// Whether this is a mapping that has `key` and may be read by it.
    fn has_live(&self, key: &str) -> bool {
        matches!(&self.shape, Shape::Mapping(entries) if entries.iter().any(|entry| entry.key == key && !entry.value.gone.get()))
    }

    fn live_children(&self) -> Vec<&Node> {
        self.children().into_iter().filter(|child| !child.gone.get()).collect()
    }

    /// Takes out every mapping in which something stands in for a missing key; whether there was one.
    pub(crate) fn drop_stand_ins(&self) -> bool {
        let here = !self.stand_ins.take().is_empty();
        if here {
            self.gone.set(true);
        }
        self.children().into_iter().fold(here, |any, child| child.drop_stand_ins() || any)
    }

    /// The node with this number and how it is reached.
    pub(crate) fn find(&self, id: u32) -> Option<Found<'_>> {
        let mut found = Found { node: self, entry: None, path: String::new() };
        while found.node.id != id {
            // Numbers are in reading order, so the way leads through the last child that does not come after the number.
            match &found.node.shape {
                Shape::Scalar(_) => return None,
                Shape::Sequence(nodes) => {
                    let (index, node) = nodes.iter().enumerate().rfind(|(_, node)| node.id <= id)?;
                    found = Found { node, entry: None, path: join_index(&found.path, index) };
                }
                Shape::Mapping(entries) => {
                    let entry = entries.iter().rfind(|entry| entry.value.id <= id)?;
                    found = Found { node: &entry.value, entry: Some(entry), path: join_key(&found.path, &entry.key) };
                }
            }
        }
        Some(found)
    }

    /// The node at a path such as `routes[2].service`, whose indices count only what was not taken out; where the path leads out of the
    /// document, the last node on it. The second value says whether the whole path exists.
    pub(crate) fn resolve(&self, path: &str) -> (Found<'_>, bool) {
        let mut found = Found { node: self, entry: None, path: String::new() };
        let mut rest = path;
        while !rest.is_empty() {
            let step = match &found.node.shape {
                Shape::Scalar(_) => None,
                Shape::Sequence(nodes) => step_index(nodes, rest, &found.path),
                Shape::Mapping(entries) => step_key(entries, rest.strip_prefix('.').unwrap_or(rest), &found.path),
            };
            let Some((next, left)) = step else {
                found.path = if rest.starts_with('[') {
                    format!("{}{rest}", found.path)
                } else {
                    join_key(&found.path, rest.trim_start_matches('.'))
                };
                return (found, false);
            };
            (found, rest) = (next, left);
        }
        (found, true)
    }
}

fn step_index<'t, 'p>(nodes: &'t [Node], rest: &'p str, path: &str) -> Option<(Found<'t>, &'p str)> {
    let (number, left) = rest.strip_prefix('[')?.split_once(']')?;
    let wanted: usize = number.parse().ok()?;
    let (index, node) = nodes.iter().enumerate().filter(|(_, node)| !node.gone.get()).nth(wanted)?;
    Some((Found { node, entry: None, path: join_index(path, index) }, left))
}

/// Keys may hold dots themselves (`hosts.api.example.org`): the longest key that fits is the one that is meant.
fn step_key<'t, 'p>(entries: &'t [Entry], rest: &'p str, path: &str) -> Option<(Found<'t>, &'p str)> {
    let fits = |entry: &&Entry| rest.strip_prefix(entry.key.as_str()).is_some_and(|left| left.is_empty() || left.starts_with(['.', '[']));
    // A duplicate key has a gone twin; the one that was read counts.
    let entry = entries.iter().filter(fits).max_by_key(|entry| (entry.key.len(), !entry.value.gone.get()))?;
    Some((Found { node: &entry.value, entry: Some(entry), path: join_key(path, &entry.key) }, rest.get(entry.key.len()..)?))
}

pub(crate) fn join_key(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(crate) fn join_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
