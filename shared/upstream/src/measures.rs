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

/// The metrics of one service. Its label sets go with the last service of its name.
#[derive(Debug)]
pub struct Measures {
    service: String,
    families: Families,
    in_use: LabelsInUse,
    /// Label sets that were made where they arose, to be taken out at the end.
    arisen: Mutex<BTreeSet<Arisen>>,
    attempts: [Counter; Outcome::ALL.len()],
    /// Connections made.
    pub(crate) connects_ok: Counter,
    /// Connections that could not be made.
    pub(crate) connects_failed: Counter,
    /// Attempts that followed another one, by why: nothing had been sent, or the method allows it.
    pub(crate) retries_unsent: Counter,
    /// See `retries_unsent`.
    pub(crate) retries_idempotent: Counter,
    /// Repeats that the budget refused.
    pub(crate) retries_refused: Counter,
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

/// A label set that is made where its word arises, on the control runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arisen {
    Lookup(&'static str),
    Check(&'static str),
    Standing(&'static str),
}

/// All families that speak of services.
#[derive(Clone, Debug)]
struct Families {
    attempts: Family<Labels<2>, Counter>,
    lookups: Family<Labels<2>, Counter>,
    connects: Family<Labels<2>, Counter>,
    retries: Family<Labels<2>, Counter>,
    retries_refused: Family<Labels<1>, Counter>,
    duration: HistogramFamily<Labels<1>>,
    open: Family<Labels<1>, Gauge>,
    in_flight: Family<Labels<1>, Gauge>,
    generations: Family<Labels<1>, Counter>,
    instances: Family<Labels<1>, Gauge>,
    checks: Family<Labels<2>, Counter>,
    standings: Family<Labels<2>, Gauge>,
}

/// The results that attempts to connect have.
const CONNECTS: [&str; 2] = ["ok", "failed"];
/// Why attempts are repeated.
const RETRIES: [&str; 2] = ["unsent", "idempotent"];

impl Measures {
    /// Resolves every handle of `service`; a service of the same name in a later generation counts on.
    #[must_use]
    pub fn of(service: &str, metrics: &Metrics) -> Self {
        let families = Families::of(metrics);
        let (one, two) = (one(service), |result: &'static str| two(service, label::RESULT, result));
        let (in_use, measures) = metrics.use_labels(label::SERVICE, service, || {
            let [connects_ok, connects_failed] = CONNECTS.map(|word| families.connects.get_or_create_owned(&two(word)));
            let [retries_unsent, retries_idempotent] = RETRIES.map(|word| families.retries.get_or_create_owned(&two(word)));
            move |in_use, families: Families| Self {
                service: service.to_owned(),
                attempts: Outcome::ALL.map(|(_, word)| families.attempts.get_or_create_owned(&two(word))),
                connects_ok,
                connects_failed,
                retries_unsent,
                retries_idempotent,
                retries_refused: families.retries_refused.get_or_create_owned(&one),
                duration: families.duration.get_or_create_owned(&one),
                open: families.open.get_or_create_owned(&one),
                in_flight: families.in_flight.get_or_create_owned(&one),
                generations: families.generations.get_or_create_owned(&one),
                instances: families.instances.get_or_create_owned(&one),
                arisen: Mutex::default(),
                in_use,
                families,
            }
        });
        measures(in_use, families.clone())
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
