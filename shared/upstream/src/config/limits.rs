//! How many requests a service is sent at a time, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::limits::LimitsPlan;

/// More requests at a time than this no process has.
const REQUESTS_MAX: u32 = 1_000_000;

/// A longer queue only holds requests whose clients have gone.
const QUEUE_MAX: u32 = 65_536;

/// Requests under way at one service, over all workers of a process. An answer counts until its body has ended, an upgraded connection until it is
/// closed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests under way at a time.
    pub requests_max: u32,
    /// Requests that wait for a place at a time; one more is refused at once. 0 lets none wait.
    pub queue_max: u32,
    /// How long a request waits for a place before it is refused.
    pub queue_wait: Span,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { requests_max: 1024, queue_max: 1024, queue_wait: Span::secs(1) }
    }
}

impl LimitsConfig {
    /// Checks the limits at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<LimitsPlan> {
        let mut demands = Demands::of(key, report);
        let requests = (1..=REQUESTS_MAX).contains(&self.requests_max);
        demands.that(requests, "requests_max", "the number of requests is out of range", "set 1 to 1000000");
        demands.that(self.queue_max <= QUEUE_MAX, "queue_max", "so long a queue is no bound", "set 0 (none waits) to 65536");
        let waits = self.queue_max == 0 || self.queue_wait > Span::default();
        demands.that(waits, "queue_wait", "nobody can wait for no time", "set a time above 0, or `queue_max: 0`");
        demands.met().then(|| LimitsPlan { requests_max: self.requests_max, queue_max: self.queue_max, queue_wait: self.queue_wait.get() })
    }
}
