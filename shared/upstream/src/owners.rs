//! Whose numbers the gauges of a service show.
//!
//! In: the instances of each configuration of one service, in the order in which they came. Out: the youngest that are left. Never: keeps
//! instances alive, or lets two of them write the same gauge at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::instances::Instances;

/// All instances that share one service's counters: those that serve, those that still finish requests, and those of a configuration that
/// may never come to serve.
#[derive(Debug, Default)]
pub(crate) struct Owners(Mutex<Vec<Weak<Instances>>>);

impl Owners {
    /// One more, the youngest from now on.
    pub(crate) fn join(&self, one: &Arc<Instances>) {
        let mut owners = self.owners();
        owners.retain(|owner| owner.strong_count() > 0);
        owners.push(Arc::downgrade(one));
    }

    /// Calls `show` if `one` is the youngest that is left; nobody else shows anything meanwhile.
    pub(crate) fn if_youngest(&self, one: &Instances, show: impl FnOnce()) {
        let owners = self.owners();
        let youngest = owners.iter().rev().find(|owner| owner.strong_count() > 0);
        if youngest.is_some_and(|youngest| std::ptr::eq(youngest.as_ptr(), one)) {
            show();
        }
    }

    /// The youngest that is left.
    pub(crate) fn youngest(&self) -> Option<Arc<Instances>> {
        self.owners().iter().rev().find_map(Weak::upgrade)
    }

    /// The list is whole between two statements, so that a panic elsewhere does not spoil it.
    fn owners(&self) -> MutexGuard<'_, Vec<Weak<Instances>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
