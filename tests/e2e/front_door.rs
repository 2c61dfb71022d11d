//! Who gets in, who does not, and what each is told.

use std::collections::BTreeSet;

use tests::rig::Rig;
use tests::rig::wait::until;

use crate::BINARIES;

#[test]
fn callers_get_what_their_scopes_allow() {
    let rig = Rig::two_tier(&BINARIES);
    let (editor, reader) = (rig.editor(), rig.reader());

    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    rig.knock("GET /orders/1").with(&reader).check("200 orders");
    rig.knock("POST /orders/1").with(&editor).body("x").check("200 orders");
    rig.knock("GET /users/7").with(&editor).check("200 users");
    rig.knock("GET /users/7").with(&reader).check("403 not-permitted");
    rig.knock("GET /nowhere").with(&editor).check("404 no-route");
    rig.knock("GET /public/page").check("200 orders");

    let refused = rig.knock("POST /orders/1").with(&reader).check("403 not-permitted");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let decision = refused.json()["decision_id"].as_str().expect("a decision id").to_owned();
    assert_eq!(rig.record_of(&refused)["gateway.decision"], *decision);

    let method = rig.knock("OPTIONS /orders/1").with(&editor).check("405 method-not-allowed");
    let allowed: BTreeSet<_> = method.header("allow").split(", ").collect();
    assert_eq!(allowed, BTreeSet::from(["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]));
}

#[test]
fn credentials_are_proved_or_refused_with_their_own_reason() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();

    let none = rig.knock("GET /orders/1").check("401 no-credentials");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    rig.knock("GET /nowhere").check("401 no-credentials");

    let expired = rig.knock("GET /orders/1").with(&rig.token("editor", -3600)).check("401 token-expired");
    assert!(expired.header("www-authenticate").contains("invalid_token"), "{expired:?}");
    let (head, signature) = editor.rsplit_once('.').expect("three parts");
    let forged = signature.chars().rev().collect::<String>();
    let forged = rig.knock("GET /orders/1").with(&format!("{head}.{forged}")).go();
    assert!(["401 token-signature-invalid", "401 credential-malformed"].contains(&forged.says().as_str()), "{forged:?}");
    rig.knock("GET /orders/1").with("not.a.token").check("401 credential-malformed");
    rig.knock("GET /orders/1").header("authorization", "Basic dTpw").check("401 credential-malformed");
    rig.knock("GET /orders/1").with(&editor).with(&editor).check("400 credentials-conflicting");
    assert_eq!(rig.instances.ledger("orders"), Vec::<String>::new());
}

#[test]
fn both_versions_of_http_reach_every_instance() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    for h2 in [false, true] {
        let mut met = BTreeSet::new();
        until("all three instances are met", || {
            let knock = rig.knock("GET /orders/1").with(&editor);
            met.insert(if h2 { knock.h2() } else { knock }.check("200 orders").instance());
            (met.len() == 3).then_some(())
        });
    }
    let users: BTreeSet<_> = (0..4).map(|_| rig.knock("GET /users/7").with(&editor).check("200 users").instance()).collect();
    assert_eq!(users, BTreeSet::from(["users-1".to_owned(), "users-2".to_owned()]));
}

#[test]
fn a_new_signing_key_of_the_issuer_is_fetched_when_it_is_met() {
    let rig = Rig::two_tier(&BINARIES);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    rig.issuer.rotate().expect("a new key");
    let asked = rig.issuer.keys_asked();
    // The floor between two fetches may still run from the start; it is seconds, while the regular refresh is minutes.
    until("the new key is fetched", || (rig.knock("GET /orders/1").with(&rig.editor()).go().status == 200).then_some(()));
    assert_eq!(rig.issuer.keys_asked(), asked + 1, "many tokens of an unknown key cost one fetch");
}

#[test]
fn a_dead_issuer_changes_nothing_for_known_keys() {
    let rig = Rig::two_tier(&BINARIES);
    rig.issuer.set_down(true);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    rig.issuer.rotate().expect("a new key");
    let unknown = rig.knock("GET /orders/1").with(&rig.editor()).go();
    assert!(["401 token-key-unknown", "503 keys-unavailable"].contains(&unknown.says().as_str()), "{unknown:?}");
}

#[test]
fn the_redirect_listener_says_where_the_door_is() {
    use std::io::{Read, Write};
    let rig = Rig::two_tier(&BINARIES);
    let mut plain = std::net::TcpStream::connect(rig.security.listener("redirect")).expect("the redirect listener");
    plain.write_all(b"GET /orders/1?x=1 HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains("location: https://localhost:8443/orders/1?x=1\r\n"), "{answer}");
}

#[test]
fn what_cannot_be_read_in_one_way_only_reaches_no_instance() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    for path in ["/orders/../users/7", "/orders/%2e%2e/users/7", "/orders//1", "/orders/%2f1", "/orders/1%00", "/orders/%c0%af"] {
        rig.knock(&format!("GET {path}")).with(&editor).check("400 target-not-canonical");
        rig.knock(&format!("GET {path}")).with(&editor).h2().check("400 target-not-canonical");
    }
    rig.knock("GET /orders/1").with(&editor).header("host", "a").header("host", "b").check("400 host-malformed");
}

#[test]
fn only_websockets_leave_http() {
    let rig = Rig::two_tier(&BINARIES);
    let reply = rig
        .knock("GET /orders/1")
        .with(&rig.editor())
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA")
        .check("200 orders");
    assert_eq!(reply.saw("upgrade"), None);
    assert_eq!(reply.saw("http2-settings"), None);
}

#[test]
fn a_client_cannot_make_tier_one_lose_its_link() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    let opened = || rig.routing.metric("gateway_connections_total{listener=\"link\",end=\"refused\"}");
    let mut knock = rig.knock("GET /orders/1").with(&editor).h2();
    for number in 0..85 {
        knock = knock.header(&format!("x-many-{number}"), "1");
    }
    knock.check("200 orders");
    assert!(opened() < 0.5, "tier 2 refused what tier 1 let in");
    rig.knock("PRI /orders/1").with(&editor).h2().check("501 method-not-supported");
}
