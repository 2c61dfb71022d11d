//! The counters of one service, looked up once at its start.
//!
//! In: the process's metrics and the service's name. Out: handles that the request path adds to. Never: looks a label up per request;
//! codes of failed look-ups are resolved where they arise, on the control runtime.

pub mod limits;
mod outliers;
mod convergence;

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::histogram::{DURATION_BOUNDS_S, Histogram};
use telemetry::metrics::{HistogramFamily, Labels, LabelsInUse, Metrics};
use telemetry::names::{label, metric};

use crate::health::standing::Standing;
use crate::measures::convergence::Convergence;

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
    /// No head in time.
    Timeout,
    /// The deadline passed, before it began or while it waited.
    Deadline,
    /// No instance was known.
    NoInstances,
    /// Every instance was set aside.
    AllEjected,
    /// The breaker was open.
    BreakerOpen,
    /// As many waited for a place as may.
    QueueFull,
    /// No place came free in time.
    QueueTimeout,
    /// The ceiling of connections was reached.
    Overloaded,
    /// The request's own body failed, or its client stopped sending it.
    RequestBody,
}

impl Outcome {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Answered, "answered"),
        (Self::Stale, "stale"),
        (Self::ConnectFailed, "connect_failed"),
        (Self::Reset, "reset"),
        (Self::Protocol, "protocol"),
        (Self::Timeout, "timeout"),
        (Self::Deadline, "deadline"),
        (Self::NoInstances, "no_instances"),
        (Self::AllEjected, "all_ejected"),
        (Self::BreakerOpen, "breaker_open"),
        (Self::QueueFull, "queue_full"),
        (Self::QueueTimeout, "queue_timeout"),
        (Self::Overloaded, "overloaded"),
        (Self::RequestBody, "request_body"),
    ];
}

/// The metrics of one service. Its label sets go with the last service of its name.
#[derive(Debug)]
pub struct Measures {
    service: String,
    handles: Handles,
    families: Families,
    /// Whether the standings of its instances were ever shown.
    has_standings: AtomicBool,
    in_use: LabelsInUse,
}

/// What the request path adds to.
#[derive(Debug)]
pub struct Handles {
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
    /// What the limits and the breaker count.
    pub(crate) limits: limits::Limits,
    /// Ejections.
    pub(crate) outliers: outliers::Handles,
    /// From the first answer that left an instance out to the end of its last request.
    pub(crate) convergence: Histogram,
    answered: Gauge,
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
    convergence: Convergence,
    checks: Family<Labels<2>, Counter>,
    standings: Family<Labels<2>, Gauge>,
    limits: limits::Families,
    outliers: outliers::Families,
}

/// The results that attempts to connect have.
const CONNECTS: [&str; 2] = ["ok", "failed"];
/// Why attempts are repeated.
const RETRIES: [&str; 2] = ["unsent", "idempotent"];
/// In place of a word that is in none of the lists below, so that no label set is made that nobody takes out.
const OTHER: &str = "other";
/// The results that look-ups have: those of `wire::resolver::fault::NameFault`, that of a file, and a good one.
const LOOKUPS: [&str; 14] = [
    "ok",
    "no-such-name",
    "no-records",
    "not-a-name",
    "server-failure",
    "refused",
    "referral",
    "alias-loop",
    "timeout",
    "malformed",
    "unreachable",
    "no-servers",
    "unreadable",
    OTHER,
];
/// The results that active checks have.
const CHECKS: [&str; 8] = ["ok", "connect", "timeout", "reset", "status", "malformed", "not-serving", OTHER];

impl Measures {
    /// Resolves every handle of `service`; a service of the same name in a later generation counts on.
    #[must_use]
    pub fn of(service: &str, metrics: &Metrics) -> Self {
        let families = Families::of(metrics);
        let (one, two) = (one(service), |result: &'static str| two(service, label::RESULT, result));
        let resolve = || {
            let [connects_ok, connects_failed] = CONNECTS.map(|word| families.connects.get_or_create_owned(&two(word)));
            let [retries_unsent, retries_idempotent] = RETRIES.map(|word| families.retries.get_or_create_owned(&two(word)));
            Handles {
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
                limits: families.limits.resolve(&one),
                outliers: families.outliers.resolve(service),
                convergence: families.convergence.convergence.get_or_create_owned(&one),
                answered: families.convergence.answered.get_or_create_owned(&one),
            }
        };
        let (in_use, handles) = metrics.use_labels(label::SERVICE, service, resolve);
        Self { service: service.to_owned(), has_standings: AtomicBool::new(false), handles, families, in_use }
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
        self.families.lookups.get_or_create(&two(&self.service, label::RESULT, listed(&LOOKUPS, code))).inc();
    }

    /// Shows when discovery last had a good answer.
    pub(crate) fn answered(&self, unix_ms: u64) {
        self.answered.set(i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX));
    }

    /// Counts one active check; `code` is `ok` or the code of its failure. On the control runtime only.
    pub(crate) fn check(&self, code: &'static str) {
        self.families.checks.get_or_create(&two(&self.service, label::RESULT, listed(&CHECKS, code))).inc();
    }

    /// Shows how many instances stand so. On the control runtime only.
    pub(crate) fn standing(&self, standing: Standing, count: usize) {
        self.has_standings.store(true, Ordering::Relaxed);
        self.families.standings.get_or_create(&two(&self.service, label::STATE, standing.word())).set(count as i64);
    }

