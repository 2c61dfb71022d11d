//! The signed identity that tier 2 believes.
//!
//! In: `Exchange<Identified>`. Out: `Exchange<Asserted>`.
//! Refuses: `Signing`, which only a broken key could cause; `Credential` when it ended just now or says more than an assertion holds.
//! Never: signs once per request what holds for many; an assertion serves its credential until half its life is over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use contract::assertion::{KeyFault, Signer};
use contract::caller::Caller;
use contract::reason::Reason;
use http::HeaderValue;
use wire::exchange::Exchange;

use crate::facts::{Asserted, Identified};
use crate::refusal::Refusal;

/// Assertions that one worker keeps in each of two halves; the older half goes when the younger is full.
const ASSERTIONS_MAX: usize = 2_048;

/// The assertions of one worker, by the caller that the token cache shares.
#[derive(Debug, Default)]
pub struct AssertionCache {
    halves: RefCell<[HashMap<usize, Kept>; 2]>,
}

#[derive(Clone, Debug)]
struct Kept {
    /// Held so that the caller's address, which is the key, is not given to another caller.
    caller: Arc<Caller>,
    assertion: HeaderValue,
    renew_at: u64,
}

/// Signs the caller's identity, or takes the assertion that was signed for the same credential.
///
/// # Errors
/// The key cannot sign, or what it signed is no field value.
pub fn sign(signer: &Signer, cache: &AssertionCache, exchange: Exchange<Identified>, now: u64) -> Result<Exchange<Asserted>, Refusal> {
    let caller = exchange.known.caller();
    let key = Arc::as_ptr(caller).addr();
    let kept = cache.find(key, now);
    let assertion = match kept {
        Some(assertion) => assertion,
        None => {
            let made = signer.sign(caller, now).map_err(|fault| match fault {
                // The credential ended between its proof and here.
                KeyFault::CallerExpired => Refusal::Credential(Reason::TokenExpired),
                // Nothing is wrong with the key: the token says more than the link can carry, and only a smaller one helps.
                KeyFault::TooLarge => Refusal::Credential(Reason::TokenTooLarge),
                other => Refusal::Signing(other.to_string()),
            })?;
            let mut value = HeaderValue::try_from(made.token).map_err(|fault| Refusal::Signing(fault.to_string()))?;
            value.set_sensitive(true);
            let renew_at = made.issued_at + (made.expires_at.saturating_sub(made.issued_at)) / 2;
            cache.keep(key, Kept { caller: caller.clone(), assertion: value.clone(), renew_at });
            value
        }
    };
    Ok(exchange.learn(|identified| Asserted::new(identified, assertion)))
}

impl AssertionCache {
    fn find(&self, key: usize, now: u64) -> Option<HeaderValue> {
        let mut halves = self.halves.borrow_mut();
        let [young, old] = &mut *halves;
        if let Some(kept) = young.get(&key) {
            return (now < kept.renew_at).then(|| kept.assertion.clone());
        }
        let kept = old.remove(&key).filter(|kept| now < kept.renew_at)?;
        let assertion = kept.assertion.clone();
        young.insert(key, kept);
        Some(assertion)
    }

    fn keep(&self, key: usize, kept: Kept) {
        debug_assert_eq!(key, Arc::as_ptr(&kept.caller).addr());
        let mut halves = self.halves.borrow_mut();
        if halves[0].len() >= ASSERTIONS_MAX {
            halves.swap(0, 1);
            halves[0].clear();
        }
        halves[0].insert(key, kept);
    }
}
