//! The counters of one service, looked up once at its start.
//!
//! In: the process's metrics and the service's name. Out: handles that the request path adds to. Never: looks a label up per request;
//! codes of failed look-ups are resolved where they arise, on the control runtime.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::histogram::{DURATION_BOUNDS_S, Histogram};
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};

/// How one attempt at an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The head of a response came.
    Answered,
    /// A pooled connection was dead before anything was written; repeated free of charge.
    Stale,
    /// No connection could be made.
    ConnectFailed,
    /// The connection ended before the head.
    Reset,
    /// The answer was no lawful HTTP.
    Protocol,
    /// No head in time, or the deadline passed.
    Timeout,
    /// No instance was known.
    NoInstances,
    /// The ceiling of connections was reached.
    Overloaded,
    /// The request's own body failed, or its client stopped sending it.
    RequestBody,
}

impl Outcome {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Answered, "answered"),
        (Self::Stale, "stale"),
        (Self::ConnectFailed, "connect_failed"),
        (Self::Reset, "reset"),
        (Self::Protocol, "protocol"),
        (Self::Timeout, "timeout"),
        (Self::NoInstances, "no_instances"),
        (Self::Overloaded, "overloaded"),
        (Self::RequestBody, "request_body"),
    ];
}

/// The metrics of one service.
#[derive(Debug)]
pub struct Measures {
    service: String,
    attempts: [Counter; Outcome::ALL.len()],
    lookups: Family<Labels<2>, Counter>,
    /// Connections made.
    pub(crate) connects_ok: Counter,
    /// Connections that could not be made.
    pub(crate) connects_failed: Counter,
    /// Attempts that followed another one, by why: nothing had been sent, or the method allows it.
    pub(crate) retries_unsent: Counter,
    /// See `retries_unsent`.
    pub(crate) retries_idempotent: Counter,
    /// From the start of a request to the head of its response.
    pub(crate) duration: Histogram,
    /// Connections open now.
    pub(crate) open: Gauge,
    /// Requests under way now.
    pub(crate) in_flight: Gauge,
    /// Generations published.
    pub(crate) generations: Counter,
    /// Instances known now.
    pub(crate) instances: Gauge,
}

impl Measures {
    /// Resolves every handle of `service`; a service of the same name in a later generation counts on.
    #[must_use]
    pub fn of(service: &str, metrics: &Metrics) -> Self {
        let one = || [(label::SERVICE, Cow::Owned(service.to_owned()))];
        let two = |result: &'static str| labels(service, result);
        let attempts: Family<Labels<2>, Counter> =
            metrics.register_family(metric::UPSTREAM_ATTEMPTS, "Attempts to have a request answered by an instance");
        let connects: Family<Labels<2>, Counter> = metrics.register_family(metric::UPSTREAM_CONNECTS, "Connections to instances opened");
        let retries: Family<Labels<2>, Counter> = metrics.register_family(metric::UPSTREAM_RETRIES, "Repeated attempts, by why");
        let duration = metrics.register_histogram_family::<Labels<1>>(
            metric::UPSTREAM_DURATION,
            "Time until the head of the instance's answer",
            &DURATION_BOUNDS_S,
        );
        let open: Family<Labels<1>, Gauge> =
            metrics.register_gauge_family(metric::UPSTREAM_CONNECTIONS_OPEN, "Open connections to instances");
        let in_flight: Family<Labels<1>, Gauge> = metrics.register_gauge_family(metric::UPSTREAM_IN_FLIGHT, "Requests at instances now");
        let generations: Family<Labels<1>, Counter> =
            metrics.register_family(metric::DNS_GENERATIONS, "Generations of instances that discovery has published");
        let instances: Family<Labels<1>, Gauge> = metrics.register_gauge_family(metric::INSTANCES, "Instances known now");
        Self {
            service: service.to_owned(),
            attempts: Outcome::ALL.map(|(_, word)| attempts.get_or_create_owned(&two(word))),
            lookups: metrics.register_family(metric::DNS_LOOKUPS, "Look-ups of discovery, by result"),
            connects_ok: connects.get_or_create_owned(&two("ok")),
            connects_failed: connects.get_or_create_owned(&two("failed")),
            retries_unsent: retries.get_or_create_owned(&two("unsent")),
            retries_idempotent: retries.get_or_create_owned(&two("idempotent")),
            duration: duration.get_or_create_owned(&one()),
            open: open.get_or_create_owned(&one()),
            in_flight: in_flight.get_or_create_owned(&one()),
            generations: generations.get_or_create_owned(&one()),
            instances: instances.get_or_create_owned(&one()),
        }
    }

    /// Counts one attempt.
    pub(crate) fn attempt(&self, outcome: Outcome) {
        if let Some(counter) = Outcome::ALL.iter().position(|(one, _)| *one == outcome).and_then(|place| self.attempts.get(place)) {
            counter.inc();
        }
    }

    /// Attempts counted so far with this outcome.
    #[must_use]
    pub fn attempts(&self, outcome: Outcome) -> u64 {
        Outcome::ALL.iter().position(|(one, _)| *one == outcome).and_then(|place| self.attempts.get(place)).map_or(0, Counter::get)
    }

    /// Counts one look-up; `code` is `ok` or the code of its failure. On the control runtime only.
    pub(crate) fn lookup(&self, code: &'static str) {
        self.lookups.get_or_create(&labels(&self.service, code)).inc();
    }
}

fn labels(service: &str, result: &'static str) -> Labels<2> {
    [(label::SERVICE, Cow::Owned(service.to_owned())), (label::RESULT, Cow::Borrowed(result))]
}
