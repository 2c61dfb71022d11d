//! The circuit breaker of one service: where nearly every request fails, it refuses further ones at once for a while, and then lets one try.
//!
//! In: the end of each request, after all its attempts, each with the time. Out: whether one more may go. Refuses: requests while it is open, and all
//! but one when it has been. Never: a lock; opens because some instances fail while others serve, for what another instance answered is a success.
//!
//! Closed → open (the share of failures) → one trial (after the pause) → closed, or open again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::breaker::BreakerPlan;

/// Into so many pieces the window is parted.
const SLOTS: u64 = 10;

const STAMP_BITS: u32 = 24;
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const STAMP_MASK: u64 = (1 << STAMP_BITS) - 1;

/// In the two lowest bits of the state; above them stand the number of the last opening and a time in milliseconds.
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const TRIAL: u64 = 2;

/// Openings are counted in so many bits: a trial that is as old as so many of them has ended long ago.
const OPENING_BITS: u32 = 16;
const OPENING_MASK: u64 = (1 << OPENING_BITS) - 1;
const TIME_SHIFT: u32 = OPENING_BITS + 2;

/// How much longer a request whose body streams waits to be the one that tries: how it ends may be its client's doing.
const STREAM_MS: u64 = 1_000;

/// The books of one service, over all workers of the process.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// The requests of one piece of the window each: its number, all, and those that failed. One more than are counted, as in the retry budget.
    slots: [AtomicU64; SLOTS as usize + 1],
    /// Closed since a time, open until a time, or a trial that counts until a time.
    state: AtomicU64,
}

/// What the breaker says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// It may go.
    Go,
    /// It may go, and how it ends decides; the claim to be handed back.
    Try(u64),
    /// It may not; the next one may in so many milliseconds.
    Wait(u64),
}

/// What the end of a request has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing.
    None,
    /// It has opened, or stays open for another while.
    Opened,
    /// The trial was good.
    Closed,
}

impl Breaker {
    /// Whether it would let a request go at `now_ms`, whose body `streams` or not; claims nothing. The milliseconds to wait where it would not.
    pub(crate) fn shut(&self, now_ms: u64, streams: bool) -> Option<u64> {
        left(self.state.load(Ordering::Acquire), now_ms, streams)
    }

    /// Asks for a request at `now_ms`, whose body `streams` or not.
    pub(crate) fn ask(&self, plan: &BreakerPlan, now_ms: u64, streams: bool) -> Say {
        let state = self.state.load(Ordering::Acquire);
        if kind(state) == CLOSED {
            return Say::Go;
        }
        if let Some(left) = left(state, now_ms, streams) {
            return Say::Wait(left);
        }
        // Of those who come when the pause is over one tries. Where it is not heard of for another pause, the next one may too.
        let claim = word(now_ms + millis(plan), opening(state), TRIAL);
        match self.state.compare_exchange(state, claim, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Say::Try(claim),
            Err(other) if kind(other) == CLOSED => Say::Go,
            Err(other) => Say::Wait(left(other, now_ms, streams).unwrap_or(1)),
        }
    }

    /// The end of a request that was begun at `begun_ms` while it was closed.
    pub(crate) fn ended(&self, plan: &BreakerPlan, begun_ms: u64, now_ms: u64, failed: bool) -> Change {
        let state = self.state.load(Ordering::Acquire);
        // What began before it was last closed tells of the outage that is over.
        if kind(state) != CLOSED || begun_ms < time(state) {
            return Change::None;
        }
        let now = piece(plan, now_ms);
        self.book(now, failed);
        if !failed {
            return Change::None;
        }
        let (all, failures) = self.sums(now);
        if all < u64::from(plan.requests_min) || failures * 100 < all * u64::from(plan.failure_percent) {
            return Change::None;
        }
        let opened = word(now_ms + millis(plan), opening(state) + 1, OPEN);
        match self.state.compare_exchange(state, opened, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Change::Opened,
            Err(_) => Change::None,
        }
    }

