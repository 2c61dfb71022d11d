//! How many requests a service is sent at a time, and how many wait.

use std::time::Duration;

/// The limits on the requests under way at one service, per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsPlan {
    /// Requests under way at a time; at least 1.
    pub requests_max: u32,
    /// Requests that wait for one of those places.
    pub queue_max: u32,
    /// How long one waits at most.
    pub queue_wait: Duration,
}
