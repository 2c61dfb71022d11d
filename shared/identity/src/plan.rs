//! An issuer as meant: nothing in it can be wrong any more.
//!
//! Made by `IssuerConfig::check` alone; the fields stay inside the crate so that nobody can make one without issuer, audiences and algorithms.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::terms::Terms;

/// One issuer, ready to be started. A key file counts by its path: the refresher reads it again whenever it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerPlan {
    pub(crate) name: Arc<str>,
    pub(crate) terms: Terms,
    pub(crate) keys: KeysPlan,
    pub(crate) allow_http: bool,
    pub(crate) refresh: Duration,
    pub(crate) token_bytes_max: usize,
}

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysPlan {
    Discovery,
    Url(String),
    File(PathBuf),
}

impl IssuerPlan {
    /// Whether the keys of `other` are believed for this one too: they come from the same place, on the same terms.
    pub(crate) fn has_keys_of(&self, other: &Self) -> bool {
        (self.issuer(), &self.keys, self.allow_http) == (other.issuer(), &other.keys, other.allow_http)
    }

    /// The name of the issuer in configuration, logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer's URL, as `iss` has it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.terms.issuer()
    }
}
