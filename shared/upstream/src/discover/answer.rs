//! What one look-up came to.

use std::time::Duration;

use crate::endpoints::Found;
use crate::lookup::{LookupFault, Provenance, Unanswered};

/// What one look-up came to: instances or a fault, and how long that may be kept.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The instances.
    pub(crate) found: Result<Vec<Found>, LookupFault>,
    /// How long the answer may be kept; no time at all after a fault.
    pub(crate) ttl: Duration,
    /// Who said so; `None` where nobody was asked or nobody answered.
    pub(crate) said: Option<Provenance>,
    /// The family of which nobody said whether there are addresses; what is known of it stays.
    pub(crate) unanswered: Option<Unanswered>,
}

impl Answer {
    /// Nothing was learnt, for this reason.
    pub(crate) fn failed(fault: LookupFault) -> Self {
        Self { found: Err(fault), ttl: Duration::ZERO, said: None, unanswered: None }
    }

    /// Instances that nobody had to be asked for.
    pub(crate) fn known(found: Vec<Found>) -> Self {
        Self { found: Ok(found), ttl: Duration::ZERO, said: None, unanswered: None }
    }
}
