//! The table of hostile tokens: each has exactly one reason.

use proptest::prelude::*;
use serde_json::json;
use telemetry::metrics::Metrics;

use super::*;
use crate::config::IssuerConfig;
use crate::forge::{ISSUER, JWKS, NOW, Script, Signer, claims, config, jwks, plan};
use crate::key_set::KeySet;
use crate::measures::IssuerFamilies;

fn issuer_of(config: &IssuerConfig) -> Issuer {
    Issuer::new(plan(config), Script::new(), IssuerFamilies::of(&Metrics::new()).measures("demo"))
}

fn issuer_with(keys: Option<&[Value]>) -> Arc<Issuer> {
    let issuer = issuer_of(&config(json!({ "jwks_url": JWKS })));
    if let Some(keys) = keys {
        issuer.keys.store(Some(KeySet::parse(&jwks(keys)).unwrap()));
    }
    Arc::new(issuer)
}

/// An issuer with one P-256 key `ec` and one RSA key `rsa`; it accepts ES256 and RS256.
fn bench() -> (Signer, Vec<Arc<Issuer>>) {
    let ec = Signer::p256();
    let issuers = vec![issuer_with(Some(&[ec.jwk("ec"), Signer::Rsa.jwk("rsa")]))];
    (ec, issuers)
}

fn reason(verdict: Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Proved(_) => None,
        Verdict::Refused(reason) => Some(reason),
        Verdict::KeyUnknown { .. } => Some(Reason::TokenKeyUnknown),
    }
}

fn claims_with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

