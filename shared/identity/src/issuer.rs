//! One issuer at run time: its keys, and the desk at which requests ask for newer ones.
//!
//! Workers read the keys and may ask at the desk; the refresher on the control runtime (`refresh`) alone fetches and replaces them. However many
//! requests ask, one fetch answers them all, and fetches keep a distance.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use settings::live::Live;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::absent::Absent;
use crate::key_set::KeySet;
use crate::measures::IssuerMeasures;
use crate::plan::{IssuerPlan, KeysPlan};
use crate::source::KeySource;

/// The shortest time between two fetches from an issuer.
pub(crate) const FETCH_FLOOR: Duration = Duration::from_secs(5);

/// How often a key file is looked at.
pub(crate) const FILE_POLL: Duration = Duration::from_secs(1);

/// The longest time that a request waits for a fetch.
pub(crate) const ASK_WAIT: Duration = Duration::from_secs(2);

/// The longest time that a request waits for a fetch to begin; the rest of `ASK_WAIT` is for the fetch itself.
pub(crate) const ASK_WAIT_BEGIN: Duration = Duration::from_secs(1);

/// The most requests that wait for one issuer at the same time.
pub(crate) const ASKERS_MAX: usize = 1024;

/// The longest `kid` that is asked for, in bytes.
pub(crate) const KID_BYTES_MAX: usize = 256;

/// What asking for a newer key set led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A fetch succeeded meanwhile: look again.
    Fresh,
    /// The issuer was asked lately, and has no such key.
    Absent,
    /// It cannot be said: the issuer does not answer, or not in time.
    Unknown,
}

/// One issuer.
pub(crate) struct Issuer {
    pub(crate) plan: IssuerPlan,
    pub(crate) keys: Live<Option<KeySet>>,
    /// Where documents are fetched; a newer configuration may bring another one.
    pub(crate) source: Arc<dyn KeySource>,
    pub(crate) measures: IssuerMeasures,
    desk: Mutex<Desk>,
    wake: Notify,
    /// Counts finished fetches; askers wait for the next one.
    finished: watch::Sender<u64>,
}

/// What askers and refresher tell each other; held for a few instructions, never over an await.
#[derive(Default)]
struct Desk {
    kicked: bool,
    fetching: bool,
    askers: usize,
    started: Option<Instant>,
    failures: u32,
    fault: Option<String>,
    fetched_at_s: Option<u64>,
    absent: Absent,
}

/// How a fetch ended, for the log.
pub(crate) enum Settled {
    /// The same keys as before.
    Same,
    /// Other keys than before.
    Newer,
    /// None; the fault was not told before.
    FreshFault,
    /// None, for the reason that was told before.
    StaleFault,
}

impl Issuer {
    pub(crate) fn new(plan: IssuerPlan, source: Arc<dyn KeySource>, measures: IssuerMeasures) -> Self {
        Self { plan, keys: Live::new(None), source, measures, desk: Mutex::default(), wake: Notify::new(), finished: watch::Sender::new(0) }
    }

