//! Active checks, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::health::{HealthPlan, ProbePlan};

/// The longest pause between two checks: the time for which a replica that leaves goes on accepting, where its `drain.wait` says nothing else.
const CHECKS_EVERY_MAX: Span = Span::secs(5);

/// Active checks: each instance is asked how it does, and one that does not do well gets nothing new while another one does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// The pause between two checks of one instance, give or take a tenth.
    pub every: Span,
    /// How long one check may take, connection included.
    pub timeout: Span,
    /// So many failed checks in a row make an instance unhealthy.
    pub unhealthy_threshold: u32,
    /// So many good checks in a row make it healthy again.
    pub healthy_threshold: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { every: Span::secs(1), timeout: Span::secs(1), unhealthy_threshold: 3, healthy_threshold: 1 }
    }
}

impl HealthConfig {
    /// Checks the active checks at `key`; every complaint goes to `report`.
    pub fn check(&self, key: &str, probe: ProbePlan, report: &mut Report) -> Option<HealthPlan> {
        let mut demands = Demands::of(key, report);
        demands.that(self.every >= Span::millis(100), "every", "checks would follow each other without a pause", "set at least 100ms");
        let what = "a replica that leaves would be gone before it was asked";
        demands.that(self.every <= CHECKS_EVERY_MAX, "every", what, "set at most 5s, and with timeout less than drain.wait of routing-gw");
        demands.that(self.timeout > Span::default(), "timeout", "no instance answers in no time", "set a time above 0");
        let what = "an instance would be unhealthy without a check";
        demands.that(self.unhealthy_threshold > 0, "unhealthy_threshold", what, "set at least 1");
        let what = "an instance would be healthy without a check";
        demands.that(self.healthy_threshold > 0, "healthy_threshold", what, "set at least 1");
        demands.met().then(|| HealthPlan {
            probe,
            every: self.every.get(),
            timeout: self.timeout.get(),
            unhealthy_threshold: self.unhealthy_threshold,
            healthy_threshold: self.healthy_threshold,
        })
    }
}
