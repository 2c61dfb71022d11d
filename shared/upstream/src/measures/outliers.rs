//! The counters of ejections of one service.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};

use crate::measures::{one, two};
use crate::outlier::cause::Cause;

/// What ejections add to.
#[derive(Debug)]
pub(crate) struct Handles {
    ejections: [Counter; Cause::ALL.len()],
    /// Ejections that the service's share did not allow.
    pub(crate) refused: Counter,
    /// Instances that are left alone now.
    pub(crate) now: Gauge,
}

impl Handles {
    /// Counts one ejection.
    pub(crate) fn ejected(&self, cause: Cause) {
        if let Some(counter) = self.ejections.get(cause as usize) {
            counter.inc();
        }
    }
}

/// The families that speak of ejections.
#[derive(Clone, Debug)]
pub(super) struct Families {
    ejections: Family<Labels<2>, Counter>,
    refused: Family<Labels<1>, Counter>,
    now: Family<Labels<1>, Gauge>,
}

impl Families {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self {
            ejections: metrics.register_family(metric::EJECTIONS, "Instances that were left alone for a while, by cause"),
            refused: metrics
                .register_family(metric::EJECTIONS_REFUSED, "Ejections that the largest share of ejected instances did not allow"),
            now: metrics.register_gauge_family(metric::INSTANCES_EJECTED, "Instances that are left alone now"),
        }
    }

    /// The handles of `service`.
    pub(super) fn resolve(&self, service: &str) -> Handles {
        Handles {
            ejections: Cause::ALL.map(|cause| self.ejections.get_or_create_owned(&two(service, label::CAUSE, cause.word()))),
            refused: self.refused.get_or_create_owned(&one(service)),
            now: self.now.get_or_create_owned(&one(service)),
        }
    }

    /// Takes out everything that speaks of `service`.
    pub(super) fn remove(&self, service: &str) {
        for cause in Cause::ALL {
            self.ejections.remove(&two(service, label::CAUSE, cause.word()));
        }
        self.refused.remove(&one(service));
        self.now.remove(&one(service));
    }
}
