//! How the instances of a service are found.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the instances of a service are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverPlan {
    /// They are these.
    Static(Vec<Entry>),
    /// All addresses of a name, at one port.
    Dns {
        /// The name; with a final dot where it is a whole name, to which no search domain is added.
        name: String,
        /// The port.
        port: u16,
    },
    /// The SRV records of a name (RFC 2782).
    Srv {
        /// The name, `_service._proto.domain`.
        name: String,
    },
    /// Those that a file lists, which is read again when it has changed.
    File {
        /// Its path.
        path: PathBuf,
        /// The folder that it must lie in whenever it is read, through all links: that of those who may write it.
        within: Option<PathBuf>,
    },
    /// One Unix socket on this host.
    Unix(PathBuf),
}

impl DiscoverPlan {
    /// The same where a file must lie in `folder` whenever it is read.
    #[must_use]
    pub fn confined(self, folder: &Path) -> Self {
        match self {
            Self::File { path, .. } => Self::File { path, within: Some(folder.to_owned()) },
            other => other,
        }
    }

    /// Whether an answer that leaves an instance out may be a whim of who answers. What an operator has written down is meant.
    #[must_use]
    pub(crate) fn may_flap(&self) -> bool {
        matches!(self, Self::Dns { .. } | Self::Srv { .. })
    }
}

/// One instance of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of the traffic against the others.
    pub weight: u16,
    /// Its tier of failover: the lowest number is used first.
    pub priority: u16,
}

/// How long answers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlPlan {
    /// The shortest time between two look-ups.
    pub min: Duration,
    /// The longest time between two look-ups.
    pub max: Duration,
    /// How long an instance stays that an answer no longer names.
    pub hold: Duration,
    /// How long the last good answer stays while the name service says for certain that there is nothing.
    pub absent: Duration,
    /// How long the last good answer stays while there is no answer; `None` is without limit.
    pub unanswered: Option<Duration>,
}
