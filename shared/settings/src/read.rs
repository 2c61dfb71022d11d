//! Reading a configuration file with every complaint at once.
//!
//! In: text, an environment, and the type to read. Out: the value as far as it can be read, and a report. Each fault takes out the node where it
//! lies (or, if that leaves something required missing, the node above it, silently) and reading starts over, until it succeeds or nothing
//! is left. So the value may lack what was complained about: go on to check the rest, and then ask the report whether it is clean.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::fault::{Cause, Fault};
use crate::files::DOCUMENT_BYTES_MAX;
use crate::interpolate::{Env, interpolate};
use crate::names::nearest;
use crate::report::Report;
use crate::search::search;
use crate::tree::{Mark, Node, Shape, join_key};
use crate::walk::{At, Notes};
use crate::words::sentence;
use crate::yaml::{self, Snag};

const TOP: Mark = Mark { line: 1, column: 1 };

/// Reads `text` as a `C`. `file` is the name for the complaints; `env` gives the variables for `${NAME}`.
///
/// `None` when nothing could be read. A value is usable only if the report stays clean after the caller's own checks.
pub fn read<C: DeserializeOwned>(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Option<C> {
    read_by(file, text, Some(env), report)
}

/// As [`read`], of a drop-in: who writes one may not ask for the variables of the process, so that each is a complaint.
pub fn read_drop_in<C: DeserializeOwned>(file: &str, text: &str, report: &mut Report) -> Option<C> {
    read_by(file, text, None, report)
}

fn read_by<C: DeserializeOwned>(file: &str, text: &str, env: Env<'_>, report: &mut Report) -> Option<C> {
    report.open(file);
    let tree = grow(text, env, report)?;
    let value = harvest::<C>(&tree, report);
    report.keep(tree);
    value
}

/// From text to a tree whose texts are final.
fn grow(text: &str, env: Env<'_>, report: &mut Report) -> Option<Node> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let what = format!("the document is larger than {DOCUMENT_BYTES_MAX} bytes");
        report.add(TOP, String::new(), what, "make it smaller".to_owned());
        return None;
    }
    let mut add = |snag: Snag| report.add(snag.mark, snag.path, snag.what, snag.remedy);
    let (tree, snags) = yaml::parse(text).map_err(&mut add).ok()?;
    snags.into_iter().for_each(&mut add);
    let Some(mut tree) = tree else {
        report.add(
            TOP,
            String::new(),
            "the document is empty".to_owned(),
            "write a configuration; the command `schema` shows its keys".to_owned(),
        );
        return None;
    };
    interpolate(&mut tree, env, report);
    Some(tree)
}

/// From the tree to the value, complaint by complaint.
fn harvest<C: DeserializeOwned>(tree: &Node, report: &mut Report) -> Option<C> {
    loop {
        if tree.gone.get() || report.is_full() {
            return None;
        }
        let notes = Notes::default();
        let outcome = At { node: tree, notes: &notes }.read(PhantomData::<C>);
        for (id, cause) in notes.unknown_keys.into_inner() {
            complain(tree, id, true, &cause, report);
        }
        match outcome {
            Ok(value) if !tree.drop_stand_ins() => return Some(value),
            Ok(_) => {}
            Err(fault) => settle::<C>(tree, &fault, report)?,
        }
    }
}

/// Complains about the fault, unless it only follows from an earlier one, and takes out the node where it lies.
fn settle<C: DeserializeOwned>(tree: &Node, fault: &Fault, report: &mut Report) -> Option<()> {
    let node = tree.find(fault.at.unwrap_or(tree.id))?.node;
    if let Some(loser) = follows(node, &fault.cause) {
        loser.gone.set(true);
        return Some(());
    }
    let (culprit, on_key) = if node.buffered.get() && !fault.on_key { search::<C>(tree, node, fault) } else { (node, fault.on_key) };
    complain(tree, culprit.id, on_key, &fault.cause, report);
    match &fault.cause {
        // The mapping is read on with something in that place, to hear what else it lacks.
        Cause::Missing(field) if !culprit.buffered.get() && culprit.id == node.id && !culprit.stand_ins.borrow().contains(field) => {
            culprit.stand_ins.borrow_mut().push(field);
        }
        _ => culprit.gone.set(true),
    }
    Some(())
}

/// The node to take out silently, where the fault at `node` follows from what was complained about before.
fn follows<'t>(node: &'t Node, cause: &Cause) -> Option<&'t Node> {
    let silent = match cause {
        Cause::Missing(field) => return node.loser_of(field),
        // The values that stand in for missing keys fit nowhere, and nobody wrote them.
        _ if !node.stand_ins.borrow().is_empty() => true,
        Cause::Length { .. } => node.has_losses(),
        Cause::Message(_) => !node.buffered.get() && node.has_losses(),
        _ => false,
    };
    silent.then_some(node)
}

fn complain(tree: &Node, id: u32, on_key: bool, cause: &Cause, report: &mut Report) {
    let Some(found) = tree.find(id) else { return };
    let (mut what, remedy) = sentence(cause);
    if matches!(&found.node.shape, Shape::Scalar(scalar) if scalar.from_env && !on_key) {
        // What comes from the environment may be a secret in the wrong place.
        "the value from the environment does not fit".clone_into(&mut what);
    }
    let mark = found.entry.filter(|_| on_key).map_or(found.node.mark, |entry| entry.mark);
    let path = match cause {
        Cause::Missing(field) => join_key(&found.path, field),
        _ => found.path,
    };
    if let (Cause::UnknownKey { key, known }, Some(entry)) = (cause, found.entry) {
        *entry.meant.borrow_mut() = nearest(key, known.iter().copied());
    }
    report.add(mark, path, what, remedy);
}
