//! What the host counts about connections, under the names of `telemetry::names`.
//!
//! In: events of acceptors and connections. Out: metrics whose handles were resolved at boot. Never: a label that a client chose.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::histogram::Histogram;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};

/// Upper bounds of handshake times in seconds: a resumed one on a LAN takes one millisecond, a full one over a bad radio link several seconds.
const HANDSHAKE_BOUNDS: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The host's metrics.
#[derive(Debug)]
pub struct Figures {
    listeners: Vec<OfListener>,
    ended: Family<Labels<2>, Counter>,
    accept_failures: Family<Labels<2>, Counter>,
    of_worker: Family<Labels<1>, Counter>,
    /// How often accepting waited because `connections_max` was reached.
    pub accept_pauses: Counter,
    /// How often accepting waited because `accepts_per_second_max` was reached.
    pub accept_throttles: Counter,
    /// Requests during which a panic was caught.
    pub panics: Counter,
}

#[derive(Debug)]
struct OfListener {
    name: String,
    open: Gauge,
    handshakes: Histogram,
}

/// An open connection in the gauge; dropping it takes it out.
#[derive(Debug)]
pub struct CountedOpen(Gauge);

impl Drop for CountedOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Figures {
    /// Registers the metrics for listeners with these names, in the order of the plan.
    pub fn register(metrics: &Metrics, listeners: impl Iterator<Item = Arc<str>>) -> Self {
        let open = metrics.register_gauge_family::<Labels<1>>(metric::CONNECTIONS_OPEN, "Connections that are open");
        let handshakes = metrics.register_histogram_family::<Labels<1>>(
            metric::HANDSHAKE_DURATION,
            "Time of TLS handshakes that succeeded",
            HANDSHAKE_BOUNDS,
        );
        let listeners = listeners.map(|name| {
            let labels = [(label::LISTENER, name.to_string().into())];
            OfListener {
                name: name.to_string(),
                open: open.get_or_create_owned(&labels),
                handshakes: handshakes.get_or_create_owned(&labels),
            }
        });
        Self {
            listeners: listeners.collect(),
            ended: metrics.register_family(metric::CONNECTIONS, "Connections that have ended, by how"),
            accept_failures: metrics.register_family(metric::ACCEPT_FAILURES, "Connections that could not be accepted or dealt, by why"),
            of_worker: metrics.register_family(metric::WORKER_REQUESTS, "Requests that each worker has served"),
            accept_pauses: metrics
                .register_counter(metric::ACCEPT_PAUSES, "Times that accepting waited because connections_max was reached"),
            accept_throttles: metrics
                .register_counter(metric::ACCEPT_THROTTLES, "Times that accepting waited because accepts_per_second_max was reached"),
            panics: metrics.register_counter(metric::PANICS, "Panics caught while a request or connection was served"),
        }
    }

    /// The requests of one worker.
    #[must_use]
    pub fn requests_of(&self, worker: usize) -> Counter {
        self.of_worker.get_or_create_owned(&[(label::WORKER, worker.to_string().into())])
    }

    /// A connection has begun.
    #[must_use]
    pub fn opened(&self, listener: usize) -> Option<CountedOpen> {
        let gauge = self.listeners.get(listener)?.open.clone();
        gauge.inc();
        Some(CountedOpen(gauge))
    }

    /// A connection has ended, told in the one word of its record, or by the reason where there is one.
    pub fn ended(&self, listener: usize, end: &'static str) {
        self.ended.get_or_create(&[(label::LISTENER, self.name(listener)), (label::END, end.into())]).inc();
    }

    /// A handshake has succeeded.
    pub fn shaken(&self, listener: usize, took: Duration) {
        if let Some(listener) = self.listeners.get(listener) {
            listener.handshakes.observe_duration(took);
        }
    }

    /// A connection was lost before anyone could serve it.
    pub fn accept_failed(&self, listener: usize, reason: &'static str) {
        self.accept_failures.get_or_create(&[(label::LISTENER, self.name(listener)), (label::REASON, reason.into())]).inc();
    }

    fn name(&self, listener: usize) -> std::borrow::Cow<'static, str> {
        self.listeners.get(listener).map_or("unknown".into(), |listener| listener.name.clone().into())
    }
}
