//! Assertions round-trip, die in time, and every way to forge one has its own refusal.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::caller::Proof;
use crate::signing_keys::public_jwk;

pub(super) const NOW: u64 = 1_800_000_000;

/// An Ed25519 private key of a given seed in PKCS#8 (RFC 8410 §7).
fn pem(seed: u8) -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend_from_slice(&[seed; 32]);
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)).into_bytes()
}

pub(super) fn signer(seed: u8, kid: &str) -> Signer {
    Signer::from_pkcs8_pem(&pem(seed), kid.into(), "security-gw".into(), "routing-gw".into()).unwrap()
}

fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(super) fn verifier() -> Verifier {
    Verifier::new(&jwks(&[public_jwk(&pem(1), "k1").unwrap()]), vec!["security-gw".into()], "routing-gw".into()).unwrap()
}

pub(super) fn caller() -> Caller {
    Caller {
        subject: "ada".into(),
        issuer: "https://issuer".into(),
        proof: Proof::Jwt,
        scopes: vec!["orders:read".into()],
        claims: BTreeMap::from([("role".into(), json!({ "of": ["editor", 1] }))]),
        expires_at: Some(NOW + 3600),
    }
}

fn claims() -> Value {
    json!({ "iss": "security-gw", "aud": "routing-gw", "iat": NOW, "exp": NOW + 60, "treaty": TREATY, "caller": caller() })
}

/// A token signed by key 1 over whatever header and claims.
pub(super) fn forge(header: &str, claims: &str) -> String {
    let input = format!("{}.{}", jws::encode(header.as_bytes()), jws::encode(claims.as_bytes()));
    let signature = crypto::sign(input.as_bytes(), &EncodingKey::from_ed_pem(&pem(1)).unwrap(), Algorithm::EdDSA).unwrap();
    format!("{input}.{signature}")
}

pub(super) const HEADER: &str = r#"{"alg":"EdDSA","kid":"k1","typ":"gw+jwt"}"#;

fn with(member: &str, value: Value) -> String {
    let mut claims = claims();
    claims[member] = value;
    forge(HEADER, &claims.to_string())
}

fn without(member: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    forge(HEADER, &claims.to_string())
}

#[test]
fn what_is_signed_is_believed_until_it_expires() {
    let assertion = signer(1, "k1").sign(&caller(), NOW).unwrap();
    assert_eq!((assertion.issued_at, assertion.expires_at), (NOW, NOW + 60));
    let vouch = verifier().verify(&assertion.token, NOW).unwrap();
    assert_eq!((vouch.caller, vouch.expires_at), (caller(), NOW + 60));
    assert!(verifier().verify(&assertion.token, NOW + 59).is_ok());
    assert_eq!(verifier().verify(&assertion.token, NOW + 60), Err(AssertionFault::Expired));
    assert!(verifier().verify(&assertion.token, NOW - AHEAD_SECONDS_MAX).is_ok());
    assert_eq!(verifier().verify(&assertion.token, NOW - AHEAD_SECONDS_MAX - 1), Err(AssertionFault::NotYet));
}

#[test]
fn an_assertion_never_outlives_the_credential() {
    let mut caller = caller();
    caller.expires_at = Some(NOW + 7);
    assert_eq!(signer(1, "k1").sign(&caller, NOW).unwrap().expires_at, NOW + 7);
    caller.expires_at = Some(NOW);
    assert_eq!(signer(1, "k1").sign(&caller, NOW).unwrap_err(), KeyFault::CallerExpired);
    assert_eq!(signer(1, "k1").sign(&Caller::anonymous(), NOW).unwrap().expires_at, NOW + 60);
    caller.expires_at = None;
    caller.subject = "a".repeat(ASSERTION_BYTES_MAX);
    assert_eq!(signer(1, "k1").sign(&caller, NOW).unwrap_err(), KeyFault::TooLarge);
}

