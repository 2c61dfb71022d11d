//! Who gets in, who does not, and what each is told.

use std::collections::BTreeSet;

use tests::rig::Rig;
use tests::rig::scene::Scene;
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
fn a_method_in_small_letters_falls_to_no_wider_route() {
    let scene = Scene::default().security("rules:\n", "rules:\n  - { path: \"/orders/\", authenticate: anonymous }\n  - { path: \"/only/\", authenticate: anonymous }\n").routing(
        "routes:\n",
        "routes:\n  - { name: all, path: \"/{any}/{thing}\", service: users, public: true }\n  - { name: read, path: \"/only/{id}\", methods: [GET], service: orders, require: { scopes: [\"orders:write\"] } }\n",
    );
    let rig = scene.raise(&BINARIES);
    rig.knock("PURGE /orders/1").check("200 users");
    for method in ["delete", "Delete", "purge", "trace", "TRACE"] {
        rig.knock(&format!("{method} /orders/1")).check("501 method-not-supported");
    }
    // What is not to be read is not to be asked for its length.
    rig.knock("GET /only/1").check("401 authentication-required");
    assert_eq!(rig.knock("HEAD /only/1").go().status.as_u16(), 401);
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

#[test]
fn what_is_wrong_with_a_target_stands_in_its_record() {
    let rig = Rig::two_tier(&BINARIES);
    for (path, word) in [
        ("/orders/../users/7", "dot-segment"),
        ("/orders//1", "empty-segment"),
        ("/orders/1%00", "encoded"),
        ("/orders/%c0%af", "not-utf-8"),
        ("/orders/1%2Fx", "encoded-slash"),
        ("/public;x/1", "two-readings"),
    ] {
        for h2 in [false, true] {
            let knock = rig.knock(&format!("GET {path}")).with(&rig.editor()).header("x-ledger", "7");
            let reply = if h2 { knock.h2() } else { knock }.check("400 target-not-canonical");
            assert_eq!(rig.record_of(&reply)["gateway.target_fault"], *word, "{path}");
        }
    }
    assert_eq!(rig.instances.ledger("orders"), Vec::<String>::new());
}

/// Tier 1 lets everybody in but to one order; at tier 2 orders are open, but one is not.
fn open_scene() -> Scene {
    Scene::default()
        .security(
            "  - { path: \"/\", authenticate: require, issuers: [demo] }",
            "  - { path: \"/\", authenticate: anonymous }\n  - { path: \"/orders/a@b/\", authenticate: require, issuers: [demo] }",
        )
        .routing(
            "service: orders, require: { scopes: [\"orders:read\"] } }",
            "service: orders, public: true }\n  - { name: closed, path: \"/orders/caf%C3%A9\", service: orders, require: { scopes: [none] } }",
        )
}

#[test]
fn no_other_spelling_of_a_path_leads_to_another_rule_or_route() {
    let rig = open_scene().raise(&BINARIES);
    for path in ["/orders/a@b", "/orders/a%40b"] {
        rig.knock(&format!("GET {path}")).check("401 no-credentials");
    }
    for path in ["/orders/caf%C3%A9", "/orders/caf%c3%a9"] {
        rig.knock(&format!("GET {path}")).check("401 authentication-required");
    }
    for path in ["/orders/a@b;x", "/orders/a%40b;", "/orders/caf%C3%A9;x=1"] {
        rig.knock(&format!("GET {path}")).check("400 target-not-canonical");
    }
    // The lawful twins: the same rule and route with and without.
    for path in ["/orders/1", "/orders/a@c", "/orders/a%40c", "/orders/1;v=2", "/orders/caf%C3%A9s"] {
        let reply = rig.knock(&format!("GET {path}")).check("200 orders");
        assert_eq!(reply.json()["path"], *path, "a target is forwarded as it came");
    }
}

#[test]
fn an_encoded_slash_passes_where_rule_and_route_allow_it_and_nowhere_else() {
    let rule = ("authenticate: anonymous }\n", "authenticate: anonymous, allow_encoded_slashes: true }\n");
    let route = (
        "service: orders, public: true }\n  - { name: closed",
        "service: orders, public: true, allow_encoded_slashes: true }\n  - { name: closed",
    );
    let wide = open_scene().security(rule.0, rule.1).routing(route.0, route.1);
    // The route of those who write takes /orders/a/b too.
    wide.clone().raise(&BINARIES).knock("GET /orders/a%2Fb").check("400 target-not-canonical");
    let both = wide.routing("path: \"/orders/\", methods: [POST", "path: \"/orders/{id}\", methods: [POST");
    let rig = both.routing("path: \"/orders/caf%C3%A9\"", "path: \"/orders/a/closed\"").raise(&BINARIES);
    for path in ["/orders/a%2Fb", "/orders/a%2fb%2Fc", "/orders/a%2Fb;v=1"] {
        assert_eq!(rig.knock(&format!("GET {path}")).check("200 orders").json()["path"], *path);
    }
    for path in [
        // To a server that decodes first they are the closed route, another one, the rule that asks for a token, or no canonical path at all.
        "/orders/a%2Fclosed",
        "/orders/a%2Fclosed;x",
        "/public%2Fx",
        "/orders%2Fa@b",
        "/orders/a%2F..%2Fclosed",
        "/orders/a%2F%2Fb",
        // The route of these does not allow it.
        "/users/a%2Fb",
    ] {
        rig.knock(&format!("GET {path}")).check("400 target-not-canonical");
    }
    assert!(rig.knock("GET /orders/a/closed").go().status.is_client_error());

    for one in [open_scene().security(rule.0, rule.1), open_scene().routing(route.0, route.1)] {
        let rig = one.raise(&BINARIES);
        // Whichever tier refuses it: what follows on the connection is believed no more than it.
        let refused = rig.knock("GET /orders/a%2Fb").check("400 target-not-canonical");
        assert_eq!(refused.header("connection"), "close");
        rig.knock("GET /orders/a%2Fb").h2().check("400 target-not-canonical");
        assert!(!rig.knock("GET /orders/1").check("200 orders").headers.contains_key("connection"));
    }
}

#[test]
fn a_rule_and_a_route_hold_bodies_to_their_own_ceilings() {
    let scene = Scene::default()
        .security(
            "  - { path: \"/public/\", authenticate: anonymous }",
            "  - { path: \"/public/\", authenticate: anonymous, body_bytes_max: 1KiB }",
        )
        .routing(
            "service: orders, require: { scopes: [\"orders:write\"] } }",
            "service: orders, require: { scopes: [\"orders:write\"] }, body_bytes_max: 2KiB }",
        )
        .routing("path: \"/users/{id}\", methods: [GET, HEAD]", "path: \"/users/{id}\", methods: [GET, HEAD, POST]");
    let rig = scene.raise(&BINARIES);
    let editor = rig.editor();
    for (path, most) in [("/public/x", 1024), ("/orders/1", 2048)] {
        for chunked in [false, true] {
            let send = |bytes: usize| {
                let knock = rig.knock(&format!("POST {path}")).with(&editor).body(vec![b'x'; bytes]);
                if chunked { knock.header("transfer-encoding", "chunked") } else { knock }
            };
            assert_eq!(send(most).check("200 orders").json()["body_bytes"], most);
            let refused = send(most + 1).check("413 body-too-large");
            assert_eq!(rig.record_of(&refused)["gateway.reason"], "body-too-large");
        }
        let reply = rig.knock(&format!("POST {path}")).with(&editor).body(vec![b'x'; most + 1]).h2().check("413 body-too-large");
        let read = rig.record_of(&reply)["http.request.body.size"].as_u64();
        assert!(path == "/orders/1" || read == Some(0), "nothing was read of it: {read:?}");
    }
    // Others have the ceiling of the process.
    assert_eq!(rig.knock("POST /users/7").with(&editor).body(vec![b'x'; 4096]).check("200 users").json()["body_bytes"], 4096);
}

#[test]
fn what_a_service_was_built_with_is_not_told() {
    let rig = Rig::two_tier(&BINARIES);
    for header in ["server:nginx", "x-powered-by:PHP", "X-AspNet-Version:4", "x-gw-trail:forged"] {
        let reply = rig.knock(&format!("GET /public/x?answer_header={header}")).check("200 orders");
        let (name, _) = header.split_once(':').expect("two");
        assert!(!reply.headers.contains_key(name), "{reply:?}");
    }
    let reply = rig.knock("GET /public/x?answer_header=x-own:kept").check("200 orders");
    assert_eq!(reply.header("x-own"), "kept");
    assert!(!reply.headers.contains_key("via"));
}
