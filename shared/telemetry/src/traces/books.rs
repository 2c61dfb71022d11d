//! The books of the spans: every span made is exported or lost, and a loss has a reason.

use prometheus_client::metrics::counter::Counter;

use crate::metrics::{Labels, Metrics};
use crate::names::{label, metric};

#[derive(Clone, Debug)]
pub(super) struct SpanBooks {
    pub(super) made: Counter,
    pub(super) exported: Counter,
    /// The queue was full.
    pub(super) lost_full: Counter,
    /// The collector was not reached or did not take the batch, after all attempts.
    pub(super) lost_export: Counter,
}

impl SpanBooks {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let lost = metrics.register_family::<Labels<1>>(metric::SPANS_LOST, "Spans that the collector never got");
        let lost = |reason: &'static str| lost.get_or_create_owned(&[(label::REASON, reason.into())]);
        Self {
            made: metrics.register_counter(metric::SPANS_MADE, "Sampled spans made"),
            exported: metrics.register_counter(metric::SPANS_EXPORTED, "Spans that the collector accepted"),
            lost_full: lost("queue_full"),
            lost_export: lost("export_failed"),
        }
    }
}
