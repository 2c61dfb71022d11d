//! When a service that fails is not asked any more, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::breaker::BreakerPlan;

/// The circuit breaker of a service: where nearly every request fails, further ones are refused at once for a while, and then one tries.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// It opens when of a hundred requests so many have failed, after all their attempts.
    pub failure_percent: u32,
    /// Below so many requests in the window it never opens.
    pub requests_min: u32,
    /// How far back requests count.
    pub window: Span,
    /// How long it refuses before one request tries; as long again before the next one does, where the first one has not ended by then.
    pub open: Span,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failure_percent: 90, requests_min: 20, window: Span::secs(10), open: Span::secs(5) }
    }
}

impl BreakerConfig {
    /// The one that a service has where its configuration says nothing.
    #[must_use]
    pub fn usual() -> Option<Self> {
        Some(Self::default())
    }

    /// Checks the terms at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<BreakerPlan> {
        let mut demands = Demands::of(key, report);
        let percent = (1..=100).contains(&self.failure_percent);
        demands.that(percent, "failure_percent", "the share of failures is out of range", "set 1 to 100");
        let requests = (1..=100_000).contains(&self.requests_min);
        demands.that(requests, "requests_min", "the least number of requests is out of range", "set 1 to 100000");
        let window = Span::secs(1) <= self.window && self.window <= Span::secs(60);
        demands.that(window, "window", "the window is out of range", "set 1s to 60s");
        let open = Span::millis(100) <= self.open && self.open <= Span::secs(600);
        demands.that(open, "open", "the pause is out of range", "set 100ms to 10m, or `breaker: null` for none");
        demands.met().then(|| BreakerPlan {
            failure_percent: self.failure_percent,
            requests_min: self.requests_min,
            window: self.window.get(),
            open: self.open.get(),
            connections_only: false,
        })
    }
}
