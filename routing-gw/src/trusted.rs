//! Tier 1's keys as this tier holds them: from a file with the configuration, or fetched from where tier 1 publishes them.
//!
//! In: a plan. Out: a verifier, pushed by the control runtime and read without a lock. Fetches at once, then regularly with jitter, sooner after
//! failures. Refuses: a set without a usable key, as a failure to fetch. Never: drops keys because a fetch failed, or at once because
//! one fetched set lacks them; each ends when its owner said so in a set that was read here.

use std::sync::Arc;
use std::time::Duration;

use contract::assertion::{KEYS_MAX, Verifier};
use contract::signing_keys::OVERLAP_SECONDS;
use host::tier::{Control, Health};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rand::RngExt;
use serde_json::Value;
use settings::clock::Clock;
use settings::live::Live;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use wire::fetch::{FetchTerms, Fetcher};

/// Bytes of tier 1's key set at most.
pub(crate) const KEYS_BYTES_MAX: usize = 256 * 1024;

/// How long a start waits for the first set; what is missing then is told by `/readyz`.
const FIRST_SET_WITHIN: Duration = Duration::from_secs(3);

/// After a failure it is tried again after so long, then after twice as long, up to a ceiling: without any keys nothing can be served.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Whom this tier believes, as meant.
#[derive(Clone, Debug)]
pub enum TrustedPlan {
    /// By the keys of a file, which is part of the configuration.
    File(Arc<Verifier>),
    /// By the keys that tier 1 publishes.
    Url(Arc<UrlPlan>),
}

/// Keys that are fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct UrlPlan {
    /// `https://…`
    pub url: String,
    /// The time between two fetches, before jitter.
    pub refresh: Duration,
    /// Names of tiers 1 that are believed; at least one.
    pub issuers: Vec<String>,
    /// The name of this tier in assertions.
    pub audience: String,
    /// By what the address is proved; what was proved by other roots counts for nothing. `None` until the whole configuration is known.
    pub terms: Option<FetchTerms>,
}

impl TrustedPlan {
    /// The same, where what is fetched is proved by `terms`.
    #[must_use]
    pub(crate) fn under(self, terms: &FetchTerms) -> Self {
        match self {
            Self::File(verifier) => Self::File(verifier),
            Self::Url(plan) => Self::Url(Arc::new(UrlPlan { terms: Some(terms.clone()), ..UrlPlan::clone(&plan) })),
        }
    }
}

/// The keys of one configuration or more.
#[derive(Debug)]
pub(crate) struct Trusted {
    plan: TrustedPlan,
    held: Live<Held>,
    /// Whether there are keys; the fetching ends when the last configuration with this plan is dropped.
    ready: Arc<watch::Sender<bool>>,
}

/// What is held at one time.
#[derive(Clone, Debug, Default)]
struct Held {
    verifier: Option<Arc<Verifier>>,
    /// What the verifier was made from.
    document: Vec<u8>,
    fetched_at_s: Option<u64>,
    fault: Option<String>,
    failures: u32,
}

impl Trusted {
    /// The keys of a newer configuration. What is as it was stays, fetching and all; the same address under other names, proved as before, begins with
    /// the keys that are held; any other begins with none, and is waited for a moment.
    pub(crate) async fn after(before: Option<&Arc<Self>>, plan: &TrustedPlan, control: &Control) -> Arc<Self> {
        if let Some(before) = before.filter(|before| before.is_of(plan)) {
            return Arc::clone(before);
        }
        let mut held = Held::default();
        match plan {
            TrustedPlan::File(verifier) => held.verifier = Some(Arc::clone(verifier)),
            TrustedPlan::Url(url) => {
                if let Some(former) = before.and_then(|before| before.fetched_as(url)) {
                    held.verifier = verifier(&former.document, url).ok();
                    held = Held { document: former.document, fetched_at_s: former.fetched_at_s, ..held };
                }
            }
        }
        let ready = Arc::new(watch::Sender::new(held.verifier.is_some()));
        let trusted = Arc::new(Self { plan: plan.clone(), held: Live::new(held), ready });
        if let TrustedPlan::Url(plan) = plan {
            let fetching = Fetching {
                plan: Arc::clone(plan),
                held: trusted.held.clone(),
                fetcher: Arc::clone(&control.fetcher),
                clock: control.clock.clone(),
                fetched: fetches(&control.metrics, "ok"),
                failed: fetches(&control.metrics, "failed"),
                fetched_at: control.metrics.register_gauge(metric::LINK_KEYS_FETCHED, "When tier 1's published keys were last fetched"),
            };
            let (told, mut wait) = (Arc::downgrade(&trusted.ready), trusted.ready.subscribe());
            control.tasks.spawn("vouch.keys", fetching.keep_fresh(told));
            let _late = timeout(FIRST_SET_WITHIN, wait.wait_for(|ready| *ready)).await;
        }
        trusted
    }

