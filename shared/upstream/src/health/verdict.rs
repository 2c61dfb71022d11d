//! The truth table: what DNS, the active checks and the requests themselves say of an instance, made into one word.
//!
//! In: whether discovery names it still, how it stands by the checks, whether it is left alone for what requests have met. Out: how good it is for
//! the next request, or that it is never used. Refuses: to believe one witness alone that nobody works; the last two ranks are still used when
//! nothing better is left. Never: looks anything up, reads a clock, does I/O.
//!
//! DNS says who may exist, health says who works:
//!
//! | Checks say | Left alone | Named by discovery | Only held |
//! |---|---|---|---|
//! | healthy, or nothing is checked | no | 1 good | 4 held |
//! | nothing yet | no | 2 unchecked | 4 held |
//! | leaving | no | 3 draining | 4 held |
//! | healthy, nothing yet or leaving | yes | 5 doubtful | 6 doubtful, held |
//! | unhealthy | no | 5 doubtful | 6 doubtful, held |
//! | unhealthy | yes | 7 bad | 8 bad, held |
//! | not ready | either | 7 bad | 8 bad, held |
//! | another treaty | either | never | never |
//!
//! One that says itself that it is not ready comes after one whose checks merely fail: these may be wrong, and its refusal would be final.

use crate::health::standing::Standing;

/// How good an instance is for a request, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nothing speaks against it.
    Good,
    /// Its first check has not ended.
    Unchecked,
    /// It says that it is leaving.
    Draining,
    /// Discovery names it no more; nothing else speaks against it.
    Held,
    /// Either the checks or the requests speak against it.
    Doubtful,
    /// The same of one that discovery names no more.
    DoubtfulHeld,
    /// Both the checks and the requests speak against it, or it does so itself.
    Bad,
    /// The same of one that discovery names no more.
    BadHeld,
}

impl Rank {
    /// Whether a request is rather sent again where it broke than to one of this rank.
    #[must_use]
    pub fn is_poor(self) -> bool {
        self >= Self::Doubtful
    }

    /// How much trust it has, best first: whoever has less comes after those that were tried and have more.
    pub(crate) fn trust(self) -> u8 {
        match self {
            Self::Good | Self::Unchecked | Self::Draining | Self::Held => 0,
            Self::Doubtful | Self::DoubtfulHeld => 1,
            Self::Bad | Self::BadHeld => 2,
        }
    }
}

/// What the witnesses say of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Discovery names it no more, and it is kept for a short while.
    pub held: bool,
    /// How it stands by the active checks.
    pub standing: Standing,
    /// Whether instances of its service are checked at all, so that one of which nothing is known yet waits for its first check.
    pub checked: bool,
    /// It is left alone for what requests have met.
    pub left_alone: bool,
}

/// Weighs them; `None` for an instance that is never used.
#[must_use]
pub fn rank(evidence: Evidence) -> Option<Rank> {
    let Evidence { held, standing, checked, left_alone } = evidence;
    let works = match standing {
        Standing::Foreign => return None,
        Standing::NotReady => return Some(if held { Rank::BadHeld } else { Rank::Bad }),
        Standing::Unhealthy => None,
        Standing::Draining => Some(Rank::Draining),
        Standing::Unknown if checked => Some(Rank::Unchecked),
        Standing::Unknown | Standing::Healthy => Some(Rank::Good),
    };
    Some(match (works, left_alone, held) {
        (Some(rank), false, false) => rank,
        (Some(_), false, true) => Rank::Held,
        (Some(_), true, false) | (None, false, false) => Rank::Doubtful,
        (Some(_), true, true) | (None, false, true) => Rank::DoubtfulHeld,
        (None, true, false) => Rank::Bad,
        (None, true, true) => Rank::BadHeld,
    })
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
