//! The ejection of instances that answer badly, as written.
//!
//! In: `outliers` of a service or of the link. Out: its plan. Refuses: numbers that would eject for nothing or never end, and gateway errors held
//! against replicas of routing-gw, which only pass them on. Never: ejects.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::outliers::{LatencyPlan, OutliersPlan};

/// The longest ejection: longer than this nobody wants to wait for an instance that is well again.
const EJECTION_MAX: Span = Span::secs(3_600);

/// The most of anything in a row.
const CONSECUTIVE_MAX: u32 = 1_000;

/// Gateway errors in a row, where nothing is written.
const GATEWAY_ERRORS: u32 = 5;

/// An instance that answers badly is left alone for a while.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutliersConfig {
    /// Attempts in a row that were reset, timed out or got no lawful HTTP; 0 for never. A connection that cannot be made needs no second one.
    pub consecutive_failures: u32,
    /// Answers in a row that are 502, 503 or 504; 0 for never. Default: 5 for a service, 0 for the link.
    pub consecutive_gateway_errors: Option<u32>,
    /// An instance that is slow beside the others; `null` for never.
    pub latency: Option<LatencyConfig>,
    /// How long the first ejection lasts; it doubles with each further one.
    pub base: Span,
    /// How long one lasts at most.
    pub max: Span,
    /// How many of a hundred instances may be out at one time; one may always be, where there are others.
    pub share_max_percent: u32,
}

/// An instance that is slow beside the others.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencyConfig {
    /// Its median is above so many times the others' median.
    pub factor: u32,
    /// And above this.
    pub floor: Span,
    /// Nothing is said of an instance with fewer answers in the last seconds.
    pub samples_min: u32,
}

/// Whose instances they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A service's own: a gateway error is theirs.
    Service,
    /// Replicas of routing-gw: a gateway error is that of a service behind them.
    Link,
}

impl Default for OutliersConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            consecutive_gateway_errors: None,
            latency: Some(LatencyConfig::default()),
            base: Span::secs(1),
            max: Span::secs(30),
            share_max_percent: 50,
        }
    }
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { factor: 5, floor: Span::millis(500), samples_min: 20 }
    }
}

impl OutliersConfig {
    /// Checks the ejection at `key`; every complaint goes to `report`.
    pub fn check(&self, key: &str, whose: Whose, report: &mut Report) -> Option<OutliersPlan> {
        let gateway_errors = self.consecutive_gateway_errors.unwrap_or(if whose == Whose::Link { 0 } else { GATEWAY_ERRORS });
        let mut demands = Demands::of(key, report);
        let (what, remedy) = ("so many failures in a row never come together", "set 0 (never) to 1000");
        demands.that(self.consecutive_failures <= CONSECUTIVE_MAX, "consecutive_failures", what, remedy);
        let what = "so many such answers in a row never come together";
        demands.that(gateway_errors <= CONSECUTIVE_MAX, "consecutive_gateway_errors", what, remedy);
        let what = "a replica of routing-gw passes on what a service answered: one broken service would take all replicas out";
        let theirs = whose == Whose::Service || gateway_errors == 0;
        demands.that(theirs, "consecutive_gateway_errors", what, "leave it out, and set it at the service in routing-gw");
        demands.that(self.base >= Span::millis(100), "base", "an instance would be back before it was missed", "set at least 100ms");
        demands.that(self.max >= self.base, "max", "the longest ejection is shorter than the first", "set at least `base`");
        demands.that(self.max <= EJECTION_MAX, "max", "an instance that is well again would be waited for too long", "set at most 1h");
        let what = "no share of the instances is so large or so small";
        demands.that((1..=100).contains(&self.share_max_percent), "share_max_percent", what, "set 1 to 100");
        if let Some(latency) = self.latency {
            let what = "instances of one service differ by as much on a good day";
            demands.that((2..=1_000).contains(&latency.factor), "latency.factor", what, "set 2 to 1000");
            let what = "an instance would be out for a pause of a moment";
            demands.that(latency.floor >= Span::millis(1), "latency.floor", what, "set at least 1ms");
            let what = "so few answers say nothing, and so many never come together";
            demands.that((5..=10_000).contains(&latency.samples_min), "latency.samples_min", what, "set 5 to 10000");
        }
        demands.met().then(|| OutliersPlan {
            consecutive_failures: self.consecutive_failures,
            consecutive_gateway_errors: gateway_errors,
            latency: self.latency.map(|latency| LatencyPlan {
                factor: latency.factor,
                floor: latency.floor.get(),
                samples_min: latency.samples_min,
            }),
            base: self.base.get(),
            max: self.max.get(),
            share_max_percent: self.share_max_percent,
        })
    }
}
