//! An issuer as meant: nothing in it can be wrong any more.
//!
//! Made by `IssuerConfig::check` alone; the fields stay inside the crate so that nobody can make one without issuer, audiences and algorithms.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::terms::Terms;

/// One issuer, ready to be started.
#[derive(Clone, Debug)]
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
