//! How many there are in a fleet, and for what days they are configured.

use std::time::Duration;

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Muster {
    /// Instances of `orders`.
    pub instances: usize,
    /// The days.
    pub days: Days,
}

/// For what days the tiers are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// The defaults, but for what a reload changes.
    Ordinary,
    /// Short limits, so that what is ill is found out and gone around while the client still waits.
    Bad,
}

/// In bad days: the longest time from the arrival of a request at tier 2 to the head of its answer.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(5);
/// In bad days: the same from tier 1's handing over, over all replicas of tier 2.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(6);

/// Parts of the configurations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) link: &'static str,
    pub(super) service: &'static str,
    pub(super) read_route: &'static str,
    pub(super) write_route: &'static str,
}

impl Default for Muster {
    fn default() -> Self {
        Self { instances: super::INSTANCES, days: Days::Ordinary }
    }
}

impl Muster {
    /// Five instances in bad days.
    pub const CHAOS: Self = Self { instances: 5, days: Days::Bad };

    pub(super) fn terms(self) -> Terms {
        match self.days {
            Days::Ordinary => Terms {
                link: "  timeouts: { first_byte: {third}s }\n",
                service: "timeouts: { first_byte: {second}s }",
                read_route: "timeout: {third}s",
                write_route: "",
            },
            Days::Bad => Terms { link: BAD_LINK, service: BAD_SERVICE, read_route: "timeout: 5s", write_route: ", timeout: 5s" },
        }
    }
}

/// `timeout` is [`LINK_TIMEOUT`], and the routes' is [`ROUTE_TIMEOUT`]. A replica that is dead refuses at once; one that is there is given the usual
/// time for its handshake.
const BAD_LINK: &str = "  timeout: 6s
  ttl: { min: 200ms, max: 1s }
  health: { every: 500ms }
";

/// An instance that stands still takes connections and requests: nothing but `per_try` goes around it before the client's time is over.
const BAD_SERVICE: &str = "timeouts: { connect: 500ms, per_try: 1s }, outliers: { consecutive_failures: 3 }, \
    health: { probe: { kind: http, path: / }, every: 500ms, timeout: 1s, unhealthy_threshold: 2 }";
