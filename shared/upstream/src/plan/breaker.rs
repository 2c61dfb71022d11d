//! When a service that fails is not asked any more, and when it is tried again.

use std::time::Duration;

/// The terms of one circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPlan {
    /// It opens when of a hundred requests of the window so many have failed; 1 to 100.
    pub failure_percent: u32,
    /// Requests of the window below which it never opens; at least 1.
    pub requests_min: u32,
    /// How far back requests count.
    pub window: Duration,
    /// How long it stays open before one request tries.
    pub open: Duration,
    /// Whether nothing but connections that cannot be made or break off is a failure. True of the link, where an answer, also a late one,
    /// tells of one service behind it and not of the link.
    pub connections_only: bool,
}
