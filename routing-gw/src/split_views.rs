//! The alarm for requests that the two tiers read differently.
//!
//! In: a request that was refused for it. Out: a counter, and an error in the log that names the request. Never: fills the log: one line a second
//! at most, which tells how many there were since the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use telemetry::metrics::Metrics;
use telemetry::names::metric;
use wire::arrived::Stamp;

/// What is known of split views in one process.
#[derive(Clone, Debug)]
pub(crate) struct SplitViews {
    count: Counter,
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// The second, in Unix time, of the last line.
    at: AtomicU64,
    /// How many were counted when it was written.
    count: AtomicU64,
}

impl SplitViews {
    /// The alarm of a process; a newer generation goes on with that of the one before.
    #[must_use]
    pub(crate) fn after(before: Option<&Self>, metrics: &Metrics) -> Self {
        before.cloned().unwrap_or_else(|| Self {
            count: metrics.register_counter(metric::SPLIT_VIEWS, "Requests that the two tiers read differently"),
            told: Arc::default(),
        })
    }

    /// Counts a request, and tells of it unless one was told of in the same second. True when it was told.
    pub(crate) fn alarm(&self, stamp: &Stamp, now_s: u64) -> bool {
        let count = self.count.inc() + 1;
        if self.told.at.swap(now_s, Ordering::Relaxed) == now_s {
            return false;
        }
        let since = count.saturating_sub(self.told.count.swap(count, Ordering::Relaxed));
        tracing::error!(
            request_id = %stamp.request_id,
            since,
            "tier 1 saw another method, host or target than this tier read; the request was refused. Something between the tiers changes requests, or one of them reads them wrongly"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use contract::request_id::RequestId;
    use contract::trace_context::TraceContext;

    use super::*;

    #[test]
    fn every_one_is_counted_and_one_a_second_is_told() {
        let metrics = Metrics::new();
        let alarm = SplitViews::after(None, &metrics);
        let stamp = Stamp {
            request_id: RequestId::new(1, [0; 10]),
            trace: TraceContext::start([1; 24], false),
            parent: None,
            client: None,
            origin: wire::forwarded::Origin::default(),
            at: std::time::Instant::now(),
            at_ms: 0,
        };
        assert_eq!([7, 7, 7, 8, 8].map(|now| alarm.alarm(&stamp, now)), [true, false, false, true, false]);
        let newer = SplitViews::after(Some(&alarm), &metrics);
        assert!(!newer.alarm(&stamp, 8), "a new generation goes on where the former one was");
        assert_eq!(newer.count.get(), 6);
    }
}
