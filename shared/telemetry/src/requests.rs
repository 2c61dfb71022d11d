//! Requests as both tiers count them: answered by status class, refused by reason, how long they took.
//!
//! In: the outcome of one request. Out: atomic additions on handles that were resolved at boot. Never: a look-up by name.

use std::time::Duration;

use contract::reason::Reason;
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::histogram::{DURATION_BOUNDS_S, Histogram};
use crate::metrics::{Labels, Metrics};
use crate::names::{label, metric};

/// The status classes, `1xx` first.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one process.
#[derive(Debug)]
pub struct RequestMetrics {
    by_class: [Counter; 5],
    by_reason: Vec<Counter>,
    duration: Histogram,
    in_flight: Gauge,
}

/// A request that is counted as in flight until this is dropped.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl RequestMetrics {
    /// Registers the metrics; a process that does so again counts on.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let requests = metrics.register_family::<Labels<1>>(metric::REQUESTS, "Requests answered, by status class");
        let refusals = metrics.register_family::<Labels<1>>(metric::REFUSALS, "Requests that this tier refused, by reason code");
        let by_reason = Reason::ALL.iter().map(|reason| refusals.get_or_create_owned(&[(label::REASON, reason.code().into())])).collect();
        Self {
            by_class: CLASSES.map(|class| requests.get_or_create_owned(&[(label::STATUS, class.into())])),
            by_reason,
            duration: metrics.register_histogram(
                metric::REQUEST_DURATION,
                "From a request's head to the end of its answer",
                &DURATION_BOUNDS_S,
            ),
            in_flight: metrics.register_gauge(metric::REQUESTS_IN_FLIGHT, "Requests whose answer has not ended"),
        }
    }

    /// A request has begun.
    #[must_use]
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request's answer has ended.
    pub fn answered(&self, status: StatusCode, total: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.by_class.get(class) {
            counter.inc();
        }
        self.duration.observe_duration(total);
    }

    /// This tier turned a request away.
    pub fn refused(&self, reason: Reason) {
        if let Some(counter) = self.by_reason.get(reason as usize) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_class_has_its_counter() {
        let metrics = Metrics::new();
        let requests = RequestMetrics::new(&metrics);
        let open = requests.begin();
        for reason in Reason::ALL {
            requests.refused(*reason);
        }
        requests.answered(StatusCode::OK, Duration::from_millis(1));
        requests.answered(StatusCode::NOT_FOUND, Duration::from_millis(1));
        let text = metrics.encode();
        for reason in Reason::ALL {
            let line = format!("gateway_refusals_total{{reason=\"{}\"}} 1", reason.code());
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("gateway_requests_total{status=\"2xx\"} 1"), "{text}");
        assert!(text.contains("gateway_requests_in_flight 1"), "{text}");
        drop(open);
        assert!(metrics.encode().contains("gateway_requests_in_flight 0"));
    }
}
