//! What the limits of a service and its breaker count.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::histogram::{DURATION_BOUNDS_S, Histogram};
use telemetry::metrics::{HistogramFamily, Labels, Metrics};
use telemetry::names::metric;

/// The handles of one service.
#[derive(Debug)]
pub struct Limits {
    /// The time that requests have waited for a place; those that had not to wait are not in it.
    pub(crate) queued: Histogram,
    /// Requests that wait for a place now.
    pub(crate) waiting: Gauge,
    /// 1 while the breaker is not closed.
    pub(crate) breaker_open: Gauge,
}

/// The families of all services.
#[derive(Clone, Debug)]
pub(super) struct Families {
    queued: HistogramFamily<Labels<1>>,
    waiting: Family<Labels<1>, Gauge>,
    breaker_open: Family<Labels<1>, Gauge>,
}

impl Families {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self {
            queued: metrics.register_histogram_family(
                metric::UPSTREAM_QUEUE_DURATION,
                "Time that requests waited for a place at a service that is at its limit",
                &DURATION_BOUNDS_S,
            ),
            waiting: metrics.register_gauge_family(metric::UPSTREAM_QUEUE_WAITING, "Requests that wait for a place at a service now"),
            breaker_open: metrics
                .register_gauge_family(metric::UPSTREAM_BREAKER_OPEN, "1 while the circuit breaker of a service is not closed"),
        }
    }

    pub(super) fn resolve(&self, one: &Labels<1>) -> Limits {
        Limits {
            queued: self.queued.get_or_create_owned(one),
            waiting: self.waiting.get_or_create_owned(one),
            breaker_open: self.breaker_open.get_or_create_owned(one),
        }
    }

    pub(super) fn remove(&self, one: &Labels<1>) {
        self.queued.remove(one);
        self.waiting.remove(one);
        self.breaker_open.remove(one);
    }
}
