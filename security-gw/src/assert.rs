//! The signed identity that tier 2 believes.
//!
//! In: `Exchange<Identified>`. Out: `Exchange<Asserted>`.
//! Refuses: `Signing`, which only a key that is broken or has ended could cause; `Credential` when it ended just now or says more than an assertion
//! holds. Never: signs once per request what holds for many.

use std::sync::Arc;

use contract::assertion::{KeyFault, Signer};
use contract::reason::Reason;
use identity::signed::SignedCache;
use wire::exchange::Exchange;

use crate::facts::{Asserted, Identified};
use crate::refusal::Refusal;

/// Signs the caller's identity, or takes the assertion that was signed for the same credential.
///
/// # Errors
/// No key can sign, or the credential cannot be told.
pub fn sign(
    signer: &Arc<Signer>,
    cache: &SignedCache<Signer>,
    exchange: Exchange<Identified>,
    now: u64,
) -> Result<Exchange<Asserted>, Refusal> {
    let caller = exchange.known.caller();
    let assertion = cache.get(signer, caller, now, |signer| signer.sign(caller, now)).map_err(|fault| match fault {
        // The credential ended between its proof and here.
        KeyFault::CallerExpired => Refusal::Credential(Reason::TokenExpired),
        // Nothing is wrong with the key: the token says more than the link can carry, and only a smaller one helps.
        KeyFault::TooLarge => Refusal::Credential(Reason::TokenTooLarge),
        other => Refusal::Signing(other.to_string()),
    })?;
    Ok(exchange.learn(|identified| Asserted::new(identified, assertion)))
}
