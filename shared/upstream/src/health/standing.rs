//! What active checks have found out about one instance.
//!
//! In: the outcome of each check. Out: one word that a pick reads from an atomic, and the facts behind it for operators. Refuses: to change
//! its mind for one lost packet (the thresholds). What an instance says of itself counts at once, for it is no noise. Never: does I/O.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::health::Word;
use contract::treaty;

use crate::plan::health::HealthPlan;
use crate::snapshot::HealthSnapshot;

/// More workers than this are not sought out, however many an instance names.
const BREADTH_MAX: u32 = 256;

/// What a check came to: what the instance said, if it is of a build that says anything; or a stable code of failure.
pub(crate) type Outcome = Result<Option<Word>, &'static str>;

/// How an instance stands. The order is that of [`Standing::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not known: it is not checked, and used like a healthy one; or it has neither passed a check nor failed enough, and comes after those.
    Unknown,
    /// It passes its checks.
    Healthy,
    /// It says that it is leaving. It answers whatever comes until then, and is sent nothing while another one serves.
    Draining,
    /// It says that it cannot serve any request yet.
    NotReady,
    /// It fails its checks.
    Unhealthy,
    /// It speaks a treaty that is not understood here. It is never used.
    Foreign,
}

impl Standing {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [Self::Unknown, Self::Healthy, Self::Draining, Self::NotReady, Self::Unhealthy, Self::Foreign];

    /// The word for it in metrics, logs and `/services`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
            Self::Unhealthy => "unhealthy",
            Self::Foreign => "treaty_not_understood",
        }
    }

    fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Unknown)
    }
}

/// The standing of one instance and the facts behind it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    standing: AtomicU8,
    leavings: AtomicU32,
    breadth: AtomicU32,
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    checked_at_ms: Option<u64>,
    passed: u32,
    failed: u32,
    failure: Option<&'static str>,
    word: Option<Word>,
}

/// What a check has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// Whether it was the first one.
    pub(crate) is_first: bool,
    /// The standing before.
    pub(crate) was: Standing,
    /// The standing now.
    pub(crate) is: Standing,
}

impl Checked {
    /// The standing now; one relaxed load.
    pub(crate) fn standing(&self) -> Standing {
        Standing::from_number(self.standing.load(Ordering::Relaxed))
    }

    /// How often the instance was found to leave.
    pub(crate) fn leavings(&self) -> u32 {
        self.leavings.load(Ordering::Relaxed)
    }

    /// By how many workers the instance serves, as far as it says; [`BREADTH_MAX`] at most.
    pub(crate) fn breadth(&self) -> usize {
        self.breadth.load(Ordering::Relaxed) as usize
    }

    /// Whether there was a check at all.
    pub(crate) fn was_checked(&self) -> bool {
        self.facts().checked_at_ms.is_some()
    }

    /// Takes in the outcome of one check that ended at `now_ms` (Unix time).
    pub(crate) fn learn(&self, outcome: Outcome, plan: &HealthPlan, now_ms: u64) -> Learnt {
        let mut facts = self.facts();
        let was = self.standing();
        let is_first = facts.checked_at_ms.replace(now_ms).is_none();
        if let Ok(Some(word)) = &outcome {
            self.breadth.store(word.workers.min(BREADTH_MAX), Ordering::Relaxed);
        }
        let is = match outcome {
            Ok(word) => facts.passed(word, was, plan),
            Err(code) => facts.failed(code, was, plan),
        };
        if is == Standing::Draining && was != is {
            self.leavings.fetch_add(1, Ordering::Relaxed);
        }
        self.standing.store(is as u8, Ordering::Relaxed);
        Learnt { is_first, was, is }
    }

    /// A connection could not be made: whoever is there next is another process, of which the checks have said nothing yet. `true` when the
    /// standing has changed.
    pub(crate) fn doubt(&self) -> bool {
        // The lock keeps a check that ends just now from being doubted unread.
        let _facts = self.facts();
        let is_doubted = self.standing() == Standing::Healthy;
        if is_doubted {
            self.standing.store(Standing::Unknown as u8, Ordering::Relaxed);
        }
        is_doubted
    }

    /// Nobody checks it any more.
    pub(crate) fn forget(&self) {
        *self.facts() = Facts::default();
        self.breadth.store(0, Ordering::Relaxed);
        self.standing.store(Standing::Unknown as u8, Ordering::Relaxed);
    }

    /// The facts as operators see them; `None` when there was no check.
    pub(crate) fn snapshot(&self) -> Option<HealthSnapshot> {
        let facts = self.facts();
        let word = facts.word.as_ref();
        Some(HealthSnapshot {
            checked_at_ms: facts.checked_at_ms?,
            state: self.standing().word(),
            failure: facts.failure,
            treaty: word.map(|word| word.treaty),
            build: word.map(|word| word.build.clone()),
            generation: word.map(|word| word.generation),
            draining: word.map(|word| word.draining),
        })
    }

