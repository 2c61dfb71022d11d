//! The fact both tiers start from: a lawful request from a known connection, with its id and its place in a trace.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use contract::request_id::RequestId;
use contract::target::Shape;
use contract::trace_context::TraceContext;
use http::HeaderValue;

use crate::connection::Connection;
use crate::forwarded::Origin;

/// What the door proves of a request: its target is canonical, its host is one, nothing reserved is in it that the peer may not send.
///
/// Only [`crate::door::Door`] makes one.
#[derive(Debug)]
pub struct Arrived {
    pub(crate) connection: Rc<Connection>,
    pub(crate) stamp: Stamp,
    pub(crate) upgrade: Option<HeaderValue>,
    pub(crate) shape: Shape,
}

/// What names a request in records, traces and answers; it exists for refused requests too.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Unique over all replicas.
    pub request_id: RequestId,
    /// This tier's place in the trace: `span_id` is this tier's server span.
    pub trace: TraceContext,
    /// The span that called this tier, where its trace is continued.
    pub parent: Option<[u8; 8]>,
    /// The client's address, as far as the peers on the way are believed; `None` behind a Unix socket without a forwarded address.
    pub client: Option<IpAddr>,
    /// Scheme and host as the client used them, where believed proxies tell.
    pub origin: Origin,
    /// When the request head was complete.
    pub at: Instant,
    /// The same moment in milliseconds of Unix time.
    pub at_ms: u64,
}

impl Arrived {
    /// The connection it came over.
    #[must_use]
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Its id, trace, client address and time.
    #[must_use]
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// What is to be minded where the path is matched (`contract::target::readings`).
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The protocol that an `Upgrade` request asks for (RFC 9110 §7.8).
    #[must_use]
    pub fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref()
    }
}
