//! Whether tier 1 vouches for the caller.
//!
//! In: `Exchange<Arrived>`. Out: `Exchange<Vouched>`.
//! Refuses: `Assertion`, with the fault.
//! Never: believes a caller without a signature, or a signature longer than it says; the transport was proved before by the listener.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use contract::assertion::{AssertionFault, Verifier};
use contract::caller::Caller;
use contract::headers;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::units::Span;
use wire::arrived::Arrived;
use wire::exchange::Exchange;

use crate::facts::Vouched;
use crate::refusal::Refusal;

/// `vouch:` as written: whom routing-gw believes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VouchConfig {
    /// Names of tiers 1 whose assertions are believed: each one's `name`.
    pub issuers: Vec<String>,
    /// The name of this tier in the assertions: tier 1's `link.audience`.
    pub audience: String,
    /// The file with tier 1's public keys (RFC 7517). It is read again when it changes. Needed, unless there is `jwks_url`.
    pub jwks: Option<PathBuf>,
    /// Where tier 1 publishes its keys: `https://security-gw.example:8444/.well-known/jwks.json`. Its certificate is proved by `roots`.
    pub jwks_url: Option<String>,
    /// How often the keys at `jwks_url` are fetched, 1s to 60s: a new one is published 120 s before it signs.
    #[serde(default = "default_refresh")]
    pub refresh: Span,
}

fn default_refresh() -> Span {
    Span::secs(30)
}

/// Verifications that one worker keeps in each of two halves; the older half goes when the younger is full.
const VOUCHES_MAX: usize = 2_048;

/// The verifications of one worker, by the assertion's digest, so that no assertion is held.
#[derive(Debug, Default)]
pub struct VouchCache {
    halves: RefCell<[HashMap<[u8; 32], Kept>; 2]>,
}

#[derive(Clone, Debug)]
struct Kept {
    caller: Arc<Caller>,
    expires_at: u64,
    /// The verifier that proved it; another one means other keys. Held so that its address is not given to a later one.
    verifier: Arc<Verifier>,
}

/// Verifies the assertion, or takes the verification that was made of the same one.
///
/// # Errors
/// The assertion is missing, or has the fault that is told.
pub fn verify(
    verifier: &Arc<Verifier>,
    cache: &VouchCache,
    mut exchange: Exchange<Arrived>,
    now: u64,
) -> Result<Exchange<Vouched>, Refusal> {
    let Some(assertion) = exchange.request.headers_mut().remove(&headers::ASSERTION) else {
        return Err(Refusal::AssertionMissing);
    };
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, assertion.as_bytes()).as_ref());
    let caller = match cache.find(&key, verifier, now) {
        Some(caller) => caller,
        None => {
            let text = assertion.to_str().map_err(|_| Refusal::Assertion(AssertionFault::Malformed))?;
            let vouch = verifier.verify(text, now).map_err(Refusal::Assertion)?;
            let caller = Arc::new(vouch.caller);
            cache.keep(key, Kept { caller: caller.clone(), expires_at: vouch.expires_at, verifier: verifier.clone() });
            caller
        }
    };
    Ok(exchange.learn(|arrived| Vouched::new(arrived, caller)))
}

impl VouchCache {
    /// An assertion is believed until, not at, the second in which it expires.
    fn find(&self, key: &[u8; 32], verifier: &Arc<Verifier>, now: u64) -> Option<Arc<Caller>> {
        let holds = |kept: &Kept| Arc::ptr_eq(&kept.verifier, verifier) && now < kept.expires_at;
        let mut halves = self.halves.borrow_mut();
        let [young, old] = &mut *halves;
        if let Some(kept) = young.get(key) {
            return holds(kept).then(|| kept.caller.clone());
        }
        let kept = old.remove(key).filter(holds)?;
        let caller = kept.caller.clone();
        young.insert(*key, kept);
        Some(caller)
    }

    fn keep(&self, key: [u8; 32], kept: Kept) {
        let mut halves = self.halves.borrow_mut();
        if halves[0].len() >= VOUCHES_MAX {
            halves.swap(0, 1);
            halves[0].clear();
        }
        halves[0].insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> Arc<Verifier> {
        let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        Arc::new(Verifier::new(jwks, vec!["i".to_owned()], "a".to_owned()).expect("verifier"))
    }

    #[test]
    fn a_verification_dies_with_its_keys_and_no_later_keys_revive_it() {
        let cache = VouchCache::default();
        let first = verifier();
        cache.keep([0; 32], Kept { caller: Arc::new(Caller::anonymous()), expires_at: 100, verifier: first.clone() });
        assert!(cache.find(&[0; 32], &first, 99).is_some());
        assert!(cache.find(&[0; 32], &first, 100).is_none());
        drop(first);
        // Whatever the allocator does, none of these can stand where the first stood.
        for _ in 0..100 {
            assert!(cache.find(&[0; 32], &verifier(), 99).is_none());
        }
    }
}