    /// Keys of a file, for tests of others.
    #[cfg(test)]
    pub(crate) fn of_file() -> Arc<Self> {
        let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let verifier = Arc::new(Verifier::new(jwks, vec!["i".to_owned()], "a".to_owned()).expect("verifier"));
        let held = Held { verifier: Some(Arc::clone(&verifier)), ..Held::default() };
        Arc::new(Self { plan: TrustedPlan::File(verifier), held: Live::new(held), ready: Arc::new(watch::Sender::new(true)) })
    }

    fn is_of(&self, plan: &TrustedPlan) -> bool {
        match (&self.plan, plan) {
            // The same keys are the same verifier, so that what workers know by it stays known.
            (TrustedPlan::File(one), TrustedPlan::File(other)) => one == other,
            (TrustedPlan::Url(one), TrustedPlan::Url(other)) => one == other,
            (TrustedPlan::File(_), TrustedPlan::Url(_)) | (TrustedPlan::Url(_), TrustedPlan::File(_)) => false,
        }
    }

    /// What is held of the address of `other`, if it was proved in the same way.
    fn fetched_as(&self, other: &UrlPlan) -> Option<Held> {
        let held = self.held.load();
        match &self.plan {
            TrustedPlan::Url(plan) if plan.url == other.url && plan.terms == other.terms && held.verifier.is_some() => {
                Some(Held::clone(&held))
            }
            TrustedPlan::Url(_) | TrustedPlan::File(_) => None,
        }
    }

    /// Asks whom this tier believes now, without taking a share in it; `None` until the first set has come.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Arc<Verifier>) -> T) -> Option<T> {
        self.held.load().verifier.as_ref().map(question)
    }

    /// Whether the first set has come.
    pub(crate) fn is_ready(&self) -> bool {
        self.held.load().verifier.is_some()
    }

    /// For `/readyz`; a file was read before anything was served.
    pub(crate) fn health(&self, now_s: u64) -> Option<Health> {
        let TrustedPlan::Url(plan) = &self.plan else { return None };
        let held = self.held.load();
        let detail = match (&held.fault, held.fetched_at_s) {
            (None, Some(at)) => format!("{} was fetched {} s ago", plan.url, now_s.saturating_sub(at)),
            (None, None) => format!("{} is being fetched", plan.url),
            (Some(fault), _) if held.verifier.is_none() => format!("{} cannot be fetched: {fault}", plan.url),
            (Some(fault), at) => {
                let age = at.map_or_else(|| "before".to_owned(), |at| format!("{} s ago", now_s.saturating_sub(at)));
                format!("{} cannot be fetched: {fault}; the keys fetched {age} stay in use", plan.url)
            }
        };
        // However old they are: a publication that is away must not take every replica of this tier out of use at once. The gauge of their age is
        // what an alert watches.
        Some(Health { name: "link keys".to_owned(), ready: held.verifier.is_some(), detail })
    }
}

fn verifier(document: &[u8], plan: &UrlPlan) -> Result<Arc<Verifier>, String> {
    let verifier = Verifier::new(document, plan.issuers.clone(), plan.audience.clone());
    verifier.map(Arc::new).map_err(|fault| fault.to_string())
}

