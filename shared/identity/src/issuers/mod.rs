//! All issuers of a configuration at run time, and the one question that the corridor asks: who is this?
//!
//! In: a bearer token and the issuers that a rule admits. Out: a caller or a reason. A token that was verified before costs one digest; a token whose
//! key is unknown may wait a bounded time for a newer key set; every other token is answered from what is at hand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use contract::caller::Caller;
use contract::reason::Reason;
use settings::clock::Clock;
use telemetry::metrics::Metrics;
use tokio::sync::watch;
use tokio::time::timeout_at;
use wire::fetch::Fetcher;
use wire::tasks::Tasks;

use crate::cache::{Entry, TokenCache};
use crate::issuer::{Asked, Issuer};
use crate::key_set::sha256;
use crate::measures::{CacheMeasures, IssuerMeasures};
use crate::plan::IssuerPlan;
use crate::refresh;
use crate::source::KeySource;
use crate::verify::{self, Proved, Verdict};

/// The issuers of one configuration, shared by all workers.
pub struct Issuers {
    issuers: Vec<Arc<Issuer>>,
    measures: CacheMeasures,
    clock: Clock,
    /// The refreshers end when this is dropped, which is when the last worker of a former configuration lets go.
    _alive: watch::Sender<()>,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.plan.name)).finish()
    }
}

impl Issuers {
    /// Starts the refresher of every issuer. Indexes, wherever they are asked for, are places in `plans`.
    #[must_use]
    pub fn start(plans: Vec<IssuerPlan>, fetcher: Arc<Fetcher>, tasks: &Tasks, clock: &Clock, metrics: &Metrics) -> Arc<Self> {
        Self::start_from(plans, fetcher, tasks, clock, metrics)
    }

    pub(crate) fn start_from(
        plans: Vec<IssuerPlan>,
        source: Arc<dyn KeySource>,
        tasks: &Tasks,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let (alive, watched) = watch::channel(());
        let issuers: Vec<_> = plans
            .into_iter()
            .map(|plan| (IssuerMeasures::of(metrics, &plan.name), plan))
            .map(|(measures, plan)| Arc::new(Issuer::new(plan, measures)))
            .collect();
        for issuer in &issuers {
            tasks.spawn("identity.refresh", refresh::keep(Arc::clone(issuer), Arc::clone(&source), clock.clone(), watched.clone()));
        }
        Arc::new(Self { issuers, measures: CacheMeasures::of(metrics), clock: clock.clone(), _alive: alive })
    }

    /// Waits until every issuer has keys, at most for `within`. Says whether all have.
    pub async fn wait_first(&self, within: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + within;
        let mut all = true;
        for issuer in &self.issuers {
            all &= timeout_at(deadline, issuer.has_keys()).await.is_ok();
        }
        all
    }

    /// Each issuer's name, whether its tokens can be verified, and a sentence for the operator.
    #[must_use]
    pub fn health(&self) -> Vec<(String, bool, String)> {
        let now_s = self.clock.now_s();
        self.issuers
            .iter()
            .map(|issuer| {
                let (ready, detail) = issuer.health(now_s);
                (issuer.plan.name.to_string(), ready, detail)
            })
            .collect()
    }

    /// Verifies `token` at `now` (Unix seconds) by the keys at hand, for a rule that admits the issuers of the indexes `allowed`.
    #[must_use]
    pub fn verify(&self, token: &str, allowed: &[usize], now: u64) -> Verdict {
        verify::verify(&self.issuers, token, allowed, now)
    }

    /// Who sent `token`, at `now` (Unix seconds), for a rule that admits the issuers of the indexes `allowed`. Waits for a key fetch only when the
    /// token's `kid` is unknown, and at most two seconds. `cache` is the worker's own.
    ///
    /// # Errors
    /// One closed reason.
    pub async fn authenticate(&self, cache: &TokenCache, token: &str, allowed: &[usize], now: u64) -> Result<Arc<Caller>, Reason> {
        // A ceiling before the digest: what no issuer takes is not worth hashing.
        if self.issuers.iter().all(|issuer| token.len() > issuer.plan.token_bytes_max) {
            return Err(if self.issuers.is_empty() { Reason::TokenIssuerUnknown } else { Reason::TokenTooLarge });
        }
        let digest = sha256(token.as_bytes());
        if let Some((caller, issuer)) = cache.find(&digest, now, |entry| self.is_current(entry)) {
            self.measures.hits.inc();
            return if allowed.contains(&issuer) { Ok(caller) } else { Err(Reason::TokenIssuerUnknown) };
        }
        self.measures.misses.inc();
        let proved = match self.verify(token, allowed, now) {
            Verdict::Proved(proved) => proved,
            Verdict::Refused(reason) => return Err(reason),
            Verdict::KeyUnknown { issuer, kid } => self.after_asking(issuer, &kid, token, allowed, now).await?,
        };
        let Proved { caller, valid_until, key_set, issuer } = proved;
        cache.keep(digest, Entry { caller: Arc::clone(&caller), valid_until, issuer, key_set });
        Ok(caller)
    }

    async fn after_asking(&self, issuer: usize, kid: &str, token: &str, allowed: &[usize], now: u64) -> Result<Proved, Reason> {
        let issuer = self.issuers.get(issuer).ok_or(Reason::TokenIssuerUnknown)?;
        match issuer.ask(kid).await {
            Asked::Absent => Err(Reason::TokenKeyUnknown),
            Asked::Unknown => Err(Reason::KeysUnavailable),
            Asked::Fresh => match self.verify(token, allowed, now) {
                Verdict::Proved(proved) => Ok(proved),
                Verdict::Refused(reason) => Err(reason),
                Verdict::KeyUnknown { .. } => Err(Reason::TokenKeyUnknown),
            },
        }
    }

    fn is_current(&self, entry: &Entry) -> bool {
        self.issuers
            .get(entry.issuer)
            .is_some_and(|issuer| issuer.keys.load().as_ref().as_ref().is_some_and(|keys| keys.generation == entry.key_set))
    }
}

#[cfg(test)]
mod tests;
