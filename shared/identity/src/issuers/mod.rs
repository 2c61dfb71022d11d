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
use crate::measures::{CacheMeasures, IssuerFamilies};
use crate::plan::IssuerPlan;
use crate::refresh;
use crate::source::KeySource;
use crate::verify::{self, Proved, Verdict};

/// The issuers of one configuration, shared by all workers.
pub struct Issuers {
    issuers: Vec<Arc<Issuer>>,
    /// One for each issuer. A refresher ends when the last configuration with its issuer is dropped, which is when the last request of it lets go.
    refreshers: Vec<Arc<watch::Sender<()>>>,
    families: IssuerFamilies,
    measures: CacheMeasures,
    clock: Clock,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.plan.name)).finish()
    }
}

impl Issuers {
    /// The issuers of a newer configuration. Indexes, wherever they are asked for, are places in `plans`.
    ///
    /// An issuer that is as it was keeps its keys and its refresher; if all are, the very same issuers are given back. One whose terms alone have
    /// changed begins with the keys it has, under which every token is proved anew; any other begins with none. Whoever stays fetches by what it has,
    /// for the newer configuration may not come to serve.
    #[must_use]
    pub fn after(
        before: Option<&Arc<Self>>,
        plans: Vec<IssuerPlan>,
        fetcher: Arc<Fetcher>,
        tasks: &Tasks,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Self> {
        Self::after_from(before, plans, fetcher, tasks, clock, metrics)
    }

    pub(crate) fn after_from(
        before: Option<&Arc<Self>>,
        plans: Vec<IssuerPlan>,
        source: Arc<dyn KeySource>,
        tasks: &Tasks,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Self> {
        if let Some(before) = before
            && before.issuers.iter().map(|issuer| &issuer.plan).eq(&plans)
        {
            return Arc::clone(before);
        }
        let families = before.map_or_else(|| IssuerFamilies::of(metrics), |before| before.families.clone());
        let (mut issuers, mut refreshers) = (Vec::new(), Vec::new());
        for plan in plans {
            if let Some((issuer, refresher)) = before.and_then(|before| before.find(|former| *former == plan)) {
                issuers.push(Arc::clone(issuer));
                refreshers.push(Arc::clone(refresher));
                continue;
            }
            let former = before.and_then(|before| before.find(|former| plan.has_keys_of(former)));
            let measures = families.measures(plan.name());
            let issuer = Arc::new(Issuer::new(plan, Arc::clone(&source), measures));
            if let Some((former, _)) = former {
                issuer.seed(former);
            }
            let (alive, watched) = watch::channel(());
            tasks.spawn("identity.refresh", refresh::keep(Arc::clone(&issuer), clock.clone(), watched));
            issuers.push(issuer);
            refreshers.push(Arc::new(alive));
        }
        Arc::new(Self { issuers, refreshers, families, measures: CacheMeasures::of(metrics), clock: clock.clone() })
    }

    /// The first issuer whose plan `is_meant`, with its refresher.
    fn find(&self, is_meant: impl Fn(&IssuerPlan) -> bool) -> Option<(&Arc<Issuer>, &Arc<watch::Sender<()>>)> {
        self.issuers.iter().zip(&self.refreshers).find(|(issuer, _)| is_meant(&issuer.plan))
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

    /// Whether the keys that proved an entry are those held now. Their generation is one of the process, and of one issuer under one set of terms;
    /// so an entry of another configuration, in which the index meant another issuer, never passes for one of this.
    fn is_current(&self, entry: &Entry) -> bool {
        self.issuers
            .get(entry.issuer)
            .is_some_and(|issuer| issuer.keys.load().as_ref().as_ref().is_some_and(|keys| keys.generation == entry.key_set))
    }
}

#[cfg(test)]
mod reload_tests;
#[cfg(test)]
mod tests;
