//! Room for new clients at `connections_max`: the connections that rest longest are asked to end.
//!
//! In: since when each worker's longest resting connection rests, as its sweep last saw it; the acceptors' word that no place is free. Out: the word to
//! the worker that has the one that rests longest. Never: asks more often than [`ASK_EVERY`], so that whoever fills the process cannot have workers
//! look through all their connections for each one that waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Between two words.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(100);

/// No connection of the worker rests.
const NONE: u64 = u64::MAX;

/// What one worker and the acceptors tell each other.
#[derive(Debug)]
pub(crate) struct Relief {
    /// Moments are told as milliseconds since then.
    base: Instant,
    resting_since: AtomicU64,
    asked: Notify,
}

impl Relief {
    /// Of a worker without connections; workers that are compared have the same `base`.
    pub(crate) fn new(base: Instant) -> Self {
        Self { base, resting_since: AtomicU64::new(NONE), asked: Notify::new() }
    }

    /// The worker's longest resting connection rests since then.
    pub(crate) fn tell(&self, since: Option<Instant>) {
        let millis = since.map_or(NONE, |since| u64::try_from(since.saturating_duration_since(self.base).as_millis()).unwrap_or(NONE));
        self.resting_since.store(millis, Ordering::Relaxed);
    }

    /// Waits until the worker is asked to make room.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

/// When a worker was last asked.
#[derive(Debug, Default)]
pub(crate) struct Asking(Mutex<Option<Instant>>);

impl Asking {
    /// Asks the worker with the connection that rests longest, unless one was asked just now. `false` when none rests.
    pub(crate) fn ask<'r>(&self, workers: impl Iterator<Item = &'r Relief>, now: Instant) -> bool {
        let longest = workers.map(|relief| (relief.resting_since.load(Ordering::Relaxed), relief)).min_by_key(|(since, _)| *since);
        let Some((_, relief)) = longest.filter(|(since, _)| *since != NONE) else { return false };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= ASK_EVERY) {
            *last = Some(now);
            relief.asked.notify_one();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_worker_whose_connection_rests_longest_is_asked_and_not_too_often() {
        let base = Instant::now();
        let workers = [Relief::new(base), Relief::new(base), Relief::new(base)];
        let asking = Asking::default();
        assert!(!asking.ask(workers.iter(), base), "nobody rests");
        workers[0].tell(Some(base + Duration::from_secs(2)));
        workers[1].tell(Some(base + Duration::from_secs(1)));
        assert!(asking.ask(workers.iter(), base));
        workers[1].asked().await;
        workers[1].tell(None);
        assert!(asking.ask(workers.iter(), base));
        let asked = tokio::time::timeout(Duration::ZERO, workers[0].asked()).await;
        assert!(asked.is_err(), "one was asked just now");
        assert!(asking.ask(workers.iter(), base + ASK_EVERY));
        workers[0].asked().await;
    }
}
