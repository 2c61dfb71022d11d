//! The section `records` as meant, and how its places are opened.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::Kind;

/// All sinks.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordsPlan {
    /// In the order of the configuration; no two have the same place.
    pub sinks: Vec<SinkPlan>,
}

/// One sink.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkPlan {
    /// Where its records go.
    pub to: Target,
    /// The kinds that it takes.
    pub kinds: Vec<Kind>,
    /// What is lost when it cannot keep up.
    pub when_full: WhenFull,
    /// The longest time that a record waits in a worker's buffer.
    pub flush: Duration,
    /// How many bytes may wait for the writer.
    pub queue_bytes_max: usize,
}

/// What is lost when records are made faster than a sink takes them. Every loss is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// What has just been made: the begin of an incident stays readable.
    #[default]
    DropNewest,
    /// What has waited longest: the present stays readable.
    DropOldest,
}

/// Where the records of a sink go. Displayed as the configuration names it.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The process's standard output.
    Stdout,
    /// A file.
    File {
        /// Where it lies.
        path: PathBuf,
        /// As it is written in the configuration.
        written: String,
    },
}

impl Target {
    /// Whether both would write to one place, as far as their names tell.
    pub(super) fn is_place_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdout, Self::Stdout) => true,
            (Self::File { path: one, .. }, Self::File { path: two, .. }) => one == two,
            _ => false,
        }
    }

    /// Opens the place for appending. A new file is readable for its owner and group alone, for records hold personal data.
    pub(super) fn open(&self) -> io::Result<File> {
        match self {
            // A descriptor of its own: std's handle would look for newlines in every line once more.
            Self::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Self::File { path, .. } => OpenOptions::new().append(true).create(true).mode(0o640).open(path),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File { written, .. } => f.write_str(written),
        }
    }
}