    /// Every fact is whole between two statements, so that a panic elsewhere does not spoil them.
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn passed(&mut self, word: Option<Word>, was: Standing, plan: &HealthPlan) -> Standing {
        self.failed = 0;
        self.failure = None;
        self.passed = self.passed.saturating_add(1);
        self.word = word;
        match &self.word {
            Some(word) if !treaty::is_adjacent(word.treaty) => Standing::Foreign,
            _ if was == Standing::Unhealthy && self.passed < plan.healthy_threshold => Standing::Unhealthy,
            Some(word) if word.draining => Standing::Draining,
            Some(word) if !word.ready => Standing::NotReady,
            _ => Standing::Healthy,
        }
    }

    fn failed(&mut self, code: &'static str, was: Standing, plan: &HealthPlan) -> Standing {
        self.passed = 0;
        self.failure = Some(code);
        self.failed = self.failed.saturating_add(1);
        // What is never used is not used the more for failing its checks.
        if self.failed >= plan.unhealthy_threshold && was != Standing::Foreign { Standing::Unhealthy } else { was }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::health::ProbePlan;

    const PLAN: HealthPlan = HealthPlan {
        probe: ProbePlan::Link,
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        unhealthy_threshold: 3,
        healthy_threshold: 2,
    };

    fn word() -> Word {
        Word { tier: "routing-gw".into(), treaty: 1, build: "1".into(), generation: 1, draining: false, ready: true, workers: 4 }
    }

    fn course(outcomes: impl IntoIterator<Item = Outcome>) -> Vec<Standing> {
        let checked = Checked::default();
        outcomes.into_iter().map(|outcome| checked.learn(outcome, &PLAN, 1).is).collect()
    }

    #[test]
    fn who_refused_a_connection_is_believed_to_be_well_after_the_next_check_alone() {
        let checked = Checked::default();
        assert!(!checked.doubt(), "nothing was known");
        checked.learn(Ok(Some(word())), &PLAN, 1);
        assert!(checked.doubt());
        assert_eq!(checked.standing(), Standing::Unknown);
        assert!(!checked.doubt());
        // Another process in its place, which has found no instances yet.
        checked.learn(Ok(Some(Word { ready: false, ..word() })), &PLAN, 2);
        assert!(!checked.doubt() && checked.standing() == Standing::NotReady, "what is worse stays");
        checked.learn(Ok(Some(word())), &PLAN, 3);
        assert_eq!(checked.standing(), Standing::Healthy);
    }

    #[test]
    fn noise_changes_nothing_in_either_direction() {
        use Standing::{Healthy, Unhealthy, Unknown};
        let lost = || Err("timeout");
        assert_eq!(course([lost(), lost(), lost()]), [Unknown, Unknown, Unhealthy]);
        let well = || Ok(Some(word()));
        let seen = course([well(), lost(), lost(), well(), lost(), lost(), lost(), well(), lost(), well(), well()]);
        assert_eq!(seen, [Healthy, Healthy, Healthy, Healthy, Healthy, Healthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy]);
    }

    #[test]
    fn its_own_word_counts_at_once() {
        let draining = Ok(Some(Word { draining: true, ..word() }));
        let not_ready = Ok(Some(Word { ready: false, ..word() }));
        let foreign = || Ok(Some(Word { treaty: contract::TREATY as u64 + 2, ..word() }));
        let next = Ok(Some(Word { treaty: contract::TREATY as u64 + 1, ..word() }));
        let seen = course([Ok(None), draining, not_ready, foreign(), Err("connect"), Err("connect"), Err("connect"), next]);
        use Standing::{Draining, Foreign, Healthy, NotReady};
        assert_eq!(seen, [Healthy, Draining, NotReady, Foreign, Foreign, Foreign, Foreign, Healthy]);
    }

    #[test]
    fn the_facts_are_shown_and_forgotten() {
        let checked = Checked::default();
        assert!(checked.snapshot().is_none() && !checked.was_checked());
        assert!(checked.learn(Ok(Some(word())), &PLAN, 77).is_first);
        let shown = checked.snapshot().expect("checked");
        assert_eq!((shown.checked_at_ms, shown.state, shown.treaty, shown.build.as_deref()), (77, "healthy", Some(1), Some("1")));
        checked.learn(Err("timeout"), &PLAN, 78);
        assert_eq!(checked.snapshot().expect("checked").failure, Some("timeout"));
        checked.forget();
        assert!(checked.snapshot().is_none() && checked.standing() == Standing::Unknown);
    }

    #[test]
    fn every_standing_comes_back_from_its_number() {
        for standing in Standing::ALL {
            assert_eq!(Standing::from_number(standing as u8), standing);
        }
    }
}