    /// Whether standings were ever shown, so that they must be kept true.
    pub(crate) fn tells_standings(&self) -> bool {
        self.has_standings.load(Ordering::Relaxed)
    }
}

impl Deref for Measures {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.handles
    }
}

impl Drop for Measures {
    fn drop(&mut self) {
        self.in_use.end(|| self.families.remove(&self.service));
    }
}

impl Families {
    fn of(metrics: &Metrics) -> Self {
        Self {
            attempts: metrics.register_family(metric::UPSTREAM_ATTEMPTS, "Attempts to have a request answered by an instance"),
            lookups: metrics.register_family(metric::DNS_LOOKUPS, "Look-ups of discovery, by result"),
            connects: metrics.register_family(metric::UPSTREAM_CONNECTS, "Connections to instances opened"),
            retries: metrics.register_family(metric::UPSTREAM_RETRIES, "Repeated attempts, by why"),
            retries_refused: metrics.register_family(metric::UPSTREAM_RETRIES_REFUSED, "Repeats that the retry budget refused"),
            duration: metrics.register_histogram_family(
                metric::UPSTREAM_DURATION,
                "Time until the head of the instance's answer",
                &DURATION_BOUNDS_S,
            ),
            open: metrics.register_gauge_family(metric::UPSTREAM_CONNECTIONS_OPEN, "Open connections to instances"),
            in_flight: metrics.register_gauge_family(metric::UPSTREAM_IN_FLIGHT, "Requests at instances now"),
            generations: metrics.register_family(metric::DNS_GENERATIONS, "Generations of instances that discovery has published"),
            instances: metrics.register_gauge_family(metric::INSTANCES, "Instances known now"),
            convergence: Convergence::of(metrics),
            checks: metrics.register_family(metric::HEALTH_CHECKS, "Active checks of instances, by result"),
            standings: metrics.register_gauge_family(metric::INSTANCES_HEALTH, "Instances now, by what the active checks say of them"),
            limits: limits::Families::of(metrics),
            outliers: outliers::Families::of(metrics),
        }
    }

    /// Takes out everything that speaks of `service`, whoever has made it.
    fn remove(&self, service: &str) {
        let (one, two) = (one(service), |name, word: &'static str| two(service, name, word));
        for (_, word) in Outcome::ALL {
            self.attempts.remove(&two(label::RESULT, word));
        }
        for word in CONNECTS {
            self.connects.remove(&two(label::RESULT, word));
        }
        for word in RETRIES {
            self.retries.remove(&two(label::RESULT, word));
        }
        self.retries_refused.remove(&one);
        self.duration.remove(&one);
        self.generations.remove(&one);
        self.limits.remove(&one);
        for gauge in [&self.open, &self.in_flight, &self.instances] {
            gauge.remove(&one);
        }
        self.convergence.remove(&one);
        for word in LOOKUPS {
            self.lookups.remove(&two(label::RESULT, word));
        }
        for word in CHECKS {
            self.checks.remove(&two(label::RESULT, word));
        }
        self.outliers.remove(service);
        for standing in Standing::ALL {
            self.standings.remove(&two(label::STATE, standing.word()));
        }
    }
}

/// The word if it is in the list.
fn listed(words: &[&'static str], word: &'static str) -> &'static str {
    if words.contains(&word) { word } else { OTHER }
}

fn one(service: &str) -> Labels<1> {
    [(label::SERVICE, Cow::Owned(service.to_owned()))]
}

fn two(service: &str, name: &'static str, word: &'static str) -> Labels<2> {
    [(label::SERVICE, Cow::Owned(service.to_owned())), (name, Cow::Borrowed(word))]
}

#[cfg(test)]
mod tests {
    use wire::resolver::fault::NameFault;

    use super::*;

    #[test]
    fn what_one_of_two_has_counted_goes_with_the_last() {
        let metrics = Metrics::new();
        let (first, second) = (Measures::of("orders", &metrics), Measures::of("orders", &metrics));
        first.lookup("timeout");
        first.check("connect");
        first.check("a word that nobody has listed");
        first.standing(Standing::Healthy, 1);
        drop(first);
        let text = metrics.encode();
        assert!(text.contains(r#"{service="orders",result="timeout"} 1"#) && text.contains(r#"result="other"} 1"#), "{text}");
        drop(second);
        assert!(!metrics.encode().contains("orders"), "{}", metrics.encode());
    }

    #[test]
    fn every_code_of_a_failed_look_up_is_listed() {
        let all = [
            NameFault::NoSuchName,
            NameFault::NoRecords,
            NameFault::NotAName,
            NameFault::ServerFailure(String::new()),
            NameFault::Refused,
            NameFault::Referral,
            NameFault::AliasLoop,
            NameFault::Timeout,
            NameFault::Malformed,
            NameFault::Unreachable(String::new()),
            NameFault::NoServers,
        ];
        for fault in all {
            match fault {
                // Whoever adds one to the enum comes by here, and adds it to both lists.
                NameFault::NoSuchName | NameFault::NoRecords | NameFault::NotAName | NameFault::ServerFailure(_) => {}
                NameFault::Refused | NameFault::Referral | NameFault::AliasLoop => {}
                NameFault::Timeout | NameFault::Malformed | NameFault::Unreachable(_) | NameFault::NoServers => {}
            }
            assert_eq!(listed(&LOOKUPS, fault.code()), fault.code());
        }
    }
}
