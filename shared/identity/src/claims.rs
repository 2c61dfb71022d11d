//! What a genuine token says, held against the issuer's terms.
//!
//! In: claims whose signature holds, and `now` in Unix seconds. Out: a caller and how long it may be believed, or a reason. Refuses: no expiry, no
//! subject, other audiences, times that are no numbers, and tokens from the future.

use std::collections::BTreeMap;

use contract::caller::{Caller, Proof};
use contract::reason::Reason;
use serde_json::{Map, Value};

use crate::scopes;
use crate::terms::Terms;

/// Bytes of a subject at most (OpenID Connect Core §2); every instance sees it whole.
const SUBJECT_BYTES_MAX: usize = 255;

/// Judges the claims of a token whose signature holds. Gives the caller and the Unix second at which its proof dies.
pub(crate) fn judge(terms: &Terms, claims: &Map<String, Value>, now: u64) -> Result<(Caller, u64), Reason> {
    if !is_meant_here(terms, claims)? {
        return Err(Reason::TokenAudienceWrong);
    }
    let valid_until = time(claims, "exp")?.ok_or(Reason::TokenClaimsInvalid)?.saturating_add(terms.leeway_s());
    if now >= valid_until {
        return Err(Reason::TokenExpired);
    }
    let latest = now.saturating_add(terms.leeway_s());
    for begin in ["nbf", "iat"] {
        if time(claims, begin)?.is_some_and(|begin| begin > latest) {
            return Err(Reason::TokenNotYetValid);
        }
    }
    // White space around it would be lost in a header, and the subject would be another one there.
    let is_subject = |subject: &&str| {
        !subject.is_empty() && subject.len() <= SUBJECT_BYTES_MAX && subject.trim() == *subject && !subject.chars().any(char::is_control)
    };
    let subject = claims.get("sub").and_then(Value::as_str).filter(is_subject);
    let caller = Caller {
        subject: subject.ok_or(Reason::TokenClaimsInvalid)?.to_owned(),
        issuer: terms.issuer().to_owned(),
        proof: Proof::Jwt,
        scopes: scopes::read(claims, terms.scopes_claim()).map_err(|()| Reason::TokenClaimsInvalid)?,
        claims: forwarded(terms, claims),
        expires_at: Some(valid_until),
    };
    Ok((caller, valid_until))
}

/// `aud` is a text or a list of texts (RFC 7519 §4.1.3); any of them may be ours.
fn is_meant_here(terms: &Terms, claims: &Map<String, Value>) -> Result<bool, Reason> {
    match claims.get("aud") {
        None => Ok(false),
        Some(Value::String(audience)) => Ok(terms.is_audience(audience)),
        Some(Value::Array(audiences)) => {
            let audiences = audiences.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or(Reason::TokenClaimsInvalid)?;
            Ok(audiences.into_iter().any(|audience| terms.is_audience(audience)))
        }
        Some(_) => Err(Reason::TokenClaimsInvalid),
    }
}

/// A NumericDate (RFC 7519 §2): a number of seconds, a fraction allowed and cut off.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => Ok(Some(whole)),
            // The cast saturates, and negative times are refused before it.
            (None, Some(fraction)) if fraction >= 0.0 => Ok(Some(fraction as u64)),
            _ => Err(Reason::TokenClaimsInvalid),
        },
        Some(_) => Err(Reason::TokenClaimsInvalid),
    }
}

fn forwarded(terms: &Terms, claims: &Map<String, Value>) -> BTreeMap<String, Value> {
    terms.forwarded().iter().filter_map(|name| Some((name.clone(), claims.get(name)?.clone()))).collect()
}
