//! Takes instances out of a service, and back.
//!
//! In: what attempts have shown, and once a second the time. Out: instances that are left alone, told in the log, in metrics and to whoever counts
//! ranks. Refuses: to take out more than the service's share, or the last one. Never: locks on the path of a request that went well.

use std::sync::PoisonError;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::endpoints::EndpointSet;
use crate::instances::Instances;
use crate::moment;
use crate::observed::Observed;
use crate::outlier::cause::Cause;
use crate::outlier::latency::slow;
use crate::outlier::record::News;
use crate::plan::outliers::OutliersPlan;

impl Instances {
    /// Takes in what an attempt has shown of `endpoint`.
    pub(crate) fn observe(&self, endpoint: &Endpoint, observed: &Observed, plan: &OutliersPlan) {
        match endpoint.record().take(observed, plan) {
            News::Nothing => {}
            News::Guilty(cause) => self.eject(endpoint, cause, None, observed.now_ms, plan),
            News::Again(cause) => self.eject_again(endpoint, cause, observed.now_ms, plan),
            News::Well => self.take_back(endpoint, observed.now_ms),
        }
    }

    /// A connection to `endpoint` that was begun at `begun_ms` could not be made: it is left alone at once, whatever the share, for whoever
    /// refuses connections serves nobody.
    pub(crate) fn connect_failed(&self, endpoint: &Endpoint, begun_ms: u64, now_ms: u64) {
        if endpoint.connect_failed(begun_ms, now_ms) && endpoint.consecutive_failures() == 1 {
            endpoint.record().count_ejection();
            self.tell_ejected(endpoint, Cause::ConnectFailed, Duration::from_millis(crate::endpoint::AVOID_MS_FIRST));
        }
        if endpoint.checked().doubt() {
            self.count_standings();
        }
    }

    /// A connection to `endpoint` was made.
    pub(crate) fn connected(&self, endpoint: &Endpoint) {
        if endpoint.connected() {
            self.tell_connected(endpoint);
        }
    }

    /// Connections to `endpoint` are made again.
    pub(crate) fn tell_connected(&self, endpoint: &Endpoint) {
        self.tell_back(endpoint, Cause::ConnectFailed, None);
    }

    /// Looks for instances that are slow beside the others, forgets what is old, and tells when an ejection has run out since `before_ms`.
    /// Called once a second.
    pub(crate) fn judge(&self, before_ms: u64, now_ms: u64, plan: &OutliersPlan) {
        let set = self.endpoints();
        if let Some(latency) = &plan.latency {
            let of =
                |endpoint: &Endpoint| if endpoint.record().is_out() { None } else { endpoint.record().times().median(latency.samples_min) };
            let medians: Vec<Option<Duration>> = set.endpoints().iter().map(|endpoint| of(endpoint)).collect();
            for one in slow(&medians, latency) {
                if let Some(endpoint) = set.endpoints().get(one.place) {
                    tracing::debug!(instance = endpoint.name(), median = ?one.median, limit = ?one.limit, "an instance is slow beside the others");
                    self.eject(endpoint, Cause::Latency, Some(one.limit), now_ms, plan);
                }
            }
            set.endpoints().iter().for_each(|endpoint| endpoint.record().times().fade());
        }
        let ran_out = |endpoint: &Endpoint| endpoint.is_avoided(before_ms) && !endpoint.is_avoided(now_ms);
        if set.endpoints().iter().any(|endpoint| ran_out(endpoint)) {
            self.recount();
        }
    }

    fn eject(&self, endpoint: &Endpoint, cause: Cause, limit: Option<Duration>, now_ms: u64, plan: &OutliersPlan) {
        let one_at_a_time = self.ejecting().lock().unwrap_or_else(PoisonError::into_inner);
        if endpoint.record().is_out() {
            return;
        }
        if !may_eject(&self.endpoints(), now_ms, plan) {
            // Not with every further failure: it would be asked again and again for what cannot be granted.
            endpoint.record().forget_counts();
            drop(one_at_a_time);
            self.measures().outliers.refused.inc();
            return;
        }
        let pause = endpoint.record().eject(cause, now_ms, limit, plan);
        drop(one_at_a_time);
        self.tell_ejected(endpoint, cause, pause);
    }

    fn eject_again(&self, endpoint: &Endpoint, cause: Cause, now_ms: u64, plan: &OutliersPlan) {
        let one_at_a_time = self.ejecting().lock().unwrap_or_else(PoisonError::into_inner);
        // Of several that were begun after the trial the first one has decided.
        if !endpoint.record().is_on_trial() {
            return;
        }
        let pause = endpoint.record().eject(cause, now_ms, None, plan);
        drop(one_at_a_time);
        self.tell_ejected(endpoint, cause, pause);
    }

    fn take_back(&self, endpoint: &Endpoint, now_ms: u64) {
        let cause = endpoint.record().ejection().map(|(cause, _)| cause);
        let one_at_a_time = self.ejecting().lock().unwrap_or_else(PoisonError::into_inner);
        let out = endpoint.record().take_back(now_ms);
        drop(one_at_a_time);
        if let (Some(cause), Some(out)) = (cause, out) {
            self.tell_back(endpoint, cause, Some(out));
        }
    }

    fn tell_ejected(&self, endpoint: &Endpoint, cause: Cause, pause: Duration) {
        let (service, instance, for_ms) = (self.name(), endpoint.name(), pause.as_millis() as u64);
        tracing::warn!(service, instance, cause = cause.word(), for_ms, "an instance is left alone for a while");
        self.measures().outliers.ejected(cause);
        self.recount();
    }

    fn tell_back(&self, endpoint: &Endpoint, cause: Cause, out: Option<Duration>) {
        endpoint.began(moment::now_ms());
        let (service, instance, out_ms) = (self.name(), endpoint.name(), out.map(|out| out.as_millis() as u64));
        tracing::info!(service, instance, cause = cause.word(), out_ms, "an instance that was left alone is well again");
        self.recount();
    }
}

/// Whether one more of `set` may be taken out: one always, where another one stays; more within the share.
fn may_eject(set: &EndpointSet, now_ms: u64, plan: &OutliersPlan) -> bool {
    let all = set.endpoints().len();
    let out = set.endpoints().iter().filter(|endpoint| endpoint.record().is_out() || endpoint.is_avoided(now_ms)).count();
    let share = all * plan.share_max_percent as usize / 100;
    all >= 2 && out < share.max(1)
}

#[cfg(test)]
#[path = "eject_tests.rs"]
mod tests;
