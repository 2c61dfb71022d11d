//! A number of places at once that a reload may change.
//!
//! In: the ceiling, now and later. Out: places, given back when dropped. A ceiling that is lowered below what is taken owes the difference: places
//! that are given back pay it before anybody gets one. Never: takes a place away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
#[derive(Debug)]
pub(crate) struct Ceiling {
    free: Arc<Semaphore>,
    owed: AtomicUsize,
    most: AtomicUsize,
}

/// One place.
#[derive(Debug)]
pub(crate) struct Held {
    permit: Option<OwnedSemaphorePermit>,
    ceiling: Arc<Ceiling>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let pays = self.ceiling.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| owed.checked_sub(1)).is_ok();
        if let Some(permit) = self.permit.take().filter(|_| pays) {
            permit.forget();
        }
    }
}

impl Ceiling {
    /// `most` places, all free.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let most = most.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), owed: AtomicUsize::new(0), most: AtomicUsize::new(most) })
    }

    /// A place, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Held> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Held { permit: Some(permit), ceiling: Arc::clone(self) })
    }

    /// A place as soon as one is free.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Held> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Held { permit: Some(permit), ceiling: Arc::clone(self) })
    }

    /// Changes the ceiling; for one caller at a time.
    pub(crate) fn set(&self, most: usize) {
        let most = most.min(Semaphore::MAX_PERMITS);
        let before = self.most.swap(most, Ordering::AcqRel);
        if most < before {
            let gone = self.free.forget_permits(before - most);
            self.owed.fetch_add(before - most - gone, Ordering::AcqRel);
        } else {
            let more = most - before;
            let owed =
                self.owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| Some(owed.saturating_sub(more))).unwrap_or_default();
            self.free.add_permits(more.saturating_sub(owed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lowered_ceiling_is_paid_by_those_who_leave() {
        let ceiling = Ceiling::new(3);
        let mut held: Vec<Held> = (0..3).map(|_| ceiling.try_take().unwrap()).collect();
        assert!(ceiling.try_take().is_none());
        ceiling.set(1);
        held.pop();
        held.pop();
        assert!(ceiling.try_take().is_none(), "one is held, and one is the ceiling");
        held.pop();
        held.push(ceiling.try_take().unwrap());
        assert!(ceiling.try_take().is_none());
    }

    #[test]
    fn a_raised_ceiling_pays_what_is_owed_first() {
        let ceiling = Ceiling::new(3);
        let held: Vec<Held> = (0..3).map(|_| ceiling.try_take().unwrap()).collect();
        ceiling.set(1);
        ceiling.set(4);
        let one = ceiling.try_take().unwrap();
        assert!(ceiling.try_take().is_none(), "four are held");
        drop((held, one));
        let all: Vec<Held> = std::iter::from_fn(|| ceiling.try_take()).collect();
        assert_eq!(all.len(), 4);
    }
}
