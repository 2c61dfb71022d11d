//! A ceiling of things at once, over all workers of a process.
//!
//! In: a request that wants a place. Out: the place, which is given back when dropped. Never: queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places; clones are the same.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Arc<AtomicUsize>,
    places_max: usize,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    taken: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Places {
    /// `places_max` places, all free.
    #[must_use]
    pub fn new(places_max: usize) -> Self {
        Self { taken: Arc::default(), places_max }
    }

    /// The same places under another ceiling: what is taken of these is taken of those. Above a lower ceiling nobody is turned out, and nobody
    /// comes in until enough have left.
    #[must_use]
    pub fn with_ceiling(&self, places_max: usize) -> Self {
        Self { taken: Arc::clone(&self.taken), places_max }
    }

    /// Takes a place, or `None` when all are taken.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.places_max {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place { taken: self.taken.clone() })
    }

    /// Places that are taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let places = Places::new(1);
        let one = places.take().expect("free");
        assert!(places.clone().take().is_none());
        drop(one);
        assert!(places.take().is_some());
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn another_ceiling_counts_those_who_are_in() {
        let wide = Places::new(3);
        let in_flight = [wide.take().expect("free"), wide.take().expect("free")];
        let narrow = wide.with_ceiling(1);
        assert!(narrow.take().is_none());
        assert_eq!(narrow.taken(), 2);
        drop(in_flight);
        let one = narrow.take().expect("free again");
        assert_eq!(wide.taken(), 1);
        drop(one);
    }
}
