//! How many connections each listener accepts per second.
//!
//! In: the rate, now and later, and each connection that was accepted. Out: how long accepting has to wait. A second's worth may come at once.
//! Never: makes one listener wait for what comes by another one, or a Unix one at all, whose peers are on a list. It is kept as one moment (generic
//! cell rate algorithm), so that nothing ticks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;

/// What may come at once.
const BURST: Duration = Duration::from_secs(1);

/// The rates of all listeners.
#[derive(Debug)]
pub(crate) struct AcceptRates(Vec<Option<AcceptRate>>);

impl AcceptRates {
    /// Of listeners with these addresses, in the order of the plan.
    pub(crate) fn new<'a>(addresses: impl Iterator<Item = &'a Address>, per_second: u32) -> Self {
        Self(addresses.map(|address| matches!(address, Address::Tcp(_)).then(|| AcceptRate::new(per_second))).collect())
    }

    /// Changes the rate of every listener.
    pub(crate) fn set(&self, per_second: u32) {
        self.0.iter().flatten().for_each(|rate| rate.set(per_second));
    }

    /// That of the listener at this place of the plan, if it has one.
    pub(crate) fn of(&self, listener: usize) -> Option<&AcceptRate> {
        self.0.get(listener)?.as_ref()
    }
}

/// The rate, and when all that was accepted so far is paid for.
#[derive(Debug)]
pub(crate) struct AcceptRate {
    per_second: AtomicU32,
    paid: Mutex<Option<Instant>>,
}

impl AcceptRate {
    /// So many per second; 1 or more.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: AtomicU32::new(per_second), paid: Mutex::new(None) }
    }

    /// Changes the rate.
    pub(crate) fn set(&self, per_second: u32) {
        self.per_second.store(per_second, Ordering::Relaxed);
    }

    /// How long the next connection has to wait; zero for not at all.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now));
        // Of a full second's worth nothing is left, and less than one connection's worth is nothing either.
        (ahead + self.cost()).saturating_sub(BURST.max(self.cost()))
    }

    /// One was accepted.
    pub(crate) fn spend(&self, now: Instant) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = paid.map_or(now, |paid| paid.max(now)).checked_add(self.cost());
    }

    fn cost(&self) -> Duration {
        BURST / self.per_second.load(Ordering::Relaxed).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_one_after_the_other() {
        let rate = AcceptRate::new(100);
        let start = Instant::now();
        for number in 0..100 {
            assert_eq!(rate.wait(start), Duration::ZERO, "{number}");
            rate.spend(start);
        }
        assert_eq!(rate.wait(start), Duration::from_millis(10));
        let later = start + Duration::from_millis(10);
        assert_eq!(rate.wait(later), Duration::ZERO);
        rate.spend(later);
        assert_eq!(rate.wait(later), Duration::from_millis(10));
        let rested = start + Duration::from_secs(100);
        let at_once = (0..1000)
            .take_while(|_| {
                rate.wait(rested).is_zero() && {
                    rate.spend(rested);
                    true
                }
            })
            .count();
        assert_eq!(at_once, 100, "rest is not saved up");
    }

    #[test]
    fn listeners_do_not_wait_for_each_other() {
        let addresses =
            [Address::Tcp(([127, 0, 0, 1], 1).into()), Address::Tcp(([127, 0, 0, 1], 2).into()), Address::Unix("a.sock".into())];
        let rates = AcceptRates::new(addresses.iter(), 1);
        let (first, second, start) = (rates.of(0).unwrap(), rates.of(1).unwrap(), Instant::now());
        first.spend(start);
        assert_eq!((first.wait(start), second.wait(start)), (Duration::from_secs(1), Duration::ZERO));
        assert!(rates.of(2).is_none(), "its peers are listed");
        rates.set(1000);
        assert_eq!(first.wait(start), Duration::from_millis(1));
    }

    #[test]
    fn a_newer_rate_holds_from_the_next_one_on() {
        let rate = AcceptRate::new(1);
        let start = Instant::now();
        rate.spend(start);
        assert_eq!(rate.wait(start), Duration::from_secs(1));
        rate.set(1000);
        assert_eq!(rate.wait(start), Duration::from_millis(1));
    }
}
