//! The place of a fault inside a node that serde buffered.
//!
//! In: the tree, the buffered node, the fault. Out: the part of the node that the fault is about. serde reads an internally tagged enum into a
//! buffer first, and what fails in there has lost its place. Some causes name what they are about; for the others the document is read again
//! without parts of the node: the last part whose absence changes the fault is the one. Never: changes the tree for good.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::fault::{Cause, Fault};
use crate::tree::{Node, Shape};
use crate::walk::{At, Notes};

/// The node inside `buffered` that `fault` is about, and whether its key is.
pub(crate) fn search<'t, C: DeserializeOwned>(tree: &Node, buffered: &'t Node, fault: &Fault) -> (&'t Node, bool) {
    if let Cause::UnknownKey { key, .. } = &fault.cause {
        return by_key(buffered, key).map_or((buffered, false), |node| (node, true));
    }
    let mut hidden = Vec::new();
    let mut node = buffered;
    loop {
        let part = match &fault.cause {
            Cause::Missing(_) => lacking_part::<C>(tree, node, fault, &mut hidden),
            _ => guilty_part::<C>(tree, node, fault, &mut hidden),
        };
        let Some(part) = part else { break };
        node = part;
    }
    for part in hidden {
        part.gone.set(false);
    }
    (node, false)
}

fn by_key<'t>(node: &'t Node, key: &str) -> Option<&'t Node> {
    if let Shape::Mapping(entries) = &node.shape
        && let Some(entry) = entries.iter().find(|entry| entry.key == key && !entry.value.gone.get())
    {
        return Some(&entry.value);
    }
    node.children().into_iter().filter(|child| !child.gone.get()).find_map(|child| by_key(child, key))
}

/// The part of `node` that is at fault, if one is. The parts behind it stay `hidden`, lest one with the same fault confuses the search below.
fn guilty_part<'t, C: DeserializeOwned>(tree: &Node, node: &'t Node, fault: &Fault, hidden: &mut Vec<&'t Node>) -> Option<&'t Node> {
    // The name of the variant is not a part: without it everything is different.
    let parts: Vec<&Node> = node.children().into_iter().filter(|part| !part.gone.get() && !part.names_variant.get()).collect();
    let hide_from = |first: usize| parts.iter().enumerate().for_each(|(index, part)| part.gone.set(index >= first));
    let still_faulty_with = |kept: usize| {
        hide_from(kept);
        matches!(trial::<C>(tree), Some(again) if again.at == fault.at && again.cause == fault.cause)
    };
    if still_faulty_with(0) {
        hide_from(parts.len());
        return None;
    }
    // Parts are read in order, so the fault stays the same as long as the guilty one is among those kept: that can be halved.
    let (mut too_few, mut enough) = (0, parts.len());
    while enough > too_few + 1 {
        let middle = usize::midpoint(too_few, enough);
        if still_faulty_with(middle) { enough = middle } else { too_few = middle }
    }
    hide_from(enough);
    hidden.extend(parts.iter().skip(enough));
    parts.get(too_few).copied()
}

/// The mapping below `node` that lacks the key, if it is not `node` itself. Hiding a part may make *it* the missing key, so only what no type
/// can miss is hidden: the elements of a list, and a mapping without which nothing is missing.
fn lacking_part<'t, C: DeserializeOwned>(tree: &Node, node: &'t Node, fault: &Fault, hidden: &mut Vec<&'t Node>) -> Option<&'t Node> {
    node.children().into_iter().filter(|part| !part.gone.get()).find_map(|part| match &part.shape {
        Shape::Scalar(_) => None,
        Shape::Sequence(_) => guilty_part::<C>(tree, part, fault, hidden),
        Shape::Mapping(_) => {
            part.gone.set(true);
            let again = trial::<C>(tree);
            part.gone.set(false);
            let lacks = again.is_none_or(|again| again.at != fault.at || !matches!(again.cause, Cause::Missing(_)));
            lacks.then_some(part)
        }
    })
}

/// Reads the document once more; the fault, if it fails.
fn trial<C: DeserializeOwned>(tree: &Node) -> Option<Fault> {
    let notes = Notes { trial: true, ..Notes::default() };
    At { node: tree, notes: &notes }.read(PhantomData::<C>).err()
}
