//! The word that a connection's time is over, for whoever can pass it on to the other end.
//!
//! In: one call when the process closes. Out: everyone who waits for it, and everyone who asks later, learns of it. Never: taken back.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// Tells one connection that it is to end. Clones are the same; like the connection, they live on one worker.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Rc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    told: Cell<bool>,
    rung: Notify,
}

impl Farewell {
    /// The connection is to end as soon as its protocol allows.
    pub fn tell(&self) {
        self.0.told.set(true);
        self.0.rung.notify_waiters();
    }

    /// Whether it was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.0.told.get()
    }

    /// Returns once it was told.
    pub async fn told(&self) {
        // Nothing can be told between the look and the wait: both happen on one thread, in one poll.
        while !self.is_told() {
            self.0.rung.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_and_those_who_come_later_are_told() {
        let farewell = Farewell::default();
        let early = farewell.clone();
        let waits = async {
            early.told().await;
            early.is_told()
        };
        let tells = async {
            assert!(!farewell.is_told());
            farewell.tell();
            farewell.tell();
        };
        let (told, ()) = tokio::join!(waits, tells);
        assert!(told);
        farewell.clone().told().await;
    }
}
