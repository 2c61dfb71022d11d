//! What a rule says of the requests that it takes, as all rooms know it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether callers must prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A caller is proved or refused.
    Require,
    /// Everyone is the anonymous caller; credentials are not looked at and do not travel on.
    Anonymous,
}

/// A rule as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its path as written, which names it in records.
    pub path: Arc<str>,
    /// Whether callers must prove who they are.
    pub ask: Ask,
    /// The places of its issuers in the plan.
    pub issuers: Box<[usize]>,
    /// Whether the client's own credential travels on.
    pub relay: bool,
    /// Bytes of one request body at most, where that is less than what the process takes.
    pub body_bytes_max: Option<u64>,
    /// Whether no rate is asked of request bodies.
    pub slow_bodies: bool,
    /// Whether `%2F` may stand in the path.
    pub allow_encoded_slashes: bool,
}

impl Rule {
    /// Whether this rule lets somebody in whom `other` does not.
    #[must_use]
    pub fn asks_less_than(&self, other: &Self) -> bool {
        match (self.ask, other.ask) {
            (_, Ask::Anonymous) => false,
            (Ask::Anonymous, Ask::Require) => true,
            (Ask::Require, Ask::Require) => self.issuers.iter().any(|issuer| !other.issuers.contains(issuer)),
        }
    }
}
