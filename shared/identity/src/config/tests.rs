//! An issuer's configuration is refused with all its faults at once, or becomes a plan.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::forge::{ISSUER, JWKS, Signer, config, jwks, plan};

fn complaints(config: Value) -> Vec<String> {
    let config: IssuerConfig = serde_json::from_value(config).unwrap();
    let mut report = Report::new();
    let plan = config.check("issuers.demo", &Files::of(Path::new("/nowhere")), &mut report);
    assert_eq!(plan.is_none(), !report.is_clean());
    report.complaints().iter().map(|complaint| format!("{} {}", complaint.key, complaint.what)).collect()
}

fn with(member: &str, value: Value) -> Value {
    let mut config = json!({ "issuer": ISSUER, "audiences": ["gateway"], "algorithms": ["ES256"], "keys": { "discovery": true } });
    config[member] = value;
    config
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = config(json!({ "discovery": true }));
    assert_eq!((config.leeway, config.refresh, config.token_bytes_max), (Span::secs(60), Span::secs(300), Size::kib(8)));
    assert!(!config.allow_http && config.scopes_claim == "scope");
    let plan = plan(&config);
    assert_eq!((plan.name(), plan.issuer()), ("demo", ISSUER));
}

#[test]
fn each_fault_is_told_at_its_key() {
    for (config, key, part) in [
        (with("issuer", json!("")), "issuers.demo.issuer", "not a URL"),
        (with("issuer", json!("issuer.example")), "issuers.demo.issuer", "not a URL"),
        (with("issuer", json!("ftp://issuer.example")), "issuers.demo.issuer", "not a URL"),
        (with("issuer", json!("https://user@issuer.example")), "issuers.demo.issuer", "not a URL"),
        (with("issuer", json!("https://issuer.example/#x")), "issuers.demo.issuer", "not a URL"),
        (with("issuer", json!("https://issuer.example/?x")), "issuers.demo.issuer", "query"),
        (with("issuer", json!("http://127.0.0.1:9400")), "issuers.demo.issuer", "plain HTTP"),
        (with("audiences", json!([])), "issuers.demo.audiences", "empty"),
        (with("audiences", json!(["a", ""])), "issuers.demo.audiences[1]", "empty"),
        (with("algorithms", json!([])), "issuers.demo.algorithms", "no algorithm"),
        (with("keys", json!({})), "issuers.demo.keys", "no place"),
        (with("keys", json!({ "discovery": false })), "issuers.demo.keys", "no place"),
        (with("keys", json!({ "discovery": true, "jwks_url": JWKS })), "issuers.demo.keys", "more than one"),
        (with("keys", json!({ "jwks_file": "a", "jwks_url": JWKS })), "issuers.demo.keys", "more than one"),
        (with("keys", json!({ "jwks_url": "http://keys.example" })), "issuers.demo.keys.jwks_url", "plain HTTP"),
        (with("keys", json!({ "jwks_file": "absent.json" })), "issuers.demo.keys.jwks_file", "absent.json cannot be read"),
        (with("leeway", json!("11m")), "issuers.demo.leeway", "clocks"),
        (with("refresh", json!("500ms")), "issuers.demo.refresh", "range"),
        (with("refresh", json!("25h")), "issuers.demo.refresh", "range"),
        (with("token_bytes_max", json!("1MiB")), "issuers.demo.token_bytes_max", "range"),
        (with("scopes_claim", json!("")), "issuers.demo.scopes_claim", "empty"),
        (with("claims", json!(["role", ""])), "issuers.demo.claims[1]", "empty"),
        (with("claims", json!(vec!["a"; CLAIMS_MAX + 1])), "issuers.demo.claims", "too many"),
    ] {
        let found = complaints(config);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{key} ")) && found[0].contains(part), "{found:?}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let found = complaints(json!({ "issuer": "x", "audiences": [], "algorithms": [], "keys": {}, "leeway": "1h", "refresh": "0s" }));
    assert_eq!(found.len(), 6, "{found:?}");
}

#[test]
fn plain_http_needs_a_word_and_then_passes() {
    let mut config = with("issuer", json!("http://127.0.0.1:9400"));
    config["allow_http"] = json!(true);
    assert_eq!(complaints(config), Vec::<String>::new());
}

#[test]
fn what_no_configuration_may_say_is_not_read() {
    for wrong in [
        with("algorithms", json!(["HS256"])),
        with("algorithms", json!(["none"])),
        with("audience", json!("gateway")),
        with("keys", json!({ "secret": "s" })),
        json!({ "audiences": ["a"], "algorithms": ["ES256"], "keys": { "discovery": true } }),
    ] {
        assert!(serde_json::from_value::<IssuerConfig>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_key_file_is_read_from_the_folder_of_the_configuration() {
    let folder = std::env::temp_dir().join(format!("identity-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = config(json!({ "jwks_file": "keys.json" }));
    let check = |bytes: &[u8]| {
        std::fs::write(folder.join("keys.json"), bytes).unwrap();
        let mut report = Report::new();
        config.check("issuers.demo", &Files::of(&folder), &mut report).map(|plan| plan.keys)
    };
    assert_eq!(check(&jwks(&[Signer::p256().jwk("a")])), Some(KeysPlan::File(folder.join("keys.json"))));
    assert_eq!(check(b"{}"), None);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn two_entries_may_not_claim_one_issuer() {
    let one = config(json!({ "discovery": true }));
    let mut other = one.clone();
    let mut report = Report::new();
    let twice = BTreeMap::from([("a".to_owned(), one.clone()), ("b".to_owned(), other.clone())]);
    check_all(&twice, "issuers", &Files::of(Path::new("/")), &mut report);
    assert_eq!(report.complaints().iter().map(|complaint| complaint.key.as_str()).collect::<Vec<_>>(), ["issuers.b.issuer"]);
    other.issuer = "https://other.example".into();
    let mut report = Report::new();
    let plans =
        check_all(&BTreeMap::from([("b".to_owned(), one), ("a".to_owned(), other)]), "issuers", &Files::of(Path::new("/")), &mut report)
            .unwrap();
    assert_eq!(plans.iter().map(IssuerPlan::name).collect::<Vec<_>>(), ["a", "b"]);
}
