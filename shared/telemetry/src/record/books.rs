//! The books of one sink: every record made is written or lost, and a loss has a reason.

use prometheus_client::metrics::counter::Counter;

use crate::metrics::{Labels, Metrics};
use crate::names::{label, metric};

/// Counters of one sink. `made` is entered when a worker hands its buffer over, so that a record costs no atomic
/// operation; made = written + lost + what stands in the queue or in the writer's hand.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub(super) made: Counter,
    pub(super) written: Counter,
    /// The queue was full.
    pub(super) lost_full: Counter,
    /// The system refused to take it: disk full, pipe closed.
    pub(super) lost_write: Counter,
    /// It was longer than `RECORD_BYTES_MAX`.
    pub(super) lost_long: Counter,
}

impl Books {
    pub(super) fn register(metrics: &Metrics, sink: &str) -> Self {
        let sink = || (label::SINK, sink.to_owned().into());
        let one = |name, help| metrics.register_family::<Labels<1>>(name, help).get_or_create_owned(&[sink()]);
        let lost = metrics.register_family::<Labels<2>>(metric::RECORDS_LOST, "Records that a sink never got");
        let lost = |reason: &'static str| lost.get_or_create_owned(&[sink(), (label::REASON, reason.into())]);
        Self {
            made: one(metric::RECORDS_MADE, "Records made for a sink"),
            written: one(metric::RECORDS_WRITTEN, "Records that a sink took"),
            lost_full: lost("queue_full"),
            lost_write: lost("write_failed"),
            lost_long: lost("too_long"),
        }
    }
}
