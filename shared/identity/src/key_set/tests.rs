//! Which keys of a set are usable, and for what.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::forge::{Signer, jwks};

fn read(keys: &[Value]) -> Result<usize, String> {
    KeySet::parse(&jwks(keys)).map(|set| set.len())
}

fn but(key: &Value, member: &str, value: Value) -> Value {
    let mut key = key.clone();
    key[member] = value;
    key
}

#[test]
fn every_supported_type_is_usable() {
    let keys = [Signer::Rsa.jwk("r"), Signer::p256().jwk("a"), Signer::p384().jwk("b"), Signer::ed25519().jwk("c")];
    let set = KeySet::parse(&jwks(&keys)).unwrap();
    assert_eq!((set.len(), set.warnings.len()), (4, 0));
    assert!(set.has("r") && !set.has("x"));
    for (kid, algorithm) in
        [("r", Algorithm::Rs256), ("r", Algorithm::Ps512), ("a", Algorithm::Es256), ("b", Algorithm::Es384), ("c", Algorithm::EdDsa)]
    {
        assert!(matches!(set.choose(Some(kid), algorithm), Choice::Key(_)), "{kid}");
    }
    assert!(matches!(set.choose(Some("a"), Algorithm::Es384), Choice::Misfit));
    assert!(matches!(set.choose(Some("r"), Algorithm::Es256), Choice::Misfit));
    assert!(matches!(set.choose(Some("x"), Algorithm::Es256), Choice::Unknown));
    assert!(matches!(set.choose(None, Algorithm::Es256), Choice::Key(_)));
}

#[test]
fn unusable_keys_are_passed_over_and_told() {
    let (good, rsa) = (Signer::p256().jwk("a"), Signer::Rsa.jwk("r"));
    let unusable = [
        (json!("key"), "object"),
        (json!({ "kid": "a" }), "kty"),
        (json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" }), "symmetric"),
        (but(&good, "d", json!("AAAA")), "private"),
        (but(&good, "use", json!("enc")), "signatures"),
        (but(&good, "key_ops", json!(["sign"])), "verifying"),
        (but(&good, "key_ops", json!("verify")), "verifying"),
        (but(&good, "alg", json!("ES384")), "alg"),
        (but(&good, "alg", json!("HS256")), "alg"),
        (but(&good, "alg", json!(1)), "wrong type"),
        (but(&good, "crv", json!("P-521")), "curve"),
        (but(&good, "crv", json!("secp256k1")), "curve"),
        (but(&good, "x", json!("AAAA")), "length"),
        (but(&good, "y", json!(1)), "wrong type"),
        (but(&good, "y", json!("====")), "base64url"),
        (but(&rsa, "n", json!(contract::jws::encode(&[0xff; 128]))), "2048"),
        (but(&rsa, "n", json!(contract::jws::encode(&[&[0x7f][..], &[0xff; 255]].concat()))), "2048"),
        (but(&rsa, "n", json!(contract::jws::encode(&[0xff; 1025]))), "8192"),
        (but(&rsa, "n", json!("")), "2048"),
        (but(&rsa, "e", json!("AQ")), "exponent"),
        (but(&rsa, "e", json!("AQAA")), "exponent"),
        (but(&rsa, "e", json!("")), "exponent"),
    ];
    for (key, why) in &unusable {
        assert!(read(std::slice::from_ref(key)).unwrap_err().contains(why), "{key}");
        let set = KeySet::parse(&jwks(&[key.clone(), Signer::p384().jwk("z")])).unwrap();
        assert_eq!((set.len(), set.warnings.len()), (1, 1), "{key}");
    }
}

#[test]
fn a_leading_zero_in_a_modulus_adds_nothing() {
    let rsa = Signer::Rsa.jwk("r");
    let n = contract::jws::decode(rsa["n"].as_str().unwrap()).unwrap();
    assert_eq!(read(&[but(&rsa, "n", json!(contract::jws::encode(&[&[0][..], &n].concat())))]), Ok(1));
    assert!(read(&[but(&rsa, "n", json!(contract::jws::encode(&[&[0; 128][..], &[0xff; 128]].concat())))]).is_err());
}

#[test]
fn a_kid_that_means_two_keys_means_none() {
    let (one, two) = (Signer::p256().jwk("a"), Signer::p256().jwk("a"));
    let set = KeySet::parse(&jwks(&[one.clone(), two.clone()])).unwrap();
    assert!(matches!(set.choose(Some("a"), Algorithm::Es256), Choice::Unclear));
    assert!(matches!(set.choose(None, Algorithm::Es256), Choice::Unclear));
    assert!(matches!(KeySet::parse(&jwks(&[one.clone(), one.clone()])).unwrap().choose(Some("a"), Algorithm::Es256), Choice::Key(_)));
    // The same kid for two types is lawful (RFC 7517 §4.5).
    let mixed = KeySet::parse(&jwks(&[one, Signer::Rsa.jwk("a")])).unwrap();
    assert!(matches!(mixed.choose(Some("a"), Algorithm::Rs256), Choice::Key(_)));
}

#[test]
fn sets_that_are_none_are_refused() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert!(read(&vec![Signer::p256().jwk("a"); KEYS_MAX + 1]).unwrap_err().contains("more than"));
}

#[test]
fn every_set_has_a_generation_of_its_own() {
    let bytes = jwks(&[Signer::p256().jwk("a")]);
    let (one, two) = (KeySet::parse(&bytes).unwrap(), KeySet::parse(&bytes).unwrap());
    assert_ne!(one.generation, two.generation);
    assert_eq!(one.digest, two.digest);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, members in r#"("(kty|crv|n|e|x|y|alg|kid)":("RSA"|"EC"|"OKP"|"P-256"|"AQAB"|"[A-Za-z0-9_-]{0,50}"|1|null),){0,6}"#) {
        let _ = KeySet::parse(&bytes);
        let _ = KeySet::parse(format!("{{\"keys\":[{{{members}\"use\":\"sig\"}}]}}").as_bytes());
    }
}
