//! What sending one request came to, for the trail and the records; filled also when it failed.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::Endpoint;

/// The course of one request through [`crate::send::send`].
#[derive(Clone, Debug, Default)]
pub struct Trip {
    /// Attempts at instances; a pooled connection that turned out to be dead before anything was written does not count.
    pub attempts: u32,
    /// The instance that was tried last: the one that answered, if one did.
    pub instance: Option<Arc<Endpoint>>,
    /// The generation of the set that the last instance was picked from.
    pub generation: u64,
    /// Time spent on waiting for a place at the service.
    pub queued: Duration,
    /// Time spent on making connections, over all attempts.
    pub connect: Duration,
    /// Time from the call until the head of the response or the fault, over all attempts.
    pub upstream: Duration,
    /// Whether a byte of the request may have reached an instance.
    pub sent: bool,
    /// Whether the last attempt went over a connection that had served before.
    pub reused: bool,
}
