//! Tier 2's own signed word on a caller, for one service: what an instance need not believe a plain header for.
//!
//! In: a proved caller, the claims that the route tells, keys. Out: a compact JWS (EdDSA) of at most a minute's life that any JWT library can check
//! against the JWKS that tier 2 publishes: `iss`, `sub`, `aud`, `iat`, `exp`, `scope` as they are registered (RFC 7519 §4.1, RFC 8693 §4.2),
//! `subject_issuer`, because a subject is unique at its issuer alone, and `claims`. Refuses: anonymous callers. Never: outlives the credential.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::assertion::{Assertion, KeyFault};
use crate::caller::Caller;
use crate::signing_keys::{Seal, SigningKeys};

/// The `typ` of the header: no assertion between the tiers passes for one of these, nor one of these for an assertion.
const TYP: &str = "gw-identity+jwt";

/// Signs for one service what a route tells of callers.
#[derive(PartialEq)]
pub struct IdentitySigner {
    seal: Seal,
    issuer: String,
    audience: String,
    claims: Vec<Box<str>>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    subject_issuer: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<&'a str, &'a Value>,
}

impl fmt::Debug for IdentitySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentitySigner").field("issuer", &self.issuer).field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl IdentitySigner {
    /// Signs by `keys` as `issuer` for `audience`, and tells of the caller's claims those in `claims`.
    ///
    /// # Errors
    /// `NameEmpty`.
    pub fn new(keys: Arc<SigningKeys>, issuer: String, audience: String, claims: Vec<Box<str>>) -> Result<Self, KeyFault> {
        if issuer.is_empty() || audience.is_empty() {
            return Err(KeyFault::NameEmpty);
        }
        Ok(Self { seal: Seal::new(keys, TYP), issuer, audience, claims })
    }

    /// Vouches for `caller` at `now` (Unix seconds).
    ///
    /// # Errors
    /// `CallerAnonymous`, `CallerExpired`, `NoKeyNow`, `TooLarge`, `Signing`.
    pub fn sign(&self, caller: &Caller, now: u64) -> Result<Assertion, KeyFault> {
        if caller.is_anonymous() {
            return Err(KeyFault::CallerAnonymous);
        }
        self.seal.sign(caller, now, |exp| Claims {
            iss: &self.issuer,
            sub: &caller.subject,
            aud: &self.audience,
            iat: now,
            exp,
            scope: caller.scopes.join(" "),
            subject_issuer: &caller.issuer,
            claims: self.claims.iter().filter_map(|name| Some((&**name, caller.claim(name)?))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::assertion::{AssertionFault, Verifier};
    use crate::caller::Proof;

    const NOW: u64 = 1_800_000_000;

    fn keys() -> Arc<SigningKeys> {
        Arc::new(SigningKeys::from_jwks(crate::signing_keys::tests::set(&[("k1", 1, None, None)]).as_bytes()).unwrap())
    }

    fn caller() -> Caller {
        Caller {
            subject: "ada".into(),
            issuer: "https://issuer".into(),
            proof: Proof::Jwt,
            scopes: vec!["orders:read".into(), "orders:write".into()],
            claims: BTreeMap::from([("role".into(), json!("editor")), ("secret".into(), json!(1))]),
            expires_at: None,
        }
    }

    /// As an instance reads it, with a library that knows nothing of us.
    fn read(token: &str) -> Value {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["orders"]);
        validation.set_issuer(&["routing-gw"]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        let public = keys().published_at(NOW)["keys"][0].clone();
        let key = DecodingKey::from_jwk(&serde_json::from_value(public).unwrap()).unwrap();
        decode::<Value>(token, &key, &validation).unwrap().claims
    }

    #[test]
    fn an_ordinary_library_reads_it() {
        let signer = IdentitySigner::new(keys(), "routing-gw".into(), "orders".into(), vec!["role".into(), "absent".into()]).unwrap();
        let told = signer.sign(&caller(), NOW).unwrap();
        let expected = json!({
            "iss": "routing-gw", "sub": "ada", "aud": "orders", "iat": NOW, "exp": NOW + 60, "scope": "orders:read orders:write",
            "subject_issuer": "https://issuer", "claims": { "role": "editor" },
        });
        assert_eq!(read(&told.token), expected);
        let short = Caller { expires_at: Some(NOW + 7), ..caller() };
        assert_eq!(signer.sign(&short, NOW).unwrap().expires_at, NOW + 7);
        assert_eq!(signer.sign(&short, NOW + 7).unwrap_err(), KeyFault::CallerExpired);
        assert_eq!(signer.sign(&Caller::anonymous(), NOW).unwrap_err(), KeyFault::CallerAnonymous);
    }

    #[test]
    fn it_is_no_assertion_even_under_the_same_key_and_names() {
        let signer = IdentitySigner::new(keys(), "security-gw".into(), "routing-gw".into(), Vec::new()).unwrap();
        let jwks = keys().published_at(NOW).to_string();
        let verifier = Verifier::new(jwks.as_bytes(), vec!["security-gw".into()], "routing-gw".into()).unwrap();
        let token = signer.sign(&caller(), NOW).unwrap().token;
        assert_eq!(verifier.verify(&token, NOW).unwrap_err(), AssertionFault::Malformed);
    }

    proptest! {
        #[test]
        fn whatever_a_caller_is_called_is_told_as_it_is(subject: String, issuer: String, scope in "[!#-~]{0,20}", claim: String) {
            let signer = IdentitySigner::new(keys(), "routing-gw".into(), "orders".into(), vec!["role".into()]).unwrap();
            let claims = BTreeMap::from([("role".to_owned(), json!(claim))]);
            let caller = Caller { subject, issuer, scopes: vec![scope.clone()], claims, ..caller() };
            let told = read(&signer.sign(&caller, NOW).unwrap().token);
            prop_assert_eq!(&told["sub"], &json!(caller.subject));
            prop_assert_eq!(&told["subject_issuer"], &json!(caller.issuer));
            prop_assert_eq!(told["scope"].as_str().unwrap_or_default(), scope);
            prop_assert_eq!(&told["claims"]["role"], &json!(claim));
        }
    }
}
