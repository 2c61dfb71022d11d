//! `check` tells every mistake at once, each with its place and its remedy.

use std::process::Command;

use expect_test::expect;
use tests::rig::Rig;

use crate::BINARIES;

#[test]
fn three_mistakes_are_three_complaints() {
    let rig = Rig::two_tier(&BINARIES);
    let good = std::fs::read_to_string(rig.folder.file("security.yaml")).expect("the file");
    let bad = good
        .replace("workers: 2", "workers: two")
        .replace("authenticate: anonymous }", "authenticate: anonymous, relay: true }")
        .replace("issuers: [demo] }", "issuers: [dmeo] }");
    rig.folder.write("bad.yaml", &bad);
    let (code, said) = check(&rig, BINARIES.security, "bad.yaml");
    assert_eq!(code, 78, "{said}");
    expect![[r#"
        bad.yaml:2:10 workers: found the text "two"; write a whole number from 0 to 4294967295
        bad.yaml:12:51 rules[0].issuers[0]: no issuer is named "dmeo"; did you mean "demo"?
        bad.yaml:13:50 rules[1].relay: unknown key "relay"; the keys here are: path, authenticate, issuers, relay_authorization, body_bytes_max, slow_bodies, allow_encoded_slashes
        3 complaints about bad.yaml
    "#]]
    .assert_eq(&said.replace(&format!("{}/", rig.folder.path().display()), ""));
}

#[test]
fn good_files_pass_and_bad_usage_is_told() {
    let rig = Rig::two_tier(&BINARIES);
    for (binary, file) in [(BINARIES.security, "security.yaml"), (BINARIES.routing, "routing.yaml")] {
        let (code, said) = check(&rig, binary, file);
        assert_eq!(code, 0, "{said}");
        let usage = Command::new(binary).arg("--nonsense").output().expect("it runs");
        assert_eq!(usage.status.code(), Some(64));
        let schema = Command::new(binary).arg("schema").output().expect("it runs");
        let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("a JSON Schema");
        assert!(schema["properties"]["listen"].is_object(), "{schema}");
        let health = Command::new(binary).args(["health", "--config"]).arg(rig.folder.file(file)).status().expect("it runs");
        assert_eq!(health.code(), Some(0));
    }
}

#[test]
fn a_route_without_a_policy_is_a_mistake() {
    let rig = Rig::two_tier(&BINARIES);
    let good = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    rig.folder.write("bad.yaml", &good.replace(", public: true }", " }").replace("service: users, require", "service: usres, require"));
    let (code, said) = check(&rig, BINARIES.routing, "bad.yaml");
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("routes[3]: the route \"public\" has no policy; add `require:`"), "{said}");
    assert!(said.contains("routes[2].service: no service is named \"usres\"; did you mean \"users\"?"), "{said}");
}

fn check(rig: &Rig, binary: &str, file: &str) -> (i32, String) {
    let output = Command::new(binary).args(["check", "--config"]).arg(rig.folder.file(file)).output().expect("it runs");
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).expect("text"))
}
