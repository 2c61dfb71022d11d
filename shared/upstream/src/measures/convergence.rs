//! How quickly what discovery learns comes true, and how old it is.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::metrics::{HistogramFamily, Labels, Metrics};
use telemetry::names::metric;

/// From a few milliseconds, when nothing was under way, to the life of a tunnel.
const BOUNDS_S: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The families that tell it, of all services.
#[derive(Clone, Debug)]
pub(crate) struct Convergence {
    pub(crate) convergence: HistogramFamily<Labels<1>>,
    pub(crate) answered: Family<Labels<1>, Gauge>,
}

impl Convergence {
    /// Those of `metrics`.
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            convergence: metrics.register_histogram_family(
                metric::DISCOVERY_CONVERGENCE,
                "From the first answer that left an instance out to the end of its last request",
                &BOUNDS_S,
            ),
            answered: metrics.register_gauge_family(metric::DISCOVERY_ANSWERED, "When discovery last had a good answer, in Unix seconds"),
        }
    }

    /// Takes out everything that speaks of one service.
    pub(crate) fn remove(&self, service: &Labels<1>) {
        self.convergence.remove(service);
        self.answered.remove(service);
    }
}
