//! The ceiling of connections to one service, over all workers of the process.
//!
//! In: wishes for a connection. Out: permits, given back on drop. Refuses: the one too many. Never: waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// Counts the open connections of one service.
#[derive(Debug)]
pub(crate) struct Ceiling {
    connections_max: usize,
    open: AtomicUsize,
    /// Places that a worker asked for in vain; others give up that many idle connections instead of keeping them.
    wanted: AtomicUsize,
    gauge: Gauge,
}

impl Ceiling {
    pub(crate) fn new(connections_max: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { connections_max, open: AtomicUsize::new(0), wanted: AtomicUsize::new(0), gauge })
    }

    /// A place for one more connection, if there is one.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Permit> {
        let below = |open: usize| (open < self.connections_max).then_some(open + 1);
        match self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, below) {
            Ok(_) => {
                self.gauge.inc();
                Some(Permit(Arc::clone(self)))
            }
            Err(_) => None,
        }
    }

    /// Tells the other workers that idle connections are needed elsewhere.
    pub(crate) fn want_one(&self) {
        let bounded = |wanted: usize| (wanted < self.connections_max).then_some(wanted + 1);
        // Failing means that as many are wanted already as there are places.
        let _ = self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, bounded);
    }

    /// Whether the asking worker should give up one idle connection; true once per wish.
    pub(crate) fn give_one_up(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
            && self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |wanted| wanted.checked_sub(1)).is_ok()
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// One place below the ceiling.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Ceiling>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_too_many_is_refused_and_a_place_comes_back() {
        let ceiling = Ceiling::new(1, Gauge::default());
        let permit = ceiling.enter().expect("the first");
        assert!(ceiling.enter().is_none());
        drop(permit);
        assert_eq!(ceiling.open(), 0);
        assert!(ceiling.enter().is_some());
    }

    #[test]
    fn a_wish_is_granted_once() {
        let ceiling = Ceiling::new(2, Gauge::default());
        assert!(!ceiling.give_one_up());
        ceiling.want_one();
        assert!(ceiling.give_one_up());
        assert!(!ceiling.give_one_up());
    }
}