fn claims_without(member: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

#[test]
fn an_honest_token_proves_its_caller() {
    let (ec, issuers) = bench();
    let Verdict::Proved(proved) = verify(&issuers, &ec.token(Algorithm::Es256, "ec", &claims()), &[0], NOW) else { panic!("not proved") };
    assert_eq!((proved.valid_until, proved.issuer), (NOW + 660, 0));
    assert_eq!(proved.key_set, issuers[0].keys.load().as_ref().as_ref().unwrap().generation);
    let caller = &*proved.caller;
    assert_eq!(
        (caller.subject.as_str(), caller.issuer.as_str(), caller.proof.as_str(), caller.expires_at),
        ("ada", ISSUER, "jwt", Some(NOW + 660))
    );
    assert_eq!(caller.scopes, ["orders:read", "orders:write"]);
    assert_eq!(serde_json::to_value(&caller.claims).unwrap(), json!({ "role": "editor" }));
}

#[test]
fn every_algorithm_of_the_list_is_verified_by_its_own_key_alone() {
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"].map(|name| Algorithm::parse(name).unwrap());
    let mut config = config(json!({ "jwks_url": JWKS }));
    config.algorithms = all.to_vec();
    let signers = [Signer::Rsa, Signer::p256(), Signer::p384(), Signer::ed25519()];
    let issuer = issuer_of(&config);
    let keys: Vec<Value> = signers.iter().enumerate().map(|(at, signer)| signer.jwk(&at.to_string())).collect();
    issuer.keys.store(Some(KeySet::parse(&jwks(&keys)).unwrap()));
    let issuers = [Arc::new(issuer)];
    for algorithm in all {
        let signer = match algorithm {
            Algorithm::Es256 => 1,
            Algorithm::Es384 => 2,
            Algorithm::EdDsa => 3,
            _ => 0,
        };
        for kid in 0..4 {
            let found = reason(verify(&issuers, &signers[signer].token(algorithm, &kid.to_string(), &claims()), &[0], NOW));
            assert_eq!(found, (kid != signer).then_some(Reason::TokenAlgorithmRefused), "{algorithm:?} {kid}");
        }
        // The header says one thing and the signature is another: never taken.
        for other in all.into_iter().filter(|other| *other != algorithm && other.family() == algorithm.family()) {
            let header = json!({ "alg": other.name(), "kid": signer.to_string() }).to_string();
            let token = signers[signer].token_of(algorithm, &header, &claims().to_string());
            assert_eq!(reason(verify(&issuers, &token, &[0], NOW)), Some(Reason::TokenSignatureInvalid), "{algorithm:?} as {other:?}");
        }
    }
}

#[test]
fn every_hostile_header_has_its_reason() {
    let (ec, issuers) = bench();
    let body = claims().to_string();
    let header = |header: &str| ec.token_of(Algorithm::Es256, header, &body);
    let honest = ec.token(Algorithm::Es256, "ec", &claims());
    let (input, signature) = honest.rsplit_once('.').unwrap();
    let mut public = ec.jwk("ec");
    public["kid"] = json!("evil");
    for (token, expected) in [
        (String::new(), Reason::CredentialMalformed),
        ("a.b.c".into(), Reason::CredentialMalformed),
        (format!("{honest}=="), Reason::CredentialMalformed),
        (format!("{honest}."), Reason::CredentialMalformed),
        (format!("{honest} "), Reason::CredentialMalformed),
        (honest.replacen('.', "=.", 1), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","alg":"ES256","kid":"ec"}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":"ec","crit":["exp"]}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":"ec","crit":[]}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":"ec","b64":true}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":["ES256"],"kid":"ec"}"#), Reason::CredentialMalformed),
        (header(r#"{"kid":"ec"}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":1}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":"ec","typ":"gw+jwt"}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"ES256","kid":"ec","typ":"secevent+jwt"}"#), Reason::CredentialMalformed),
        (header(r#"{"alg":"none","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"None","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"es256","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"HS256","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"ES384","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"RS256","kid":"ec"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"ES256","kid":"rsa"}"#), Reason::TokenAlgorithmRefused),
        (header(r#"{"alg":"ES256","kid":"other"}"#), Reason::TokenKeyUnknown),
        (header(r#"{"alg":"ES256","kid":"EC"}"#), Reason::TokenKeyUnknown),
        (header(r#"{"alg":"ES256","kid":""}"#), Reason::TokenKeyUnknown),
        (header(r#"{"alg":"ES256","kid":"../../etc/passwd"}"#), Reason::TokenKeyUnknown),
        (format!("{input}."), Reason::TokenSignatureInvalid),
        (format!("{input}.{}", contract::jws::encode(&[0; 64])), Reason::TokenSignatureInvalid),
        (format!("{input}.{}", &signature[..signature.len() - 2]), Reason::TokenSignatureInvalid),
        (Signer::p256().token(Algorithm::Es256, "ec", &claims()), Reason::TokenSignatureInvalid),
        // Signed by a key that the token itself brings along.
        (
            Signer::p256().token_of(
                Algorithm::Es256,
                &json!({ "alg": "ES256", "kid": "ec", "jwk": public, "jku": "https://evil.example/", "x5u": "https://evil.example/" })
                    .to_string(),
                &body,
            ),
            Reason::TokenSignatureInvalid,
        ),
        ("x".repeat(8 * 1024 + 1), Reason::TokenTooLarge),
    ] {
        assert_eq!(reason(verify(&issuers, &token, &[0], NOW)), Some(expected), "{token}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert_eq!(
            reason(verify(&issuers, &header(&json!({ "alg": "ES256", "kid": "ec", "typ": typ }).to_string()), &[0], NOW)),
            None,
            "{typ}"
        );
    }
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let (_, issuers) = bench();
    let header = contract::jws::encode(br#"{"alg":"HS256","kid":"rsa","typ":"JWT"}"#);
    let input = format!("{header}.{}", contract::jws::encode(claims().to_string().as_bytes()));
    let rsa = Signer::Rsa.jwk("rsa");
    for secret in [
        rsa["n"].as_str().unwrap().as_bytes().to_vec(),
        contract::jws::decode(rsa["n"].as_str().unwrap()).unwrap(),
        rsa.to_string().into_bytes(),
    ] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let token = format!("{input}.{}", contract::jws::encode(aws_lc_rs::hmac::sign(&key, input.as_bytes()).as_ref()));
        assert_eq!(reason(verify(&issuers, &token, &[0], NOW)), Some(Reason::TokenAlgorithmRefused));
    }
}

#[test]
fn every_hostile_claim_has_its_reason() {
    let (ec, issuers) = bench();
    let invalid = Some(Reason::TokenClaimsInvalid);
    for (claims, expected) in [
        (claims_with("iss", json!("https://other.example")), Some(Reason::TokenIssuerUnknown)),
        (claims_with("iss", json!(format!("{ISSUER}/"))), Some(Reason::TokenIssuerUnknown)),
        (claims_with("iss", json!([ISSUER])), invalid),
        (claims_without("iss"), invalid),
        (claims_with("aud", json!("other")), Some(Reason::TokenAudienceWrong)),
        (claims_with("aud", json!("gateway2")), Some(Reason::TokenAudienceWrong)),
        (claims_with("aud", json!([])), Some(Reason::TokenAudienceWrong)),
        (claims_with("aud", json!(["other", "gateway"])), None),
        (claims_with("aud", json!(["gateway", 1])), invalid),
        (claims_with("aud", json!({ "gateway": 1 })), invalid),
        (claims_with("aud", json!(null)), invalid),
        (claims_without("aud"), Some(Reason::TokenAudienceWrong)),
        (claims_with("exp", json!(NOW - 59)), None),
        (claims_with("exp", json!(NOW - 60)), Some(Reason::TokenExpired)),
        (claims_with("exp", json!(NOW - 61)), Some(Reason::TokenExpired)),
        (claims_with("exp", json!(0)), Some(Reason::TokenExpired)),
        (claims_with("exp", json!(NOW as f64 + 0.5)), None),
        (claims_with("exp", json!(1e300)), None),
        (claims_with("exp", json!(u64::MAX)), None),
        (claims_with("exp", json!(-1)), invalid),
        (claims_with("exp", json!((NOW + 600).to_string())), invalid),
        (claims_with("exp", json!(null)), invalid),
        (claims_with("exp", json!(true)), invalid),
        (claims_without("exp"), invalid),
        (claims_with("nbf", json!(NOW + 60)), None),
        (claims_with("nbf", json!(NOW + 61)), Some(Reason::TokenNotYetValid)),
        (claims_with("nbf", json!("later")), invalid),
        (claims_with("iat", json!(NOW + 60)), None),
        (claims_with("iat", json!(NOW + 61)), Some(Reason::TokenNotYetValid)),
        (claims_with("iat", json!([])), invalid),
        (claims_without("iat"), None),
        (claims_with("sub", json!("")), invalid),
        (claims_with("sub", json!(7)), invalid),
        (claims_with("sub", json!("ada ")), invalid),
        (claims_with("sub", json!("\u{a0}ada")), invalid),
        (claims_with("sub", json!("ada\r\nx-gw-subject: root")), invalid),
        (claims_without("sub"), invalid),
        (claims_with("scope", json!(["a b"])), invalid),
        (claims_with("scope", json!(1)), invalid),
        (claims_without("scope"), None),
    ] {
        let token = ec.token(Algorithm::Es256, "ec", &claims);
        assert_eq!(reason(verify(&issuers, &token, &[0], NOW)), expected, "{claims}");
    }
    for text in [r#"{"iss":"https://issuer.example/realm","iss":"https://issuer.example/realm"}"#, "[]", "{", "null", ""] {
        assert_eq!(
            reason(verify(&issuers, &ec.token_of(Algorithm::Es256, r#"{"alg":"ES256","kid":"ec"}"#, text), &[0], NOW)),
            Some(Reason::CredentialMalformed),
            "{text}"
        );
    }
}

#[test]
fn claims_count_only_after_the_signature() {
    let (_, issuers) = bench();
    let forged = Signer::p256().token(Algorithm::Es256, "ec", &claims_with("exp", json!(1)));
    assert_eq!(reason(verify(&issuers, &forged, &[0], NOW)), Some(Reason::TokenSignatureInvalid));
}

#[test]
fn a_token_without_kid_is_taken_only_where_one_key_fits() {
    let (one, two) = (Signer::p256(), Signer::p256());
    let token = one.token_of(Algorithm::Es256, r#"{"alg":"ES256"}"#, &claims().to_string());
    let found = |keys: &[Value]| reason(verify(&[issuer_with(Some(keys))], &token, &[0], NOW));
    assert_eq!(found(&[one.jwk("a"), Signer::Rsa.jwk("r")]), None);
    assert_eq!(found(&[one.jwk("a"), two.jwk("b")]), Some(Reason::TokenKeyUnknown));
    assert_eq!(found(&[Signer::Rsa.jwk("r")]), Some(Reason::TokenKeyUnknown));
}

#[test]
fn only_the_issuers_that_the_rule_admits_are_asked() {
    let (ec, issuers) = bench();
    let token = ec.token(Algorithm::Es256, "ec", &claims());
    for allowed in [&[][..], &[1], &[7, 1]] {
        assert_eq!(reason(verify(&issuers, &token, allowed, NOW)), Some(Reason::TokenIssuerUnknown), "{allowed:?}");
    }
}

#[test]
fn an_issuer_without_keys_proves_nothing() {
    let token = Signer::p256().token(Algorithm::Es256, "ec", &claims());
    assert_eq!(reason(verify(&[issuer_with(None)], &token, &[0], NOW)), Some(Reason::KeysUnavailable));
}

#[test]
fn a_point_off_the_curve_verifies_nothing() {
    let (ec, _) = bench();
    let mut key = ec.jwk("ec");
    key["y"] = json!(contract::jws::encode(&[1; 32]));
    let token = ec.token(Algorithm::Es256, "ec", &claims());
    assert_eq!(reason(verify(&[issuer_with(Some(&[key]))], &token, &[0], NOW)), Some(Reason::TokenSignatureInvalid));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(text: String, header: String, body: String, value in "null|true|-?[0-9]{1,25}|[0-9]e[0-9]{1,3}|\"[a-z ]{0,5}\"|\\[\"gateway\"\\]|\\{\\}", now: u64) {
        let (ec, issuers) = bench();
        let _ = verify(&issuers, &text, &[0], now);
        let _ = verify(&issuers, &ec.token_of(Algorithm::Es256, &header, &body), &[0], now);
        for member in ["exp", "nbf", "iat", "aud", "sub", "scope", "role"] {
            let mut claims = claims_without(member).to_string();
            claims.truncate(claims.len() - 1);
            let token = ec.token_of(Algorithm::Es256, r#"{"alg":"ES256","kid":"ec"}"#, &format!("{claims},\"{member}\":{value}}}"));
            let _ = verify(&issuers, &token, &[0], now);
        }
    }

    #[test]
    fn no_changed_byte_is_taken(at: prop::sample::Index, byte in prop::sample::select(b"AZaz09-_.=".to_vec())) {
        let (ec, issuers) = bench();
        let token = ec.token(Algorithm::Es256, "ec", &claims());
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assume!(changed != token);
        prop_assert!(reason(verify(&issuers, &changed, &[0], NOW)).is_some());
    }
}
