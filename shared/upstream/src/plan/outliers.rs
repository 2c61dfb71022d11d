//! When an instance is left alone for what its answers have shown.

use std::time::Duration;

/// When an instance is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutliersPlan {
    /// Attempts in a row without a lawful answer; 0 for never.
    pub consecutive_failures: u32,
    /// Answers in a row that are 502, 503 or 504; 0 for never.
    pub consecutive_gateway_errors: u32,
    /// When an instance is too slow beside the others, if ever.
    pub latency: Option<LatencyPlan>,
    /// How long the first ejection lasts; it doubles with each further one.
    pub base: Duration,
    /// How long one lasts at most; at least `base`.
    pub max: Duration,
    /// How many of a hundred instances may be out at one time, 1 to 100; one may always be, where there are others.
    pub share_max_percent: u32,
}

/// When an instance is too slow beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyPlan {
    /// So many times the others' median; at least 2.
    pub factor: u32,
    /// And in any case above this.
    pub floor: Duration,
    /// Answers of the last seconds below which nothing is said of an instance; at least 5.
    pub samples_min: u32,
}
