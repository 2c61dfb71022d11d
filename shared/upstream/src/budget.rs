//! The retry budget of one service: how many requests may be sent again although something of them may have reached an instance.
//!
//! In: requests, and wishes to repeat one, each with the time. Out: whether it may be repeated. Refuses: repeats beyond a share of the requests
//! of the last ten seconds and a small reserve, so that a service that is ill does not get its load multiplied. Never: a lock; more repeats
//! than that, on however many threads they are asked for.
//!
//! The way of Finagle and linkerd: requests deposit, repeats withdraw, what is older than the window is forgotten. Here both are kept per second.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::retries::BudgetPlan;

/// How long deposits and withdrawals are remembered, in seconds.
pub(crate) const WINDOW_S: u64 = 10;

/// One repeat, in the unit of the books: a request deposits `percent` of these.
const REPEAT: i64 = 100;

/// One more than the window: the second that is just being begun overwrites one that no reader counts any more.
const SLOTS: usize = WINDOW_S as usize + 1;

/// The books of one service, over all workers of the process.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// The balance of one second each: the second in the upper half, the signed balance in the lower.
    slots: [AtomicU64; SLOTS],
}

impl Budget {
    /// A request begins at `now_ms`; repeats do not count.
    pub(crate) fn deposit(&self, plan: BudgetPlan, now_ms: u64) {
        if plan.percent > 0 {
            self.book(second(now_ms), i64::from(plan.percent));
        }
    }

    /// Whether one more repeat may be made at `now_ms`; if so, it is booked.
    #[must_use]
    pub(crate) fn withdraw(&self, plan: BudgetPlan, now_ms: u64) -> bool {
        // Booked first and counted then: of two that want the last one, neither overdraws.
        let now = second(now_ms);
        let booked = self.book(now, -REPEAT);
        let reserve = i64::from(plan.per_second_min) * WINDOW_S as i64 * REPEAT;
        if reserve + self.balance(now) >= 0 {
            return true;
        }
        self.book(booked, REPEAT);
        false
    }

    /// The sum of the window that ends with the second `now`.
    fn balance(&self, now: u64) -> i64 {
        // A thread that looked at the clock a moment before another one counts what that one has booked as well.
        let counts = |stamp: u64| stamp + WINDOW_S > now;
        self.slots.iter().map(|slot| unpack(slot.load(Ordering::Acquire))).filter(|(stamp, _)| counts(*stamp)).map(|(_, sum)| sum).sum()
    }

    /// Adds `amount` to the second `now`, and says which one it went to: where a later one has taken the place already, that one.
    fn book(&self, now: u64, amount: i64) -> u64 {
        let Some(slot) = self.slots.get(now as usize % SLOTS) else { return now };
        let add = |word: u64| {
            let (stamp, sum) = unpack(word);
            Some(if stamp < now { pack(now, amount) } else { pack(stamp, sum + amount) })
        };
        match slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, add) {
            Ok(former) | Err(former) => unpack(former).0.max(now),
        }
    }
}

/// Seconds count from 1, so that an empty slot is of none.
fn second(now_ms: u64) -> u64 {
    (now_ms / 1_000 + 1).min(u64::from(u32::MAX))
}

fn pack(stamp: u64, sum: i64) -> u64 {
    // Saturating: more than twenty million requests a second are as good as that many.
    let sum = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    stamp << 32 | u64::from(sum.cast_unsigned())
}

fn unpack(word: u64) -> (u64, i64) {
    (word >> 32, i64::from((word as u32).cast_signed()))
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
