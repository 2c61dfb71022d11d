//! This tier's own signed word on the caller, for the instances of one service.
//!
//! In: `Exchange<Permitted>`. Out: `Exchange<Introduced>`, with the word where the route says `assert`.
//! Refuses: `Identity`, when the credential ended just now or says more than a header holds, or no key signs.
//! Never: says anything of an anonymous caller, so that the word's absence means that nobody was proved; signs once per request what holds for many.

use contract::identity_token::IdentitySigner;
use identity::signed::SignedCache;
use wire::exchange::Exchange;

use crate::facts::{Introduced, Permitted};
use crate::refusal::Refusal;

/// Signs the caller's identity for the service, or takes what was signed for the same caller and service.
///
/// # Errors
/// The route asks for it, and it cannot be said.
pub fn sign(cache: &SignedCache<IdentitySigner>, exchange: Exchange<Permitted>, now: u64) -> Result<Exchange<Introduced>, Refusal> {
    let caller = exchange.known.caller();
    let identity = match &exchange.known.route().identity {
        Some(signer) if !caller.is_anonymous() => {
            Some(cache.get(signer, caller, now, |signer| signer.sign(caller, now)).map_err(Refusal::Identity)?)
        }
        Some(_) | None => None,
    };
    Ok(exchange.learn(|permitted| Introduced::new(permitted, identity)))
}