#[test]
fn every_forgery_has_its_own_refusal() {
    let genuine = forge(HEADER, &claims().to_string());
    assert!(verifier().verify(&genuine, NOW).is_ok());
    let claims = claims().to_string();
    let twice = claims.replacen('{', r#"{"aud":"routing-gw","#, 1);
    let stripped = format!("{}.", genuine.rsplit_once('.').unwrap().0);
    let table = [
        (String::new(), AssertionFault::Missing),
        ("a.b".into(), AssertionFault::Malformed),
        ("x".repeat(ASSERTION_BYTES_MAX + 1), AssertionFault::Malformed),
        (format!("{genuine}="), AssertionFault::Malformed),
        (format!("{genuine}.x"), AssertionFault::Malformed),
        (forge(r#"{"alg":"none","kid":"k1","typ":"gw+jwt"}"#, &claims), AssertionFault::Algorithm),
        (forge(r#"{"alg":"HS256","kid":"k1","typ":"gw+jwt"}"#, &claims), AssertionFault::Algorithm),
        (forge(r#"{"alg":"eddsa","kid":"k1","typ":"gw+jwt"}"#, &claims), AssertionFault::Algorithm),
        (forge(r#"{"alg":"EdDSA","kid":"k1"}"#, &claims), AssertionFault::Malformed),
        (forge(r#"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#, &claims), AssertionFault::Malformed),
        (forge(r#"{"alg":"EdDSA","kid":"k1","typ":"gw+jwt","crit":["x"]}"#, &claims), AssertionFault::Malformed),
        (forge(r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k1","typ":"gw+jwt"}"#, &claims), AssertionFault::Malformed),
        (forge(r#"{"alg":"EdDSA","typ":"gw+jwt"}"#, &claims), AssertionFault::KeyUnknown),
        (forge(r#"{"alg":"EdDSA","kid":"k2","typ":"gw+jwt"}"#, &claims), AssertionFault::KeyUnknown),
        (stripped, AssertionFault::Signature),
        (signer(2, "k1").sign(&caller(), NOW).unwrap().token, AssertionFault::Signature),
        (forge(HEADER, &twice), AssertionFault::Malformed),
        (with("iss", json!("somebody")), AssertionFault::Issuer),
        (with("aud", json!("another-gw")), AssertionFault::Audience),
        (with("aud", json!(["routing-gw"])), AssertionFault::Malformed),
        (with("treaty", json!(TREATY + 2)), AssertionFault::Treaty),
        (with("treaty", json!(-1)), AssertionFault::Treaty),
        (with("treaty", json!(1.5)), AssertionFault::Treaty),
        (with("treaty", json!("1")), AssertionFault::Malformed),
        (without("treaty"), AssertionFault::Malformed),
        (with("exp", json!(NOW)), AssertionFault::Expired),
        (with("exp", json!("soon")), AssertionFault::Malformed),
        (with("exp", json!(NOW + 61)), AssertionFault::Malformed),
        (without("exp"), AssertionFault::Malformed),
        (with("iat", json!(NOW + 6)), AssertionFault::NotYet),
        (without("iat"), AssertionFault::Malformed),
        (without("caller"), AssertionFault::Malformed),
        (with("caller", json!({ "subject": "ada" })), AssertionFault::Malformed),
    ];
    for (token, fault) in table {
        assert_eq!(verifier().verify(&token, NOW), Err(fault), "{token}");
    }
}

#[test]
fn every_fault_has_the_reason_of_its_name() {
    use AssertionFault as F;
    for fault in
        [F::Missing, F::Malformed, F::Algorithm, F::KeyUnknown, F::Signature, F::Issuer, F::Audience, F::Expired, F::NotYet, F::Treaty]
    {
        assert_eq!(format!("Assertion{fault:?}"), format!("{:?}", fault.reason()));
    }
}

#[test]
fn a_key_set_gives_ed25519_signature_keys_alone() {
    let good = public_jwk(&pem(1), "k1").unwrap();
    let read = |keys: &[Value]| Verifier::new(&jwks(keys), vec!["i".into()], "a".into()).map(|verifier| verifier.keys.len());
    let but = |member: &str, value: Value| {
        let mut key = good.clone();
        key[member] = value;
        key
    };
    let useless = [
        but("kty", json!("OCT")),
        but("crv", json!("Ed448")),
        but("alg", json!("HS256")),
        but("use", json!("enc")),
        but("key_ops", json!(["encrypt"])),
        but("kid", json!("")),
        but("x", json!("AAAA")),
        but("x", json!(1)),
        but("exp", json!("1")),
        but("exp", json!(-1)),
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "EdDSA" }),
        json!("key"),
    ];
    for key in &useless {
        assert_eq!(read(std::slice::from_ref(key)), Err(KeyFault::NoUsableKey), "{key}");
    }
    assert_eq!(read(&[&useless[..], std::slice::from_ref(&good)].concat()), Ok(1));
    assert_eq!(read(&[good.clone(), public_jwk(&pem(2), "k2").unwrap()]), Ok(2));
    assert_eq!(read(&[good.clone(), public_jwk(&pem(2), "k1").unwrap()]), Err(KeyFault::KidTwice));
    assert_eq!(read(&vec![good.clone(); KEYS_MAX + 1]), Err(KeyFault::JwksMalformed));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(Verifier::new(text.as_bytes(), vec!["i".into()], "a".into()).unwrap_err(), KeyFault::JwksMalformed, "{text}");
    }
    assert_eq!(Verifier::new(&jwks(&[good]), vec![], "a".into()).unwrap_err(), KeyFault::NameEmpty);
}

#[test]
fn only_ed25519_private_keys_sign() {
    let x25519 = String::from_utf8(pem(1)).unwrap().replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vu");
    for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", x25519.as_str()] {
        assert_eq!(Signer::from_pkcs8_pem(text.as_bytes(), "k".into(), "i".into(), "a".into()).unwrap_err(), KeyFault::NotAnEd25519Key);
        assert_eq!(public_jwk(text.as_bytes(), "k").unwrap_err(), KeyFault::NotAnEd25519Key);
    }
    assert_eq!(Signer::from_pkcs8_pem(&pem(1), String::new(), "i".into(), "a".into()).unwrap_err(), KeyFault::NameEmpty);
}

#[test]
fn the_public_key_is_that_of_rfc_8037() {
    // Appendix A.1 and A.2.
    let seed = jws::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend_from_slice(&seed);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    let jwk = public_jwk(pem.as_bytes(), "k").unwrap();
    assert_eq!(
        jwk,
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "k", "alg": "EdDSA", "use": "sig" })
    );
}

#[test]
fn secrets_stay_out_of_debug() {
    let signer = signer(1, "k1");
    let assertion = signer.sign(&caller(), NOW).unwrap();
    assert!(!format!("{assertion:?}").contains(&assertion.token));
    let shown = format!("{signer:?}");
    assert!(shown.contains("k1") && !shown.contains("key:"), "{shown}");
}

proptest! {
    #[test]
    fn what_is_signed_reads_back(subject: String, scopes: Vec<String>, claim: String, value: i64, anonymous: bool, expires in proptest::option::of(NOW + 1..NOW + 100)) {
        let caller = Caller {
            subject, issuer: "i".into(), proof: if anonymous { Proof::Anonymous } else { Proof::Jwt }, scopes,
            claims: BTreeMap::from([(claim, json!([value, null]))]), expires_at: expires,
        };
        match signer(1, "k1").sign(&caller, NOW) {
            Ok(assertion) => {
                prop_assert!(assertion.token.len() <= ASSERTION_BYTES_MAX);
                prop_assert_eq!(verifier().verify(&assertion.token, NOW).unwrap().caller, caller);
            }
            Err(fault) => prop_assert_eq!(fault, KeyFault::TooLarge),
        }
    }

    /// One byte changed anywhere is never believed.
    #[test]
    fn no_changed_byte_is_believed(at: prop::sample::Index, byte in prop::sample::select(b"AZaz09-_.=%".to_vec())) {
        let token = forge(HEADER, &claims().to_string());
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != token);
        prop_assert!(verifier().verify(&changed, NOW).is_err());
    }

    #[test]
    fn no_text_panics(text: String, header: String, body: String, now: u64) {
        let _ = verifier().verify(&text, now);
        let _ = verifier().verify(&forge(&header, &body), now);
        let _ = verifier().verify(&forge(HEADER, &body), now);
        let _ = Verifier::new(text.as_bytes(), vec![body], header);
    }

    /// Whoever has a lawful key may still write anything into a claim: it is believed or refused, and what is believed keeps to its bounds.
    #[test]
    fn no_claim_of_any_kind_panics_or_breaks_a_bound(member in "iss|aud|iat|exp|treaty|caller|extra", value in values(), now in NOW - 100..NOW + 100) {
        if let Ok(vouch) = verifier().verify(&with(&member, value), now) {
            prop_assert!(now < vouch.expires_at && vouch.expires_at <= now + AHEAD_SECONDS_MAX + LIFE_SECONDS_MAX);
        }
    }

    /// The same for the members of the caller.
    #[test]
    fn no_member_of_a_caller_panics(member in "subject|issuer|proof|scopes|claims|expires_at|extra", value in values()) {
        let mut told = serde_json::to_value(caller()).unwrap();
        told[&member] = value;
        let _ = verifier().verify(&with("caller", told), NOW);
    }

    #[test]
    fn no_key_set_panics(member in "kty|crv|kid|x|alg|use|key_ops|exp|keys", value in values(), bytes: Vec<u8>) {
        let mut key = public_jwk(&pem(1), "k1").unwrap();
        key[&member] = value.clone();
        let names = || (vec!["security-gw".to_owned()], "routing-gw".to_owned());
        let ((issuers, audience), (others, other)) = (names(), names());
        let _ = Verifier::new(&jwks(&[key, value]), issuers, audience);
        let _ = Verifier::new(&bytes, others, other);
    }
}

/// JSON of every kind, with the numbers at which sums overflow.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![u64::MAX, u64::MAX - 60, NOW, NOW + 60, 0]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{0,12}", inner, 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn signers_and_verifiers_are_equal_by_what_they_were_made_from() {
    let made = |seed, kid: &str, issuer: &str, audience: &str| {
        Signer::from_pkcs8_pem(&pem(seed), kid.into(), issuer.into(), audience.into()).unwrap()
    };
    let one = made(1, "k", "i", "a");
    assert!(one == made(1, "k", "i", "a"));
    for other in [made(2, "k", "i", "a"), made(1, "l", "i", "a"), made(1, "k", "j", "a"), made(1, "k", "i", "b")] {
        assert!(one != other, "{other:?}");
    }

    let key = |seed, kid: &str| public_jwk(&pem(seed), kid).unwrap();
    let made = |keys: &[Value], issuers: &[&str], audience: &str| {
        Verifier::new(&jwks(keys), issuers.iter().map(ToString::to_string).collect(), audience.into()).unwrap()
    };
    let two = [key(1, "k"), key(2, "l")];
    let one = made(&two, &["i"], "a");
    assert!(one == made(&[key(2, "l"), key(1, "k")], &["i"], "a"), "the order in the set says nothing");
    for other in [
        made(&two[..1], &["i"], "a"),
        made(&[key(2, "k"), key(1, "l")], &["i"], "a"),
        made(&[key(1, "k"), key(2, "m")], &["i"], "a"),
        made(&two, &["i", "j"], "a"),
        made(&two, &["i"], "b"),
    ] {
        assert!(one != other, "{other:?}");
    }
}
