//! How the instances of a service are found.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the instances of a service are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverPlan {
    /// They are these.
    Static(Vec<SocketAddr>),
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
    /// One Unix socket on this host.
    Unix(PathBuf),
}

/// The clamp around the time to live of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlPlan {
    /// The shortest time between two look-ups.
    pub min: Duration,
    /// The longest time between two look-ups.
    pub max: Duration,
}
