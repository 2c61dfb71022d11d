//! What the caller of [`crate::send::send`] knows of a request that does not stand in it.
//!
//! In: the caller's deadline, its wish for an instance, the attempts that others have left it. Out: the terms of one sending.
//! Never: lengthens what the service's own options allow.

use std::time::Instant;

use crate::affinity::Affinity;

/// The terms of one sending; by default nothing beside the service's own options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errand {
    /// When the head of the answer must be there at the latest; `None` waits as long as the service's options allow. While a body streams it rests
    /// and counts anew (see [`crate::send::send`]).
    pub deadline: Option<Instant>,
    /// When the whole exchange must have ended, the answer's body included, whatever moves: the client's own word, as gRPC has it. That it passes
    /// says nothing of the service.
    pub ends: Option<Instant>,
    /// Whether the deadline is shorter than what the gateway itself allows because the client asked for that, so that its passing says nothing of
    /// the service.
    pub is_hurried: bool,
    /// Whether each attempt tells its number in `x-gw-attempt`: over the link, where the next tier makes attempts of its own.
    pub tells_attempt: bool,
    /// Which instance it would rather go to.
    pub affinity: Affinity,
    /// The most attempts that are left to it, at least 1; the service's own `attempts_max` is never exceeded.
    pub attempts_max: Option<u32>,
}

impl Errand {
    /// One that must be answered by `deadline`.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), ..Self::default() }
    }
}