/// The set `fetched`, and with it those of the set that was held before, `seen_at` the last time, which it lacks: several replicas publish at one
/// address, and one whose reload was refused does not know the key that the others sign by. Each stays for one overlap after it was seen, or until
/// its own end if that is earlier, so a key that its owner took back goes then. `None` where there is nothing to add.
fn with_former(fetched: &[u8], former: &[u8], seen_at: u64, now: u64) -> Option<Vec<u8>> {
    let mut set: Value = serde_json::from_slice(fetched).ok()?;
    let mut former: Value = serde_json::from_slice(former).ok()?;
    let (Value::Array(keys), Value::Array(former)) = (set.get_mut("keys")?, former.get_mut("keys")?.take()) else { return None };
    let before = keys.len();
    for mut key in former {
        let lacks = key["kid"].is_string() && keys.iter().all(|other| other["kid"] != key["kid"]);
        let until = key["exp"].as_u64().unwrap_or(u64::MAX).min(seen_at.saturating_add(OVERLAP_SECONDS));
        if lacks && now < until && keys.len() < KEYS_MAX {
            key["exp"] = until.into();
            keys.push(key);
        }
    }
    if keys.len() == before { None } else { serde_json::to_vec(&set).ok() }
}

fn fetches(metrics: &Metrics, result: &'static str) -> Counter {
    let family: Family<Labels<1>, Counter> = metrics.register_family(metric::LINK_KEY_FETCHES, "Fetches of tier 1's published keys");
    family.get_or_create_owned(&[(label::RESULT, result.into())])
}

/// The work beside the request path.
struct Fetching {
    plan: Arc<UrlPlan>,
    held: Live<Held>,
    fetcher: Arc<Fetcher>,
    clock: Clock,
    fetched: Counter,
    failed: Counter,
    fetched_at: Gauge,
}

impl Fetching {
    /// Fetches until nobody needs the keys any more.
    async fn keep_fresh(self, told: std::sync::Weak<watch::Sender<bool>>) {
        loop {
            let outcome = self.fetch().await;
            let Some(ready) = told.upgrade() else { return };
            self.settle(outcome);
            ready.send_replace(self.held.load().verifier.is_some());
            drop(ready);
            sleep(self.rest()).await;
            if told.strong_count() == 0 {
                return;
            }
        }
    }

    async fn fetch(&self) -> Result<(Vec<u8>, Arc<Verifier>), String> {
        let document = self.fetcher.get_json(&self.plan.url, KEYS_BYTES_MAX, false).await.map_err(|fault| fault.to_string())?;
        let alone = verifier(&document, &self.plan)?;
        let now = self.clock.now_s();
        let held = self.held.load_full();
        let both = with_former(&document, &held.document, held.fetched_at_s.unwrap_or(now), now);
        let together = both.and_then(|both| verifier(&both, &self.plan).ok().map(|verifier| (both, verifier)));
        Ok(together.unwrap_or_else(|| (document.to_vec(), alone)))
    }

    fn settle(&self, outcome: Result<(Vec<u8>, Arc<Verifier>), String>) {
        let mut held = Held::clone(&self.held.load());
        match outcome {
            Ok((document, verifier)) => {
                self.fetched.inc();
                self.fetched_at.set(i64::try_from(self.clock.now_s()).unwrap_or(i64::MAX));
                // The same keys stay the same verifier, so that what workers know by it stays known.
                if held.verifier.as_ref().is_none_or(|known| **known != *verifier) {
                    tracing::info!(url = self.plan.url, "tier 1's keys were fetched");
                    held.verifier = Some(verifier);
                }
                held = Held { document, fetched_at_s: Some(self.clock.now_s()), fault: None, failures: 0, ..held };
            }
            Err(fault) => {
                self.failed.inc();
                if held.fault.as_ref() != Some(&fault) {
                    tracing::warn!(url = self.plan.url, fault, "tier 1's keys cannot be fetched; those held before stay in use");
                }
                held = Held { fault: Some(fault), failures: held.failures.saturating_add(1), ..held };
            }
        }
        self.held.store(held);
    }

