//! The counters of identity, looked up once at the start.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};

/// What is counted of one issuer.
#[derive(Debug)]
pub(crate) struct IssuerMeasures {
    /// Key sets read.
    pub(crate) fetched: Counter,
    /// Key sets that could not be read.
    pub(crate) failed: Counter,
    /// Usable keys held now.
    pub(crate) keys: Gauge,
}

impl IssuerMeasures {
    pub(crate) fn of(metrics: &Metrics, issuer: &str) -> Self {
        let fetches = metrics.register_family::<Labels<2>>(metric::KEY_FETCHES, "Reads of an issuer's key set");
        let fetches_of = |result: &'static str| {
            fetches.get_or_create_owned(&[(label::ISSUER, Cow::Owned(issuer.to_owned())), (label::RESULT, Cow::Borrowed(result))])
        };
        let keys = metrics.register_gauge_family::<Labels<1>>(metric::KEYS, "Usable keys held of an issuer");
        Self {
            fetched: fetches_of("ok"),
            failed: fetches_of("failed"),
            keys: keys.get_or_create_owned(&[(label::ISSUER, Cow::Owned(issuer.to_owned()))]),
        }
    }
}

/// What is counted of the cache of verified tokens, over all workers.
#[derive(Debug)]
pub(crate) struct CacheMeasures {
    /// Tokens found.
    pub(crate) hits: Counter,
    /// Tokens that had to be verified.
    pub(crate) misses: Counter,
}

impl CacheMeasures {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let family = metrics.register_family::<Labels<1>>(metric::TOKEN_CACHE, "Look-ups in the cache of verified tokens");
        let of = |result: &'static str| family.get_or_create_owned(&[(label::RESULT, Cow::Borrowed(result))]);
        Self { hits: of("hit"), misses: of("miss") }
    }
}
