//! A histogram that workers observe without a lock.
//!
//! In: observations in the metric's unit. Out: classic buckets at a scrape. Never: blocks; a scrape during an
//! observation may see its bucket before its sum, which no query can tell from a scrape a moment later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds for durations, in seconds: those of OpenTelemetry's `http.server.request.duration`, and finer ones
/// below, since a gateway's own time lies there.
pub const DURATION_BOUNDS_S: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Handle of a histogram; clones observe into the same one.
#[derive(Clone, Debug)]
pub struct Histogram {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bounds: &'static [f64],
    /// One per bound and one for all above the last.
    counts: Box<[AtomicU64]>,
    /// The bits of an f64.
    sum: AtomicU64,
}

impl Histogram {
    /// `bounds` are upper bounds, rising; one more bucket takes what lies above the last.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "bounds must rise");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { inner: Arc::new(Inner { bounds, counts, sum: AtomicU64::new(0.0_f64.to_bits()) }) }
    }

    /// Counts one observation, in the unit that the metric's name says. What is not a number is not counted.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = self.inner.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.inner.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never answers None, so that the update cannot fail.
        let _ = self.inner.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts one duration, in seconds.
    pub fn observe_duration(&self, value: Duration) {
        self.observe(value.as_secs_f64());
    }

    /// Observations so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = self.inner.bounds.iter().copied().chain(std::iter::once(f64::INFINITY));
        let counts = self.inner.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // The count is taken from the same look at the buckets, or `+Inf` and `_count` could differ.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = f64::from_bits(self.inner.sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::histogram::Histogram;
    use crate::metrics::Metrics;

    #[test]
    fn buckets_are_cumulative_and_inclusive() {
        let metrics = Metrics::new();
        let histogram = metrics.register_histogram("x_seconds", "X", &[0.1, 1.0]);
        for value in [0.05, 0.1, 0.5, 3.0, f64::NAN] {
            histogram.observe(value);
        }
        histogram.observe_duration(Duration::from_millis(250));
        let text = metrics.encode();
        for line in
            [r#"x_seconds_bucket{le="0.1"} 2"#, r#"x_seconds_bucket{le="1.0"} 4"#, r#"x_seconds_bucket{le="+Inf"} 5"#, "x_seconds_count 5"]
        {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("x_seconds_sum 3.9"), "{text}");
    }

    #[test]
    fn observations_of_many_threads_all_count() {
        let histogram = Histogram::new(&[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| histogram.observe(0.5)));
            }
        });
        assert_eq!(histogram.count(), 4000);
        assert_eq!(f64::from_bits(histogram.inner.sum.load(std::sync::atomic::Ordering::Relaxed)), 2000.0);
    }
}