    /// Up to a tenth earlier, so that many replicas do not ask all at once.
    fn rest(&self) -> Duration {
        let rest = match self.held.load().failures {
            0 => self.plan.refresh,
            failures => RETRY_FIRST.saturating_mul(1 << (failures - 1).min(10)).min(RETRY_MAX).min(self.plan.refresh),
        };
        rest.mul_f64(rand::rng().random_range(0.9..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::tls::roots::{Believed, Roots};

    use super::*;

    #[test]
    fn keys_that_were_not_fetched_for_long_are_believed_and_their_age_is_told() {
        let plan = UrlPlan {
            url: "https://security-gw.example/".to_owned(),
            refresh: Duration::from_secs(30),
            issuers: vec!["i".to_owned()],
            audience: "a".to_owned(),
            terms: None,
        };
        let TrustedPlan::File(verifier) = &Trusted::of_file().plan else { panic!("a file") };
        let held =
            Held { verifier: Some(Arc::clone(verifier)), fetched_at_s: Some(1_000), fault: Some("gone".to_owned()), ..Held::default() };
        let plan = TrustedPlan::Url(Arc::new(plan));
        let trusted = Trusted { plan, held: Live::new(held), ready: Arc::new(watch::Sender::new(true)) };
        let health = trusted.health(91_000).expect("it fetches");
        assert!(health.ready && trusted.is_ready(), "{health:?}");
        assert!(health.detail.contains("gone; the keys fetched 90000 s ago stay in use"), "{health:?}");
        let TrustedPlan::Url(plan) = &trusted.plan else { panic!("an address") };
        let renamed = UrlPlan { issuers: vec!["j".to_owned()], ..UrlPlan::clone(plan) };
        assert!(trusted.fetched_as(&renamed).is_some());
        let other = FetchTerms::of(Believed::read(&Roots::WebPki).expect("roots"));
        assert!(trusted.fetched_as(&UrlPlan { terms: Some(other), ..renamed }).is_none(), "it was proved by other roots");
    }

    /// kid and `exp` of each key that is held after `fetched` came at `now`.
    fn held(fetched: &Value, former: &Value, seen_at: u64, now: u64) -> Option<Vec<(String, Option<u64>)>> {
        let both = with_former(fetched.to_string().as_bytes(), former.to_string().as_bytes(), seen_at, now)?;
        let both: Value = serde_json::from_slice(&both).expect("JSON");
        let keys = both["keys"].as_array().expect("keys").iter();
        Some(keys.map(|key| (key["kid"].as_str().expect("kid").to_owned(), key["exp"].as_u64())).collect())
    }

    #[test]
    fn a_set_of_a_stale_replica_takes_no_key_away_for_one_overlap() {
        let stale = json!({ "keys": [{ "kid": "old" }] });
        let fresh = json!({ "keys": [{ "kid": "old", "exp": 1_240 }, { "kid": "new" }] });
        let both = [("old".to_owned(), None), ("new".to_owned(), Some(1_120))];
        assert_eq!(held(&stale, &fresh, 1_000, 1_030), Some(both.to_vec()));
        // Again and again it is missing: its time is not drawn out.
        let kept = json!({ "keys": [{ "kid": "old" }, { "kid": "new", "exp": 1_120 }] });
        assert_eq!(held(&stale, &kept, 1_030, 1_119), Some(both.to_vec()));
        assert_eq!(held(&stale, &kept, 1_030, 1_120), None);
        // A key that is there again is as it is published.
        assert_eq!(held(&fresh, &kept, 1_030, 1_060), None);
        // An end that its owner told stands.
        let without = json!({ "keys": [{ "kid": "new" }] });
        let ended = json!({ "keys": [{ "kid": "old", "exp": 1_040 }] });
        assert_eq!(held(&without, &ended, 1_030, 1_039).map(|keys| keys.len()), Some(2));
        assert_eq!(held(&without, &ended, 1_030, 1_040), None);
    }

    #[test]
    fn what_is_kept_of_former_sets_has_a_ceiling() {
        let full =
            |from: usize| json!({ "keys": (from..from + KEYS_MAX).map(|kid| json!({ "kid": kid.to_string() })).collect::<Vec<_>>() });
        assert_eq!(held(&full(0), &full(100), 10, 10), None);
        let one = json!({ "keys": [{ "kid": "one" }] });
        assert_eq!(held(&one, &full(0), 10, 10).map(|keys| keys.len()), Some(KEYS_MAX));
        assert!(with_former(b"{\"keys\":[]}", b"", 10, 10).is_none());
    }
}
