//! A value that the control runtime replaces and the request path reads.
//!
//! In: a whole new immutable value. Out: the newest one, without a lock. Never: a half-changed value; readers keep the one they hold.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// The newest value of its kind. Clones share it.
#[derive(Debug)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// A live value that is `first` until the first [`Live::store`].
    #[must_use]
    pub fn new(first: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(first)))
    }

    /// The newest value for a short look. Do not hold the guard over an `.await`: take [`Live::load_full`] for that.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// The newest value to keep as long as it is needed.
    #[must_use]
    pub fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value for everyone who looks from now on.
    pub fn store(&self, newer: T) {
        self.0.store(Arc::new(newer));
    }
}

// Derived `Clone` would demand `T: Clone`, though only the pointer is cloned.
impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn clones_see_the_newer_value_and_a_kept_one_stays() {
        let live = Live::new(1);
        let other = live.clone();
        let kept = live.load_full();
        other.store(2);
        assert_eq!((*kept, **live.load()), (1, 2));
    }
}
