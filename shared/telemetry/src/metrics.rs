//! The process's metrics: handles for those who count, text for those who scrape.
//!
//! In: names and helps. Out: handles whose use is an atomic operation, and OpenMetrics text. Registering is for boot
//! and reload; a name that is registered again gives the same metric, so that a new generation counts on. Never: a
//! look-up by name or by label on the request path; whoever counts there resolves its handle beforehand.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::histogram::Histogram;

/// The content type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The simplest label set: names from `names::label`, and values of bounded number (never anything a client chose).
pub type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// A family of histograms over a label set.
pub type HistogramFamily<L> = Family<L, Histogram, Bounds>;

/// All metrics of the process; clones are the same.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    registry: Registry,
    known: HashMap<&'static str, Box<dyn Any + Send>>,
    users: HashMap<(&'static str, String), usize>,
}

/// One user of the label sets that stand under a name; see [`Metrics::use_labels`].
#[derive(Debug)]
pub struct LabelsInUse {
    metrics: Metrics,
    key: (&'static str, String),
}

impl LabelsInUse {
    /// Gives the name back. Where this was its last user, `remove` is called to take the label sets out of their families, before anybody else
    /// can come to use them again.
    pub fn end(&self, remove: impl FnOnce()) {
        let mut inner = self.metrics.lock();
        let Some(users) = inner.users.get_mut(&self.key) else { return };
        *users = users.saturating_sub(1);
        if *users == 0 {
            inner.users.remove(&self.key);
            remove();
        }
    }
}

impl Metrics {
    /// No metrics yet.
    #[must_use]
    pub fn new() -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { registry: Registry::default(), known: HashMap::new(), users: HashMap::new() })) }
    }

    /// A number that only rises. `name` ends in `_total`.
    pub fn register_counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.register(name, help, Counter::default)
    }

    /// A number that rises and falls.
    pub fn register_gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.register(name, help, Gauge::default)
    }

    /// A distribution over buckets with these upper bounds.
    pub fn register_histogram(&self, name: &'static str, help: &'static str, bounds: &'static [f64]) -> Histogram {
        self.register(name, help, || Histogram::new(bounds))
    }

    /// Counters told apart by labels. `name` ends in `_total`.
    pub fn register_family<L: LabelSet>(&self, name: &'static str, help: &'static str) -> Family<L, Counter> {
        self.register(name, help, Family::default)
    }

    /// Gauges told apart by labels.
    pub fn register_gauge_family<L: LabelSet>(&self, name: &'static str, help: &'static str) -> Family<L, Gauge> {
        self.register(name, help, Family::default)
    }

    /// Histograms told apart by labels.
    pub fn register_histogram_family<L: LabelSet>(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> HistogramFamily<L> {
        self.register(name, help, || Family::new_with_constructor(Bounds(bounds)))
    }

    /// Counts one more user of the label sets with which `kind` (a label) speaks of `name`, and makes them by `resolve`. Names come from the
    /// configuration and may change with every reload: label sets that nobody uses any more must not pile up.
    ///
    /// `resolve` and the `remove` of [`LabelsInUse::end`] may use families that are registered, and must not register any.
    pub fn use_labels<T>(&self, kind: &'static str, name: &str, resolve: impl FnOnce() -> T) -> (LabelsInUse, T) {
        let key = (kind, name.to_owned());
        let mut inner = self.lock();
        *inner.users.entry(key.clone()).or_default() += 1;
        (LabelsInUse { metrics: self.clone(), key }, resolve())
    }

    /// Everything as OpenMetrics text, for a scrape.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        if text::encode(&mut out, &self.lock().registry).is_err() {
            // Encoding fails only if a metric refuses to be encoded; what has been written is whole lines.
            tracing::error!("a metric could not be encoded; the scrape is incomplete");
        }
        out
    }

    fn register<M>(&self, name: &'static str, help: &'static str, make: impl FnOnce() -> M) -> M
    where
        M: EncodeMetric + Clone + Send + Sync + fmt::Debug + 'static,
    {
        let mut inner = self.lock();
        if let Some(known) = inner.known.get(name) {
            if let Some(metric) = known.downcast_ref::<M>() {
                return metric.clone();
            }
            // Two places disagree about a metric's type: a mistake in the code, which must not cost a request.
            tracing::error!(name, "a metric was registered with two types; the second one is not shown");
            return make();
        }
        let metric = make();
        inner.known.insert(name, Box::new(metric.clone()));
        // The encoder appends `_total` and the unit by itself.
        let stem = name.strip_suffix("_total").unwrap_or(name);
        match (stem.strip_suffix("_seconds"), stem.strip_suffix("_bytes")) {
            (Some(stem), _) => inner.registry.register_with_unit(stem, help, Unit::Seconds, metric.clone()),
            (_, Some(stem)) => inner.registry.register_with_unit(stem, help, Unit::Bytes, metric.clone()),
            _ => inner.registry.register(stem, help, metric.clone()),
        }
        metric
    }

    /// A registry is whole between any two calls, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("known", &self.lock().known.len()).finish()
    }
}

