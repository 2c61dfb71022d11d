//! Which key signs when, what is published, and what is no private key set.

use proptest::prelude::*;

use super::*;
use crate::assertion::{AssertionFault, Signer, Verifier};

const NOW: u64 = 1_800_000_000;

/// A private set of keys: name, seed, `nbf`, `exp`.
pub(crate) fn set(keys: &[(&str, u8, Option<u64>, Option<u64>)]) -> String {
    let key = |(kid, seed, nbf, exp): &(&str, u8, Option<u64>, Option<u64>)| {
        let pkcs8 = [&PKCS8_HEAD[..], &[*seed; 32]].concat();
        let mut jwk = SigningKey::new(EncodingKey::from_ed_der(&pkcs8), (*kid).to_owned(), 0, None).unwrap().public;
        jwk["d"] = jws::encode(&[*seed; 32]).into();
        for (name, time) in [("nbf", nbf), ("exp", exp)] {
            if let Some(time) = time {
                jwk[name] = (*time).into();
            }
        }
        jwk
    };
    json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() }).to_string()
}

fn keys(keys: &[(&str, u8, Option<u64>, Option<u64>)]) -> Arc<SigningKeys> {
    Arc::new(SigningKeys::from_jwks(set(keys).as_bytes()).unwrap())
}

fn signer(keys: &Arc<SigningKeys>) -> Signer {
    Signer::new(Arc::clone(keys), "security-gw".into(), "routing-gw".into()).unwrap()
}

fn verifier(keys: &SigningKeys, now: u64) -> Verifier {
    let jwks = keys.published_at(now).to_string();
    Verifier::new(jwks.as_bytes(), vec!["security-gw".into()], "routing-gw".into()).unwrap()
}

fn kid(token: &str) -> String {
    jws::Compact::parse(token).unwrap().kid.unwrap()
}

