//! How an instance treats whoever asks it, so that a test can have it be ill.
//!
//! In: an order in one line, as `slow 300`. Out: the mood. Refuses: words that are no mood, and delays over [`SLOW_MS_MAX`]. Never: changes by itself.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest delay of a slow instance, in milliseconds.
pub const SLOW_MS_MAX: u64 = 60_000;

/// The mood of an instance. Every reset is a RST (RFC 9293 §3.5.2), as of a machine that has lost its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It serves.
    #[default]
    Well,
    /// It serves, and every answer comes so much later.
    Slow(Duration),
    /// Connections are reset as soon as they are accepted, and those that were open at once.
    ResetsAtAccept,
    /// A request is done and stands in the ledger; in place of an answer its connection is reset.
    ResetsAfterRequest,
    /// A connection is reset in the middle of the head of an answer.
    ResetsInAnswer,
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("well"),
            Self::Slow(by) => write!(f, "slow {}", by.as_millis()),
            Self::ResetsAtAccept => f.write_str("resets-at-accept"),
            Self::ResetsAfterRequest => f.write_str("resets-after-request"),
            Self::ResetsInAnswer => f.write_str("resets-in-answer"),
        }
    }
}

impl FromStr for Mood {
    type Err = String;

    fn from_str(order: &str) -> Result<Self, String> {
        let slow = |ms: &str| ms.parse().ok().filter(|ms| *ms <= SLOW_MS_MAX).map(|ms| Self::Slow(Duration::from_millis(ms)));
        let mood = match order.split_once(' ').unwrap_or((order, "")) {
            ("well", "") => Some(Self::Well),
            ("slow", ms) => slow(ms),
            ("resets-at-accept", "") => Some(Self::ResetsAtAccept),
            ("resets-after-request", "") => Some(Self::ResetsAfterRequest),
            ("resets-in-answer", "") => Some(Self::ResetsInAnswer),
            _ => None,
        };
        mood.ok_or_else(|| {
            format!(
                "{order:.40?} is no mood; say well, slow MS (up to {SLOW_MS_MAX}), resets-at-accept, resets-after-request or resets-in-answer"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mood_is_read_as_it_is_written_and_nothing_else_is() {
        let slow = Mood::Slow(Duration::from_millis(300));
        for mood in [Mood::Well, slow, Mood::ResetsAtAccept, Mood::ResetsAfterRequest, Mood::ResetsInAnswer] {
            assert_eq!(mood.to_string().parse(), Ok(mood));
        }
        for wrong in ["", "ill", "slow", "slow 60001", "slow -1", "well 3", "resets-at-accept now"] {
            assert!(wrong.parse::<Mood>().is_err(), "{wrong}");
        }
    }
}
