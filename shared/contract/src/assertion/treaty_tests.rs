//! Assertions of a former, the same, the next and an over-next treaty, as texts that no code of today writes.

use std::collections::BTreeMap;

use serde_json::json;

use super::tests::{HEADER, NOW, caller, forge, signer, verifier};
use super::{AssertionFault, jws};
use crate::caller::{Caller, Proof};

/// What tier 1 writes under treaty 1, byte for byte; whatever changes it is another treaty.
const SAME: &str = r#"{"iss":"security-gw","aud":"routing-gw","iat":1800000000,"exp":1800000060,"treaty":1,"caller":{"subject":"ada","issuer":"https://issuer","proof":"jwt","scopes":["orders:read"],"claims":{"role":{"of":["editor",1]}},"expires_at":1800003600}}"#;

/// A former treaty that knew neither scopes nor claims, nor when a credential dies.
const FORMER: &str = r#"{"iss":"security-gw","aud":"routing-gw","iat":1800000000,"exp":1800000060,"treaty":0,"caller":{"subject":"ada","issuer":"https://issuer","proof":"jwt"}}"#;

/// The next treaty, which tells more at every level.
const NEXT: &str = r#"{"iss":"security-gw","aud":"routing-gw","iat":1800000000,"exp":1800000060,"treaty":2,"region":"eu-1","caller":{"subject":"ada","issuer":"https://issuer","proof":"jwt","session":{"id":"s-1","factors":["pwd","otp"]},"scopes":["orders:read"],"claims":{"role":{"of":["editor",1]}},"expires_at":1800003600}}"#;

/// A treaty too far away to be read, however much it looks like ours.
const OVER_NEXT: &str = r#"{"iss":"security-gw","aud":"routing-gw","iat":1800000000,"exp":1800000060,"treaty":3,"caller":{"subject":"ada","issuer":"https://issuer","proof":"jwt","scopes":["orders:read"],"claims":{"role":{"of":["editor",1]}},"expires_at":1800003600}}"#;

/// An over-next treaty that has other members altogether.
const OVER_NEXT_STRANGE: &str = r#"{"issuer":"security-gw","treaty":3,"who":"ada"}"#;

fn believed(claims: &str) -> Result<Caller, AssertionFault> {
    verifier().verify(&forge(HEADER, claims), NOW).map(|vouch| vouch.caller)
}

#[test]
fn our_own_treaty_is_written_byte_for_byte() {
    let token = signer(1, "k1").sign(&caller(), NOW).unwrap().token;
    let claims = jws::decode(token.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(String::from_utf8(claims).unwrap(), SAME);
    assert_eq!(believed(SAME), Ok(caller()));
}

#[test]
fn what_the_former_treaty_leaves_out_gives_nothing() {
    let expected = Caller {
        subject: "ada".into(),
        issuer: "https://issuer".into(),
        proof: Proof::Jwt,
        scopes: Vec::new(),
        claims: BTreeMap::new(),
        expires_at: None,
    };
    assert_eq!(believed(FORMER), Ok(expected));
    // Its end is the assertion's, whatever the credential's would have been.
    assert_eq!(verifier().verify(&forge(HEADER, FORMER), NOW + 60), Err(AssertionFault::Expired));
}

#[test]
fn what_the_next_treaty_adds_is_ignored() {
    assert_eq!(believed(NEXT), Ok(caller()));
    // A proof is what decisions hang on: one that is not known here proves nothing.
    let unknown = NEXT.replace(r#""proof":"jwt""#, r#""proof":"passkey""#);
    assert_eq!(believed(&unknown), Err(AssertionFault::Malformed));
}

#[test]
fn no_treaty_may_leave_out_who_is_asking() {
    for member in ["subject", "issuer", "proof"] {
        let mut claims: serde_json::Value = serde_json::from_str(FORMER).unwrap();
        claims["caller"].as_object_mut().unwrap().remove(member);
        assert_eq!(believed(&claims.to_string()), Err(AssertionFault::Malformed), "{member}");
    }
    assert_eq!(believed(&json!({ "treaty": 0 }).to_string()), Err(AssertionFault::Malformed));
}

#[test]
fn a_treaty_further_away_is_refused_by_its_number() {
    for claims in [OVER_NEXT, OVER_NEXT_STRANGE] {
        assert_eq!(believed(claims), Err(AssertionFault::Treaty), "{claims}");
        assert_eq!(AssertionFault::Treaty.reason().code(), "assertion-treaty");
    }
}