#[test]
fn the_newest_key_whose_time_has_come_signs_and_those_that_have_not_ended_are_published() {
    let keys = keys(&[("next", 3, Some(NOW + 120), None), ("old", 1, None, Some(NOW)), ("now", 2, Some(NOW - 9), Some(NOW + 240))]);
    let signer = signer(&keys);
    let signs = |now| signer.sign(&Caller::anonymous(), now).map(|made| (kid(&made.token), made.expires_at - now));
    assert_eq!(signs(NOW - 10), Ok(("old".into(), 10)), "what is signed ends with its key");
    assert_eq!(signs(NOW - 9), Ok(("now".into(), 60)));
    assert_eq!(signs(NOW + 119), Ok(("now".into(), 60)));
    assert_eq!(signs(NOW + 120), Ok(("next".into(), 60)));
    let published = |now| {
        let set = keys.published_at(now);
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(published(NOW - 1), ["old", "now", "next"]);
    assert_eq!(published(NOW), ["now", "next"]);
    assert_eq!(published(NOW + 240), ["next"]);
    let text = keys.published_at(NOW).to_string();
    assert!(!text.contains("\"d\"") && !text.contains("nbf"), "{text}");
    assert!(!format!("{keys:?}").contains(&jws::encode(&[2; 32])));
}

#[test]
fn where_no_key_has_begun_or_all_have_ended_nothing_is_signed() {
    let keys = keys(&[("only", 1, Some(NOW), Some(NOW + 10))]);
    for (now, signs) in [(NOW - 1, false), (NOW, true), (NOW + 9, true), (NOW + 10, false)] {
        assert_eq!(keys.signs_at(now), signs, "{now}");
        assert_eq!(signer(&keys).sign(&Caller::anonymous(), now).err(), (!signs).then_some(KeyFault::NoKeyNow), "{now}");
    }
}

#[test]
fn every_other_set_is_refused() {
    let good: Value = serde_json::from_str(&set(&[("k", 1, Some(5), Some(6))])).unwrap();
    let with = |member: &str, value: Value| {
        let mut set = good.clone();
        set["keys"][0][member] = value;
        SigningKeys::from_jwks(set.to_string().as_bytes()).unwrap_err()
    };
    for (member, value) in [
        ("kty", json!("EC")),
        ("crv", json!("X25519")),
        ("kid", json!("")),
        ("kid", json!(1)),
        ("d", json!("AAAA")),
        ("d", json!(null)),
        ("d", json!("not base64")),
    ] {
        assert_eq!(with(member, value.clone()), KeyFault::PrivateKeyMalformed, "{member} {value}");
    }
    for (member, value) in [("nbf", json!("1")), ("nbf", json!(-1)), ("nbf", json!(6)), ("exp", json!(5)), ("exp", json!(1.5))] {
        assert_eq!(with(member, value.clone()), KeyFault::TimesWrong, "{member} {value}");
    }
    assert_eq!(with("x", json!(jws::encode(&[9; 32]))), KeyFault::HalvesDiffer);
    assert_eq!(with("x", json!(null)), KeyFault::HalvesDiffer);
    let fault = |text: &str| SigningKeys::from_jwks(text.as_bytes()).unwrap_err();
    for malformed in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(fault(malformed), KeyFault::JwksMalformed, "{malformed}");
    }
    assert_eq!(fault(r#"{"keys":[]}"#), KeyFault::NoUsableKey);
    assert_eq!(fault(&set(&[("k", 1, None, None), ("k", 2, None, None)])), KeyFault::KidTwice);
    let many: Vec<String> = (0..=KEYS_MAX).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|kid| (kid.as_str(), 1, None, None)).collect();
    assert_eq!(fault(&set(&many)), KeyFault::JwksMalformed);
}

#[test]
fn sets_are_equal_by_their_keys_and_times() {
    let one = [("a", 1, None, None), ("b", 2, Some(5), None)];
    assert!(keys(&one) == keys(&one));
    for other in [
        [("a", 1, None, None), ("c", 2, Some(5), None)],
        [("a", 3, None, None), ("b", 2, Some(5), None)],
        [("a", 1, None, None), ("b", 2, Some(6), None)],
        [("a", 1, None, Some(9)), ("b", 2, Some(5), None)],
    ] {
        assert!(keys(&one) != keys(&other), "{other:?}");
    }
}

proptest! {
    /// A rotation as `gwctl keys rotate` makes it at `NOW`. A replica reads the file after `late_signer` seconds, a verifier the published set after
    /// `late_verifier`; what the one signs at any time the other believes until it ends, unless the assertion is older than the key allows.
    #[test]
    fn no_order_of_reading_refuses_an_assertion(late_signer in 0..OVERLAP_SECONDS, late_verifier in 0..OVERLAP_SECONDS, at in 0..600u64, age in 0..LIFE_SECONDS_MAX) {
        let before = keys(&[("old", 1, None, None)]);
        let after = keys(&[("old", 1, None, Some(NOW + 2 * OVERLAP_SECONDS)), ("new", 2, Some(NOW + OVERLAP_SECONDS), None)]);
        let of = |late: u64, second: u64| if second < NOW + late { &before } else { &after };
        let signed_at = NOW + at;
        let made = signer(of(late_signer, signed_at)).sign(&Caller::anonymous(), signed_at).unwrap();
        let read_at = signed_at + age;
        prop_assert!(read_at < made.expires_at);
        let believed = verifier(of(late_verifier, read_at), read_at).verify(&made.token, read_at);
        prop_assert!(believed.is_ok(), "{:?}", believed);
    }

    #[test]
    fn a_key_that_has_ended_is_unknown_also_to_who_read_it_before(until in NOW + 1..NOW + 200, read_at in NOW..NOW + 400) {
        let keys = keys(&[("old", 1, None, Some(until)), ("new", 2, None, None)]);
        let old = keys_of_old();
        let token = signer(&old).sign(&Caller::anonymous(), read_at).unwrap().token;
        let believed = verifier(&keys, NOW).verify(&token, read_at);
        match believed {
            Ok(vouch) => {
                prop_assert!(read_at < until);
                prop_assert!(vouch.expires_at <= until);
            }
            Err(fault) => {
                prop_assert_eq!(fault, AssertionFault::KeyUnknown);
                prop_assert!(read_at >= until);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, members in "(\"(kty|crv|kid|d|x|nbf|exp)\":(\"OKP\"|\"Ed25519\"|\"AAAA\"|1|null|\\[\\]),?){0,8}") {
        let _ = SigningKeys::from_jwks(&bytes);
        let _ = SigningKeys::from_jwks(format!("{{\"keys\":[{{{members}}}]}}").as_bytes());
        let _ = SigningKeys::from_pkcs8_pem(&bytes, "k".to_owned());
    }
}

fn keys_of_old() -> Arc<SigningKeys> {
    keys(&[("old", 1, None, None)])
}