    /// Takes over the keys of a former issuer, which are good for this one too: also while it does not answer, a change of terms refuses nobody
    /// whom the new terms admit.
    pub(crate) fn seed(&self, former: &Self) {
        if let Some(set) = former.keys.load().as_ref() {
            self.keys.store(Some(set.under_other_terms()));
            self.measures.holds(set.len());
            self.desk().fetched_at_s = former.desk().fetched_at_s;
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_file(&self) -> bool {
        matches!(self.plan.keys, KeysPlan::File(_))
    }

    /// The shortest time from one fetch to the next.
    pub(crate) fn floor(&self) -> Duration {
        if self.is_file() { FILE_POLL } else { FETCH_FLOOR }
    }

    /// The time until the next regular fetch, before jitter.
    pub(crate) fn rest(&self) -> Duration {
        let failures = self.desk().failures;
        if self.is_file() {
            return FILE_POLL;
        }
        if failures == 0 {
            return self.plan.refresh;
        }
        // Without keys nothing of this issuer can be served, so the first retries come fast; with stale keys there is no hurry.
        let first = if self.keys.load().is_some() { FETCH_FLOOR } else { Duration::from_millis(500) };
        let ceiling = Duration::from_secs(30).min(self.plan.refresh.max(first));
        first.saturating_mul(1 << (failures - 1).min(10)).min(ceiling)
    }

    /// The refresher begins a fetch.
    pub(crate) fn begin(&self) {
        let mut desk = self.desk();
        desk.kicked = false;
        desk.fetching = true;
        desk.started = Some(Instant::now());
    }

    /// The refresher ends a fetch at `now_s`.
    pub(crate) fn settle(&self, outcome: Result<KeySet, String>, now_s: u64) -> Settled {
        let settled = match outcome {
            Ok(set) => {
                let same = self.keys.load().as_ref().as_ref().is_some_and(|held| held.digest == set.digest);
                if !same {
                    self.measures.holds(set.len());
                    // Keys are replaced before askers wake, so that they find what they waited for.
                    self.keys.store(Some(set));
                }
                let mut desk = self.desk();
                (desk.fetching, desk.failures, desk.fault, desk.fetched_at_s) = (false, 0, None, Some(now_s));
                if same { Settled::Same } else { Settled::Newer }
            }
            Err(fault) => {
                let mut desk = self.desk();
                (desk.fetching, desk.failures) = (false, desk.failures.saturating_add(1));
                let told_before = desk.fault.as_ref() == Some(&fault);
                desk.fault = Some(fault);
                if told_before { Settled::StaleFault } else { Settled::FreshFault }
            }
        };
        match settled {
            // A file is looked at every second; only news counts.
            Settled::Same if self.is_file() => {}
            Settled::Same | Settled::Newer => {
                self.measures.fetched.inc();
            }
            Settled::FreshFault | Settled::StaleFault => {
                self.measures.failed.inc();
            }
        }
        self.finished.send_modify(|finished| *finished += 1);
        settled
    }

    /// Resolves when somebody asked and the floor is kept.
    pub(crate) async fn kicked(&self) {
        while !self.desk().kicked {
            self.wake.notified().await;
        }
        let started = self.desk().started;
        if let Some(started) = started {
            tokio::time::sleep_until(started + self.floor()).await;
        }
    }

    /// Asks for a key set that has `kid`, and waits a bounded time for it.
    pub(crate) async fn ask(&self, kid: &str) -> Asked {
        if kid.len() > KID_BYTES_MAX {
            return Asked::Absent;
        }
        // Subscribed before the desk is asked, so that no fetch can end unseen in between.
        let mut finished = self.finished.subscribe();
        let Some(_asker) = self.queue(kid) else { return self.standing(kid) };
        match timeout(ASK_WAIT, finished.changed()).await {
            Ok(Ok(())) => self.answer(kid),
            Ok(Err(_)) | Err(_) => Asked::Unknown,
        }
    }

    /// Joins the askers, and wakes the refresher if no fetch is under way. `None` when waiting would be in vain.
    fn queue(&self, kid: &str) -> Option<Asker<'_>> {
        let now = Instant::now();
        let mut desk = self.desk();
        let may_start = desk.started.map_or(now, |started| started + self.floor());
        if desk.absent.has(kid, now) || desk.askers >= ASKERS_MAX || (!desk.fetching && may_start > now + ASK_WAIT_BEGIN) {
            return None;
        }
        desk.askers += 1;
        if !desk.fetching && !desk.kicked {
            desk.kicked = true;
            self.wake.notify_one();
        }
        Some(Asker(self))
    }

    /// What can be said without waiting: the last fetch is young enough to speak for itself.
    fn standing(&self, kid: &str) -> Asked {
        let desk = self.desk();
        if desk.absent.has(kid, Instant::now()) || (desk.failures == 0 && desk.askers < ASKERS_MAX) {
            Asked::Absent
        } else {
            Asked::Unknown
        }
    }

    /// What the fetch that was waited for says about `kid`.
    fn answer(&self, kid: &str) -> Asked {
        let known = self.keys.load().as_ref().as_ref().is_some_and(|set| set.has(kid));
        let mut desk = self.desk();
        if known {
            Asked::Fresh
        } else if desk.failures == 0 {
            desk.absent.add(kid, Instant::now());
            Asked::Absent
        } else {
            Asked::Unknown
        }
    }

    /// Resolves when there are keys.
    pub(crate) async fn has_keys(&self) {
        let mut finished = self.finished.subscribe();
        while self.keys.load().is_none() && finished.changed().await.is_ok() {}
    }

    /// Whether tokens can be verified, and a sentence for the operator.
    pub(crate) fn health(&self, now_s: u64) -> (bool, String) {
        let desk = self.desk();
        let age_s = desk.fetched_at_s.map_or(0, |at| now_s.saturating_sub(at));
        match (self.keys.load().as_ref(), &desk.fault) {
            (Some(set), None) => (true, format!("{} keys, read {age_s} s ago", set.len())),
            (Some(set), Some(fault)) => (true, format!("{} keys, read {age_s} s ago and not since: {fault}", set.len())),
            (None, Some(fault)) => (false, format!("no keys: {fault}")),
            (None, None) => (false, "no keys yet".to_owned()),
        }
    }
}

/// A request that waits; it leaves the desk however it ends.
struct Asker<'a>(&'a Issuer);

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut desk = self.0.desk();
        desk.askers = desk.askers.saturating_sub(1);
    }
}
