//! How an instance is picked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use http::HeaderName;

use crate::config::balance::Balance;

/// How an instance is picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancePlan {
    /// By which rule.
    pub picker: Balance,
    /// What `consistent_hash` goes by; `Some` with that rule alone.
    pub hash: Option<HashPlan>,
    /// The cookie that brings a client back to its instance, if there is one.
    pub sticky: Option<StickyPlan>,
    /// How long an instance that has come or come back is spared; zero for not at all.
    pub slow_start: Duration,
    /// The part of a level's instances, in percent, that must be usable; 0 to 100.
    pub panic_percent: u32,
}

/// What `consistent_hash` goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPlan {
    /// Where the key stands.
    pub on: HashOn,
    /// How much of the mean load an instance may have, in percent; 100 to 1000.
    pub load_max_percent: u32,
}

/// Where the key of a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// In a header.
    Header(HeaderName),
    /// In a cookie.
    Cookie(Box<str>),
    /// It is the caller's subject.
    Caller,
    /// It is the client's address.
    Address,
}

/// The cookie that brings a client back to its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyPlan {
    /// Its name.
    pub cookie: Box<str>,
    /// What it is signed with.
    pub key: StickyKey,
    /// How long it holds; whole seconds, at least one.
    pub life: Duration,
}

/// A secret that all replicas share. Equal bytes are equal keys.
#[derive(Clone)]
pub struct StickyKey {
    hmac: Arc<hmac::Key>,
    digest: [u8; digest::SHA256_OUTPUT_LEN],
}

impl BalancePlan {
    /// This rule, and nothing beside it.
    #[must_use]
    pub fn of(picker: Balance) -> Self {
        Self { picker, hash: None, sticky: None, slow_start: Duration::ZERO, panic_percent: 50 }
    }
}

impl StickyKey {
    /// The key of these bytes; how many they must be is checked where they are read.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut known = [0; digest::SHA256_OUTPUT_LEN];
        known.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
        Self { hmac: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)), digest: known }
    }

    pub(crate) fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

impl PartialEq for StickyKey {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for StickyKey {}

impl fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StickyKey(***)")
    }
}
