//! The ceiling of connections to one service, over all workers of the process.
//!
//! In: wishes for a connection, each with the ceiling of its configuration, for two may serve at a time. Out: permits, given back on drop. Refuses: the one too many, after a short wait.
//! Never: lets more than a fixed number wait; keeps a wish whose request has been served or refused.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// Requests that wait for a place at a time; never more than there are places.
const WAITING_MAX: usize = 1_024;

/// One wish in [`Ceiling::wishes`].
const WISH: u64 = 1 << 32;

/// Counts the open connections of one service.
#[derive(Debug)]
pub(crate) struct Ceiling {
    open: AtomicUsize,
    /// In the upper half the requests that wait for a place; in the lower half how many idle connections were given up for them, never more.
    wishes: AtomicU64,
    /// Told of each place that comes free.
    freed: Notify,
    gauge: Gauge,
}

impl Ceiling {
    pub(crate) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), wishes: AtomicU64::new(0), freed: Notify::new(), gauge })
    }

    /// A place for one more connection, if fewer than `connections_max` are open.
    pub(crate) fn enter(self: &Arc<Self>, connections_max: usize) -> Option<Permit> {
        let below = |open: usize| (open < connections_max).then_some(open + 1);
        match self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, below) {
            Ok(_) => {
                self.gauge.inc();
                Some(Permit(Arc::clone(self)))
            }
            Err(_) => None,
        }
    }

    /// Waits for a place, at most `within`; `None` when none came free, or when too many wait already. While it waits, whoever asks
    /// [`Ceiling::give_one_up`] learns that idle connections are needed elsewhere.
    pub(crate) async fn wait(self: &Arc<Self>, connections_max: usize, within: Duration) -> Option<Permit> {
        let _wish = self.wish(connections_max)?;
        let place = async {
            loop {
                // On the list before it looks, so that a place that comes free in between is not missed.
                let mut freed = pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(permit) = self.enter(connections_max) {
                    return permit;
                }
                freed.await;
            }
        };
        tokio::time::timeout(within, place).await.ok()
    }

    fn wish(&self, connections_max: usize) -> Option<Wish<'_>> {
        let waiting_max = connections_max.min(WAITING_MAX) as u64;
        let one_more = |wishes: u64| (wishes / WISH < waiting_max).then_some(wishes + WISH);
        self.wishes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok().then(|| Wish(self))
    }

    /// Whether the asking worker should give up one idle connection; true once per request that waits.
    pub(crate) fn give_one_up(&self) -> bool {
        let unmet = |wishes: u64| (wishes % WISH < wishes / WISH).then_some(wishes + 1);
        self.wishes.load(Ordering::Relaxed) > 0 && self.wishes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unmet).is_ok()
    }

    /// Requests that wait for a place, over all workers.
    pub(crate) fn waiting(&self) -> usize {
        usize::try_from(self.wishes.load(Ordering::Relaxed) / WISH).unwrap_or(usize::MAX)
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// A request that waits for a place; withdrawn on drop, with what was given up for it.
struct Wish<'a>(&'a Ceiling);

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        let withdrawn = |wishes: u64| Some(wishes - WISH - u64::from(!wishes.is_multiple_of(WISH)));
        let _ = self.0.wishes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, withdrawn);
    }
}

/// One place below the ceiling.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Ceiling>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.gauge.dec();
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_is_refused_and_a_place_comes_back() {
        let ceiling = Ceiling::new(Gauge::default());
        let permit = ceiling.enter(1).expect("the first");
        assert!(ceiling.enter(1).is_none());
        drop(permit);
        assert_eq!(ceiling.open(), 0);
        assert!(ceiling.enter(1).is_some());
    }

    #[test]
    fn a_wish_is_granted_once() {
        let ceiling = Ceiling::new(Gauge::default());
        assert!(!ceiling.give_one_up());
        let wishes = (ceiling.wish(2).expect("room"), ceiling.wish(2).expect("room"));
        assert!(ceiling.wish(2).is_none(), "as many wait as there are places");
        assert!(ceiling.give_one_up());
        drop(wishes.0);
        assert!(ceiling.give_one_up(), "the first was for the one that has gone");
        assert!(!ceiling.give_one_up());
    }

    #[test]
    fn a_wish_ends_with_its_request() {
        let ceiling = Ceiling::new(Gauge::default());
        drop(ceiling.wish(2).expect("room"));
        assert!(!ceiling.give_one_up(), "nobody waits");
        drop((ceiling.wish(2).expect("room"), ceiling.wish(2).expect("room"), ceiling.give_one_up()));
        assert!(!ceiling.give_one_up(), "nobody waits");
        assert_eq!(ceiling.wishes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn every_place_that_comes_free_wakes_one_that_waits_on_whatever_thread() {
        let ceiling = Ceiling::new(Gauge::default());
        let block_on = |test: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(test);
        };
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let ceiling = Arc::clone(&ceiling);
                std::thread::spawn(move || {
                    block_on(Box::pin(async move {
                        for _ in 0..500 {
                            let permit = match ceiling.enter(4) {
                                Some(permit) => permit,
                                None => ceiling.wait(4, Duration::from_secs(20)).await.expect("a place"),
                            };
                            tokio::task::yield_now().await;
                            drop(permit);
                        }
                    }));
                })
            })
            .collect();
        let begun = std::time::Instant::now();
        for worker in workers {
            worker.join().expect("every request found a place");
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "nobody overslept a place");
        assert_eq!((ceiling.open(), ceiling.wishes.load(Ordering::Relaxed)), (0, 0));
    }
}
