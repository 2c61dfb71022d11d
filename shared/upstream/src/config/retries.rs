//! Attempts at other instances, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::retries::{BackoffPlan, BudgetPlan, RetriesPlan};

/// More attempts than this help nobody: they only make an outage longer.
const ATTEMPTS_MAX: u32 = 8;

/// The largest reserve of a retry budget.
const REPEATS_PER_SECOND_MAX: u32 = 1_000;

/// Attempts at other instances.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetriesConfig {
    /// The most attempts for one request, the first one included.
    pub attempts_max: u32,
    /// Of a hundred requests of the last ten seconds so many may be sent again although something of them may have reached an instance.
    /// Attempts of which nothing was sent are free.
    pub budget_percent: u32,
    /// So many per second beside that share, saved up over ten seconds, for a service that is asked rarely.
    pub per_second_min: u32,
    /// The pauses before repeats.
    pub backoff: BackoffConfig,
}

/// The pause before a request is sent again that may have reached an instance, or where no other instance is left to ask: a random time up to a bound.
/// An attempt of which nothing was sent goes to another instance at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The bound before the second attempt; it doubles with each further one. `0s` makes no pauses.
    pub base: Span,
    /// The highest bound.
    pub max: Span,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { base: Span::millis(25), max: Span::millis(250) }
    }
}

impl Default for RetriesConfig {
    fn default() -> Self {
        Self { attempts_max: 3, budget_percent: 20, per_second_min: 10, backoff: BackoffConfig::default() }
    }
}

impl RetriesConfig {
    /// Checks the bounds at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<RetriesPlan> {
        let mut demands = Demands::of(key, report);
        let attempts = (1..=ATTEMPTS_MAX).contains(&self.attempts_max);
        demands.that(attempts, "attempts_max", "the number of attempts is out of range", "set 1 (no retries) to 8");
        let what = "the share of repeats is out of range";
        demands.that(self.budget_percent <= 100, "budget_percent", what, "set 0 (none but the reserve) to 100");
        let what = "a reserve of so many repeats is no bound";
        demands.that(self.per_second_min <= REPEATS_PER_SECOND_MAX, "per_second_min", what, "set 0 (no reserve) to 1000");
        let backoff = self.backoff.base <= self.backoff.max && self.backoff.max <= Span::secs(10);
        let remedy = "set `max` to at least `base`, and at most 10s";
        demands.that(backoff, "backoff.max", "the bounds of the pauses do not fit", remedy);
        demands.met().then(|| RetriesPlan {
            attempts_max: self.attempts_max,
            budget: BudgetPlan { percent: self.budget_percent, per_second_min: self.per_second_min },
            backoff: BackoffPlan { base: self.backoff.base.get(), max: self.backoff.max.get() },
        })
    }
}
