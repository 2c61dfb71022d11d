//! The ceilings of a service's connections.

use std::time::Duration;

/// The ceilings of a service's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Idle connections that one worker keeps to one instance.
    pub idle_max: usize,
    /// Connections to all instances, over all workers of the process.
    pub connections_max: usize,
    /// Requests at once on one connection of HTTP/2.
    pub streams_max: usize,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// How long a connection is used before it is replaced.
    pub age: Duration,
}
