//! What a process says of the sockets that it passes on: their names alone do not tell what a successor may do with them.
//!
//! In and out: the environment variable [`VARIABLE`] beside LISTEN_FDNAMES, as JSON. Refuses: nothing; what is not understood says nothing, and a
//! socket of which nothing is said is judged by where it listens. Never: read where no predecessor is, because it would be somebody else's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The environment variable of a successor.
pub const VARIABLE: &str = "GATEWAY_PASSED";

/// All that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passing {
    /// The process that passes them on; 0 where nobody says so.
    #[serde(default)]
    pub by: u32,
    /// The sockets by name.
    #[serde(default)]
    pub sockets: BTreeMap<String, Passed>,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its address as the configuration had it, which need not be where it listens: port 0, or whatever the service manager had opened.
    pub address: String,
    /// It was opened by the service manager, whose it stays: where it listens and who may is not for us to say.
    #[serde(default)]
    pub is_managers: bool,
}

impl Passing {
    /// The value of the variable.
    #[must_use]
    pub fn encode(&self) -> String {
        // It fails for no text and no number.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the value of the variable.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_a_later_version_may_say_more() {
        let link = Passed { address: "unix:/run/a \"b\".sock".to_owned(), is_managers: true };
        let passing = Passing { by: 4711, sockets: BTreeMap::from([("link".to_owned(), link)]) };
        assert_eq!(Passing::parse(&passing.encode()), passing);
        let later = r#"{"by":1,"mood":"good","sockets":{"a":{"address":"127.0.0.1:0","colour":"blue"}}}"#;
        assert_eq!(Passing::parse(later).sockets["a"], Passed { address: "127.0.0.1:0".to_owned(), is_managers: false });
        for nothing in ["", "{", "[]", "{\"by\":-1}", "{\"sockets\":{\"a\":1}}"] {
            assert_eq!(Passing::parse(nothing), Passing::default(), "{nothing}");
        }
    }
}
