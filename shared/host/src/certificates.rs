//! When the certificates end that this process serves and shows: a gauge for each, and a word in the log while there is time.
//!
//! In: the certificates of the plan that serves, and of each that follows it. Out: metrics under [`metric::CERTIFICATE_NOT_AFTER`], and a warning at
//! load and once a day about each that ends within [`WARN_BEFORE_DAYS`]. Never: refuses anything for it: who connects says whether it is too late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use settings::clock::Clock;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};
use wire::tls::expiry::Expiry;

use crate::plan::HostPlan;
use crate::standing::StandingWatch;
use crate::tier::Tier;

/// A certificate that ends in fewer days than this is warned of.
pub const WARN_BEFORE_DAYS: u64 = 14;

const DAY_SECONDS: u64 = 86_400;

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInUse {
    /// Where: `listener https`, `link`, `service orders`. Names of the configuration alone.
    pub used_by: String,
    /// Its name and its end.
    pub expiry: Expiry,
}

/// Last seconds by who uses the certificate and its subject; of two with one name the sooner, for that is the one to be renewed.
type Ends = BTreeMap<(String, String), u64>;

/// Tells of the certificates in use.
pub(crate) struct Certificates {
    gauges: Family<Labels<2>, Gauge>,
    clock: Clock,
    ends: Ends,
}

impl Certificates {
    /// Nothing is told yet.
    pub(crate) fn new(metrics: &Metrics, clock: Clock) -> Self {
        let gauges = metrics.register_gauge_family(metric::CERTIFICATE_NOT_AFTER, "Last second of each certificate in use, in Unix time");
        Self { gauges, clock, ends: Ends::new() }
    }

    /// Tells of the plan's certificates: those of no former plan are new, and those that are in it no more are forgotten.
    pub(crate) fn take(&mut self, plan: &HostPlan) {
        let now = soonest(&plan.certificates);
        if now == self.ends {
            return;
        }
        for gone in self.ends.keys().filter(|key| !now.contains_key(*key)) {
            self.gauges.remove(&labels(gone));
        }
        for (key, end) in &now {
            self.gauges.get_or_create(&labels(key)).set(i64::try_from(*end).unwrap_or(i64::MAX));
        }
        let before = std::mem::replace(&mut self.ends, now);
        self.warn(|key, end| before.get(key) != Some(&end));
    }

    /// Follows every generation that serves, for as long as there is one.
    pub(crate) async fn follow<T: Tier>(mut self, mut standing: StandingWatch<T>) {
        let mut days = tokio::time::interval(Duration::from_secs(DAY_SECONDS));
        days.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        // The first one is now, and today's warnings were given when the certificates were taken.
        days.tick().await;
        loop {
            tokio::select! {
                changed = standing.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let host = Arc::clone(&standing.borrow_and_update().host);
                    self.take(&host);
                }
                _ = days.tick() => self.warn(|_, _| true),
            }
        }
    }

    fn warn(&self, is_meant: impl Fn(&(String, String), u64) -> bool) {
        let now = self.clock.now_s();
        for (key, end) in self.ends.iter().filter(|(key, end)| is_meant(key, **end)) {
            let (used_by, subject) = key;
            match days_left(now, *end) {
                Some(days) if days < WARN_BEFORE_DAYS => {
                    tracing::warn!(used_by, subject, days, not_after = end, "a certificate ends soon: renew it");
                }
                Some(_) => {}
                None => tracing::error!(used_by, subject, not_after = end, "a certificate has ended: whoever verifies it refuses us"),
            }
        }
    }
}

/// Whole days until the end; `None` when it is over.
fn days_left(now: u64, end: u64) -> Option<u64> {
    end.checked_sub(now).map(|seconds| seconds / DAY_SECONDS)
}

fn soonest(certificates: &[CertificateInUse]) -> Ends {
    let mut ends = Ends::new();
    for CertificateInUse { used_by, expiry } in certificates {
        let end = ends.entry((used_by.clone(), expiry.subject.clone())).or_insert(expiry.not_after);
        *end = expiry.not_after.min(*end);
    }
    ends
}

fn labels((used_by, subject): &(String, String)) -> Labels<2> {
    [(label::USED_BY, used_by.clone().into()), (label::SUBJECT, subject.clone().into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(used_by: &str, subject: &str, not_after: u64) -> CertificateInUse {
        CertificateInUse { used_by: used_by.to_owned(), expiry: Expiry { subject: subject.to_owned(), not_after, chain: [0; 32] } }
    }

    #[test]
    fn of_two_certificates_for_one_name_the_sooner_end_is_told() {
        let ends = soonest(&[used("listener https", "a", 30), used("listener https", "a", 10), used("link", "a", 20)]);
        let expected = [(("link".to_owned(), "a".to_owned()), 20), (("listener https".to_owned(), "a".to_owned()), 10)];
        assert_eq!(ends, Ends::from(expected));
    }

    #[test]
    fn days_are_whole_and_end() {
        assert_eq!(days_left(0, 14 * DAY_SECONDS), Some(14), "not yet a reason to warn");
        assert_eq!(days_left(1, 14 * DAY_SECONDS), Some(13));
        assert_eq!(days_left(10, 10), Some(0), "the last second is a good one");
        assert_eq!(days_left(11, 10), None);
    }
}