    /// The end of the trial with that claim; `None` where it told nothing of the service, so that another one tries at once. Every trial since the
    /// last opening counts, also one that others have followed meanwhile: a service may take longer than the pause to answer, and is well.
    pub(crate) fn tried(&self, plan: &BreakerPlan, claim: u64, now_ms: u64, failed: Option<bool>) -> Change {
        let ends = |state| match failed {
            None => (state == claim).then(|| word(now_ms, opening(state), OPEN)),
            Some(_) if kind(state) == CLOSED || opening(state) != opening(claim) => None,
            Some(true) => Some(word(now_ms + millis(plan), opening(state) + 1, OPEN)),
            Some(false) => Some(word(now_ms, opening(state), CLOSED)),
        };
        match (self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, ends), failed) {
            (Err(_), _) | (Ok(_), None) => Change::None,
            (Ok(_), Some(true)) => Change::Opened,
            (Ok(_), Some(false)) => {
                self.clear();
                Change::Closed
            }
        }
    }

    /// Forgets everything; whether it was not closed. What is under way then tells it nothing.
    pub(crate) fn reset(&self, now_ms: u64) -> bool {
        let closed = |state| (kind(state) != CLOSED).then(|| word(now_ms, opening(state), CLOSED));
        let was_open = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, closed).is_ok();
        if was_open {
            self.clear();
        }
        was_open
    }

    /// Whether it is closed.
    pub(crate) fn is_closed(&self) -> bool {
        kind(self.state.load(Ordering::Relaxed)) == CLOSED
    }

    fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    fn book(&self, now: u64, failed: bool) {
        let Some(slot) = self.slots.get((now % (SLOTS + 1)) as usize) else { return };
        let add = |word: u64| {
            let (stamp, all, failures) = unpack(word);
            Some(match (now.wrapping_sub(stamp)) & STAMP_MASK {
                // More than a million in one piece are as good as that many.
                0 if all >= COUNT_MAX => word,
                0 => pack(now, all + 1, failures + u64::from(failed)),
                // Of a former window, or of another length of it.
                _ => pack(now, 1, u64::from(failed)),
            })
        };
        let _ = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// All requests and the failures of the window that ends with the piece `now`.
    fn sums(&self, now: u64) -> (u64, u64) {
        let words = self.slots.iter().map(|slot| unpack(slot.load(Ordering::Acquire)));
        // One piece ahead is that of a thread that looked at the clock a moment later.
        let counted = words.filter(|(stamp, ..)| (now + 1).wrapping_sub(*stamp) & STAMP_MASK <= SLOTS);
        counted.fold((0, 0), |(all, failures), (_, more, failed)| (all + more, failures + failed))
    }
}

/// A state: closed since a time, open until one, or a trial that counts until one.
fn word(time_ms: u64, opening: u64, kind: u64) -> u64 {
    time_ms << TIME_SHIFT | (opening & OPENING_MASK) << 2 | kind
}

fn kind(state: u64) -> u64 {
    state & 3
}

fn opening(state: u64) -> u64 {
    state >> 2 & OPENING_MASK
}

fn time(state: u64) -> u64 {
    state >> TIME_SHIFT
}

/// The milliseconds to wait in that state, if any.
fn left(state: u64, now_ms: u64, streams: bool) -> Option<u64> {
    let until = time(state) + if streams { STREAM_MS } else { 0 };
    (kind(state) != CLOSED && until > now_ms).then(|| until - now_ms)
}

fn millis(plan: &BreakerPlan) -> u64 {
    u64::try_from(plan.open.as_millis()).unwrap_or(u64::MAX) & (u64::MAX >> (TIME_SHIFT + 1))
}

/// The number of the piece of the window, from 1, so that an empty slot is of none that counts for a while.
fn piece(plan: &BreakerPlan, now_ms: u64) -> u64 {
    let length = u64::try_from(plan.window.as_millis()).unwrap_or(u64::MAX) / SLOTS;
    (now_ms / length.max(1) + SLOTS + 1) & STAMP_MASK
}

fn pack(stamp: u64, all: u64, failures: u64) -> u64 {
    stamp << (2 * COUNT_BITS) | all << COUNT_BITS | failures
}

fn unpack(word: u64) -> (u64, u64, u64) {
    (word >> (2 * COUNT_BITS), word >> COUNT_BITS & COUNT_MAX, word & COUNT_MAX)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