/// What can tell the metrics of a family apart.
pub trait LabelSet: EncodeLabelSet + Clone + Hash + Eq + Send + Sync + fmt::Debug + 'static {}

impl<L: EncodeLabelSet + Clone + Hash + Eq + Send + Sync + fmt::Debug + 'static> LabelSet for L {}

/// Makes the histograms of a family.
#[derive(Clone, Debug)]
pub struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Labels, Metrics};
    use crate::names::{label, metric};

    #[test]
    fn names_stand_in_the_text_as_the_constants_say() {
        let metrics = Metrics::new();
        metrics.register_counter(metric::PANICS, "Panics").inc();
        metrics.register_gauge(metric::GENERATION, "Generation").set(3);
        let refusals = metrics.register_family::<Labels<1>>(metric::REFUSALS, "Refusals");
        refusals.get_or_create(&[(label::REASON, "no-route".into())]).inc_by(2);
        let durations = metrics.register_histogram_family::<Labels<1>>(metric::UPSTREAM_DURATION, "Time", &[1.0]);
        durations.get_or_create(&[(label::SERVICE, "a\"b\n".into())]).observe(0.5);
        let text = metrics.encode();
        for line in [
            "gateway_panics_total 1",
            "gateway_config_generation 3",
            r#"gateway_refusals_total{reason="no-route"} 2"#,
            "# UNIT gateway_upstream_duration_seconds seconds",
            "gateway_upstream_duration_seconds_bucket{le=\"1.0\",service=\"a\\\"b\\n\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_name_registered_again_counts_on_and_is_shown_once() {
        let metrics = Metrics::new();
        metrics.register_counter(metric::PANICS, "Panics").inc();
        metrics.clone().register_counter(metric::PANICS, "Panics").inc();
        let text = metrics.encode();
        assert_eq!(text.matches("# TYPE").count(), 1, "{text}");
        assert!(text.contains("gateway_panics_total 2"), "{text}");
    }

    #[test]
    fn label_sets_go_with_their_last_user() {
        let metrics = Metrics::new();
        let attempts = metrics.register_family::<Labels<1>>(metric::UPSTREAM_ATTEMPTS, "Attempts");
        let labels = || [(label::SERVICE, "orders".into())];
        let take = || metrics.use_labels(label::SERVICE, "orders", || attempts.get_or_create_owned(&labels()));
        let ((first, one), (second, two)) = (take(), take());
        one.inc();
        two.inc();
        first.end(|| panic!("another one still uses them"));
        assert!(metrics.encode().contains(r#"{service="orders"} 2"#));
        second.end(|| assert!(attempts.remove(&labels())));
        assert!(!metrics.encode().contains("orders"));
        let (third, three) = take();
        assert_eq!(three.get(), 0, "whoever comes later counts from the start");
        third.end(|| assert!(attempts.remove(&labels())));
    }

    #[test]
    fn a_name_registered_with_another_type_does_not_spoil_the_text() {
        let metrics = Metrics::new();
        metrics.register_counter(metric::PANICS, "Panics").inc();
        metrics.register_gauge(metric::PANICS, "Panics").set(9);
        let text = metrics.encode();
        assert!(text.contains("gateway_panics_total 1") && !text.contains('9'), "{text}");
    }
}
