//! How an instance is picked, as written.

use schemars::JsonSchema;
use serde::Deserialize;

/// How an instance is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with fewer requests under way, of two drawn at random.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
}
