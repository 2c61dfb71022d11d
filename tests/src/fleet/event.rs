//! What was done to a process of the fleet, and when.

use std::time::Duration;

use crate::fleet::seat::Seat;

/// One event in the life of a fleet. Moments are counted from the fleet's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whom it happened to.
    pub seat: Seat,
    /// What.
    pub what: What,
    /// Just before it was done.
    pub before: Duration,
    /// When it was certainly done: for a kill, when the process was gone.
    pub after: Duration,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `kill -9`.
    Killed,
    /// SIGTERM, until it had ended by itself.
    Left,
    /// It was ready.
    Started,
    /// A new generation of its configuration serves.
    Reloaded,
    /// A new executable serves.
    Upgraded,
    /// It fell ill of this.
    Afflicted(&'static str),
    /// It is over, and who looks at it has seen so.
    Relieved,
}
