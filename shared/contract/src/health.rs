//! How a replica of tier 2 does, as it tells tier 1 over the link.
//!
//! In: the facts of a replica, or the JSON that one wrote. Out: the JSON, or the facts. Refuses: what is no JSON object with a `treaty`, and
//! what is longer than a ceiling. Never: fails on a member that it does not know, for the next treaty may tell more.

use serde::{Deserialize, Serialize};

/// Bytes of an answer at most; one of today has about 120.
pub const HEALTH_BYTES_MAX: usize = 4 * 1024;

/// The value of the header `x-gw-health` in a question that is meant.
pub const ASKED: &str = "1";

/// What a replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Its program: `routing-gw`.
    #[serde(default)]
    pub tier: String,
    /// The treaty that it speaks. The one member that every treaty has.
    pub treaty: u64,
    /// The version of its build.
    #[serde(default)]
    pub build: String,
    /// The generation of its configuration.
    #[serde(default)]
    pub generation: u64,
    /// Whether it is leaving: it still answers whatever comes, and asks to be sent nothing more.
    #[serde(default)]
    pub draining: bool,
    /// Whether it can serve any request at all. One that does not say so can.
    #[serde(default = "yes")]
    pub ready: bool,
    /// By how many workers it serves; a connection reaches one of them. 0 where it does not say.
    #[serde(default)]
    pub workers: u32,
}

fn yes() -> bool {
    true
}

impl Word {
    /// The JSON of it.
    #[must_use]
    pub fn encode(&self) -> String {
        // Numbers, flags and texts: there is nothing in it that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what a replica wrote; `None` when it is no such thing.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > HEALTH_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word() -> Word {
        Word { tier: "routing-gw".into(), treaty: 1, build: "0.1.0".into(), generation: 3, draining: false, ready: true, workers: 4 }
    }

    #[test]
    fn our_own_treaty_is_written_byte_for_byte() {
        let text = r#"{"tier":"routing-gw","treaty":1,"build":"0.1.0","generation":3,"draining":false,"ready":true,"workers":4}"#;
        assert_eq!(word().encode(), text);
        assert_eq!(Word::parse(text.as_bytes()), Some(word()));
    }

    #[test]
    fn what_another_treaty_adds_is_ignored_and_what_it_leaves_out_harms_nobody() {
        let next = r#"{"tier":"routing-gw","treaty":2,"build":"0.1.0","generation":3,"draining":false,"ready":true,"workers":4,"load":{"cpu":0.5}}"#;
        assert_eq!(Word::parse(next.as_bytes()), Some(Word { treaty: 2, ..word() }));
        let bare = Word { tier: String::new(), treaty: 9, build: String::new(), generation: 0, draining: false, ready: true, workers: 0 };
        assert_eq!(Word::parse(br#"{"treaty":9}"#), Some(bare));
    }

    #[test]
    fn what_is_no_such_thing_is_nothing() {
        let long = format!(r#"{{"treaty":1,"build":"{}"}}"#, "x".repeat(HEALTH_BYTES_MAX));
        for text in ["", "{}", "ok", "[1]", r#"{"treaty":-1}"#, r#"{"treaty":"1"}"#, r#"{"treaty":1,"draining":"no"}"#, &long] {
            assert_eq!(Word::parse(text.as_bytes()), None, "{text}");
        }
    }
}
