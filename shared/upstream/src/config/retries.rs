//! Attempts at other instances, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;

use crate::config::Demands;
use crate::plan::retries::{BudgetPlan, RetriesPlan};

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
}

impl Default for RetriesConfig {
    fn default() -> Self {
        Self { attempts_max: 3, budget_percent: 20, per_second_min: 10 }
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
        demands.met().then(|| RetriesPlan {
            attempts_max: self.attempts_max,
            budget: BudgetPlan { percent: self.budget_percent, per_second_min: self.per_second_min },
        })
    }
}
