//! The counters of identity, looked up once at the start.
//!
//! In: the registry, and the names of issuers. Out: handles. The labels of an issuer go with the last configuration that has it, so that reloads with
//! ever new names leave nothing behind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};

/// The families of all issuers, and how many hold the labels of each name; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct IssuerFamilies(Arc<Families>);

#[derive(Debug)]
struct Families {
    fetches: Family<Labels<2>, Counter>,
    keys: Family<Labels<1>, Gauge>,
    held: Mutex<HashMap<String, usize>>,
}

/// What is counted of one issuer.
#[derive(Debug)]
pub(crate) struct IssuerMeasures {
    /// Key sets read.
    pub(crate) fetched: Counter,
    /// Key sets that could not be read.
    pub(crate) failed: Counter,
    keys: Gauge,
    name: String,
    families: IssuerFamilies,
}

impl IssuerFamilies {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self(Arc::new(Families {
            fetches: metrics.register_family(metric::KEY_FETCHES, "Reads of an issuer's key set"),
            keys: metrics.register_gauge_family(metric::KEYS, "Usable keys held of an issuer"),
            held: Mutex::default(),
        }))
    }

    /// The counters of one issuer; those of a former configuration count on.
    pub(crate) fn measures(&self, issuer: &str) -> IssuerMeasures {
        // Labels are made and taken away under the lock, so that nobody counts into what was taken away.
        let mut held = self.0.held();
        *held.entry(issuer.to_owned()).or_default() += 1;
        IssuerMeasures {
            fetched: self.0.fetches.get_or_create_owned(&fetches_labels(issuer, "ok")),
            failed: self.0.fetches.get_or_create_owned(&fetches_labels(issuer, "failed")),
            keys: self.0.keys.get_or_create_owned(&keys_labels(issuer)),
            name: issuer.to_owned(),
            families: self.clone(),
        }
    }
}

impl Families {
    fn held(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IssuerMeasures {
    /// So many usable keys are held now.
    pub(crate) fn holds(&self, keys: usize) {
        self.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }
}

impl Drop for IssuerMeasures {
    fn drop(&mut self) {
        let families = &self.families.0;
        let mut held = families.held();
        let left = held.get(&self.name).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            held.insert(self.name.clone(), left);
            return;
        }
        held.remove(&self.name);
        families.fetches.remove(&fetches_labels(&self.name, "ok"));
        families.fetches.remove(&fetches_labels(&self.name, "failed"));
        families.keys.remove(&keys_labels(&self.name));
    }
}

fn fetches_labels(issuer: &str, result: &'static str) -> Labels<2> {
    [(label::ISSUER, Cow::Owned(issuer.to_owned())), (label::RESULT, Cow::Borrowed(result))]
}

fn keys_labels(issuer: &str) -> Labels<1> {
    [(label::ISSUER, Cow::Owned(issuer.to_owned()))]
}

/// What is counted of the cache of verified tokens, over all workers.
#[derive(Clone, Debug)]
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
