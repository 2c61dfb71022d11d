//! Why a command of gwctl could not be done.
//!
//! In: what happened and what the operator may do about it. Out: one line for the terminal. Never: a secret.

use std::fmt::Display;
use std::path::Path;

/// A failed command: what happened, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Fault {
    what: String,
    remedy: String,
}

impl Fault {
    /// A fault in two parts, without punctuation at their ends.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// A file or folder that could not be read or written.
    #[must_use]
    pub fn file(path: &Path, why: &dyn Display) -> Self {
        Self::new(format!("{}: {why}", path.display()), "see that the folder exists and may be written, or choose another with --dir")
    }

    /// Something that only fails when the machine is out of a resource (memory, randomness, descriptors).
    #[must_use]
    pub fn machine(doing: &str, why: &dyn Display) -> Self {
        Self::new(format!("{doing}: {why}"), "free resources of this machine and try again")
    }
}
