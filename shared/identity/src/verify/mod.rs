//! The strict verification of a token against the issuers that a rule admits.
//!
//! In: a token, the issuers, `now`. Out: a verdict. The order is: size, structure, issuer (only to choose whose keys), algorithm, key, signature; what
//! the token claims counts only after that. Never: tries keys until one fits, and never looks at `jku`, `jwk`, `x5u`, `x5c`.

use std::sync::Arc;

use contract::caller::Caller;
use contract::jws::Compact;
use contract::reason::Reason;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::claims;
use crate::issuer::Issuer;
use crate::key_set::Choice;

/// The `typ`s of access and identity tokens, lower-case (RFC 9068 §2.1, RFC 7519 §5.1). Other types are made for other ends by the same keys.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// What verification found.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The token proves a caller.
    Proved(Proved),
    /// It does not, for this reason.
    Refused(Reason),
    /// It may, but its key is not among those held; a newer key set may have it.
    KeyUnknown {
        /// The index of the issuer that the token names.
        issuer: usize,
        /// The `kid` of its header.
        kid: String,
    },
}

/// A proved caller; only verification makes one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proved {
    /// Who is asking.
    pub caller: Arc<Caller>,
    /// The Unix second at which the proof dies: `exp` and the leeway.
    pub valid_until: u64,
    /// The generation of the key set that proved it.
    pub key_set: u64,
    /// The index of the issuer.
    pub issuer: usize,
}

/// Verifies `token` at `now` (Unix seconds) against those of `issuers` whose indexes are `allowed`.
pub(crate) fn verify(issuers: &[Arc<Issuer>], token: &str, allowed: &[usize], now: u64) -> Verdict {
    attempt(issuers, token, allowed, now).unwrap_or_else(Verdict::Refused)
}

fn attempt(issuers: &[Arc<Issuer>], token: &str, allowed: &[usize], now: u64) -> Result<Verdict, Reason> {
    let admitted = || allowed.iter().filter_map(|index| Some((*index, issuers.get(*index)?)));
    // Until the issuer is known, the most generous ceiling of those admitted bounds the work.
    if admitted().all(|(_, issuer)| token.len() > issuer.plan.token_bytes_max) && admitted().next().is_some() {
        return Err(Reason::TokenTooLarge);
    }
    let compact = Compact::parse(token).map_err(|_| Reason::CredentialMalformed)?;
    if compact.typ.as_ref().is_some_and(|typ| !TYPES.contains(&typ.to_ascii_lowercase().as_str())) {
        return Err(Reason::CredentialMalformed);
    }
    let Some(Value::String(named)) = compact.claims.get("iss") else { return Err(Reason::TokenClaimsInvalid) };
    let (index, issuer) = admitted().find(|(_, issuer)| issuer.plan.terms.issuer() == named).ok_or(Reason::TokenIssuerUnknown)?;
    if token.len() > issuer.plan.token_bytes_max {
        return Err(Reason::TokenTooLarge);
    }
    let algorithm = Algorithm::parse(&compact.algorithm)
        .filter(|algorithm| issuer.plan.terms.accepts(*algorithm))
        .ok_or(Reason::TokenAlgorithmRefused)?;
    let held = issuer.keys.load();
    let Some(keys) = held.as_ref() else { return Err(Reason::KeysUnavailable) };
    let key = match keys.choose(compact.kid.as_deref(), algorithm) {
        Choice::Key(key) => key,
        Choice::Unclear => return Err(Reason::TokenKeyUnknown),
        Choice::Misfit if compact.kid.is_none() => return Err(Reason::TokenKeyUnknown),
        Choice::Misfit => return Err(Reason::TokenAlgorithmRefused),
        Choice::Unknown => return Ok(Verdict::KeyUnknown { issuer: index, kid: compact.kid.unwrap_or_default() }),
    };
    if !key.verifies(algorithm, compact.signing_input, compact.signature) {
        return Err(Reason::TokenSignatureInvalid);
    }
    let (caller, valid_until) = claims::judge(&issuer.plan.terms, &compact.claims, now)?;
    Ok(Verdict::Proved(Proved { caller: Arc::new(caller), valid_until, key_set: keys.generation, issuer: index }))
}

#[cfg(test)]
mod tests;
