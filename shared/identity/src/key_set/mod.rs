//! The keys of one issuer at one time (RFC 7517 §5).
//!
//! In: the bytes of a JWKS. Out: the usable keys, and what was passed over. Refuses: duplicate members, more than `KEYS_MAX` keys, and sets without
//! any usable key; such an answer is a mistake at the issuer, and the keys held before it stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use contract::json;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::key::Key;

/// The most keys that a set may have.
pub(crate) const KEYS_MAX: usize = 100;

/// Generations are numbered over the whole process: a cache can never take a key set of one configuration for that of the next.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

/// The usable keys of an issuer.
pub(crate) struct KeySet {
    /// Different for every set that was ever read in this process, and for every terms that it is held under.
    pub(crate) generation: u64,
    /// SHA-256 of the bytes that it was read from.
    pub(crate) digest: [u8; 32],
    /// What was passed over, for the log.
    pub(crate) warnings: Vec<String>,
    keys: Arc<[Key]>,
}

/// What a set has for a token's header.
pub(crate) enum Choice<'a> {
    /// The one key.
    Key(&'a Key),
    /// No key has this `kid`.
    Unknown,
    /// The `kid` is there, but its key is for something else.
    Misfit,
    /// Without a `kid`, or with one that stands twice, it cannot be said which key is meant.
    Unclear,
}

impl KeySet {
    /// Reads a set; the fault is a sentence for the operator.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut set = json::parse_object(bytes).map_err(|fault| format!("the key set is not lawful JSON: {fault}"))?;
        let Some(Value::Array(listed)) = set.remove("keys") else { return Err("the key set has no list \"keys\"".to_owned()) };
        if listed.len() > KEYS_MAX {
            return Err(format!("the key set has more than {KEYS_MAX} keys"));
        }
        let (mut keys, mut warnings) = (Vec::new(), Vec::new());
        let mut seen: Vec<&Value> = Vec::new();
        for (at, value) in listed.iter().enumerate() {
            // The same key listed twice is one key; two different ones under one kid stay unclear.
            if seen.contains(&value) {
                continue;
            }
            seen.push(value);
            match value.as_object().ok_or("it is not an object").and_then(Key::read) {
                Ok(key) => keys.push(key),
                Err(why) => warnings.push(format!("key {at} of the set is passed over: {why}")),
            }
        }
        if keys.is_empty() {
            return Err(format!(
                "the key set has no usable signature key{}",
                warnings.first().map(|first| format!(" ({first})")).unwrap_or_default()
            ));
        }
        Ok(Self { generation: next_generation(), digest: sha256(bytes), warnings, keys: keys.into() })
    }

    /// The same keys for other terms: tokens that were proved under the former ones have to be proved anew.
    pub(crate) fn under_other_terms(&self) -> Self {
        Self { generation: next_generation(), digest: self.digest, warnings: Vec::new(), keys: Arc::clone(&self.keys) }
    }

    /// How many keys are usable.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a key has this `kid`.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// The key for a token signed with `algorithm` under `kid`.
    pub(crate) fn choose(&self, kid: Option<&str>, algorithm: Algorithm) -> Choice<'_> {
        if kid.is_some_and(|kid| !self.has(kid)) {
            return Choice::Unknown;
        }
        let mut fitting = self.keys.iter().filter(|key| (kid.is_none() || key.kid() == kid) && key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Choice::Key(key),
            (None, _) => Choice::Misfit,
            (Some(_), Some(_)) => Choice::Unclear,
        }
    }
}

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests;
