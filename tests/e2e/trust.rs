//! What an instance sees, and what it never sees.

use tests::rig::Rig;
use tests::rig::scene::Scene;

use crate::BINARIES;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn an_instance_sees_who_asks_and_never_the_credential() {
    let rig = Rig::two_tier(&BINARIES);
    let reply = rig.knock("GET /users/7").with(&rig.editor()).header("cookie", "a=1").header("x-own", "kept").check("200 users");
    assert_eq!(reply.saw("x-gw-subject").as_deref(), Some("editor"));
    assert_eq!(reply.saw("x-gw-issuer").as_deref(), Some(rig.issuer.url()));
    assert_eq!(reply.saw("x-gw-scopes").as_deref(), Some("orders:read orders:write users:read"));
    assert_eq!(reply.saw("x-user-role").as_deref(), Some("editor"));
    assert_eq!(reply.saw("x-request-id").as_deref(), Some(reply.header("x-request-id")));
    assert_eq!(reply.saw("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(reply.saw("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(reply.saw("x-own").as_deref(), Some("kept"));
    assert_eq!(reply.saw("authorization"), None);
    assert_eq!(reply.saw("x-gw-assertion"), None);
    assert!(!reply.headers.contains_key("x-gw-trail"), "the trail is for tier 1 alone");
}

#[test]
fn a_subject_arrives_whole_or_not_at_all() {
    let rig = Rig::two_tier(&BINARIES);
    let token = |subject: &str| {
        let now = settings::clock::Clock::system().now_s();
        let claims = serde_json::json!({
            "iss": rig.issuer.url(), "sub": subject, "aud": "gateway", "iat": now, "exp": now + 600, "scope": "orders:read",
        });
        rig.issuer.mint_claims(&claims).expect("a token")
    };
    let longest = "s".repeat(255);
    for subject in ["m\u{fc}ller", longest.as_str()] {
        let reply = rig.knock("GET /orders/1").with(&token(subject)).check("200 orders");
        assert_eq!(reply.saw("x-gw-subject").as_deref(), Some(subject));
    }
    rig.knock("GET /orders/1").with(&token(&"s".repeat(256))).check("401 token-claims-invalid");
    rig.knock("GET /orders/1").with(&token("admin ")).check("401 token-claims-invalid");
    rig.knock("GET /orders/1").with(&token("a\r\nx-gw-subject: root")).check("401 token-claims-invalid");
}

#[test]
fn a_credential_travels_on_only_where_a_rule_relays_it() {
    let scene = Scene::default()
        .security("authenticate: require, issuers: [demo] }", "authenticate: require, issuers: [demo], relay_authorization: true }");
    let rig = scene.raise(&BINARIES);
    let editor = rig.editor();
    let reply = rig.knock("GET /orders/1").with(&editor).check("200 orders");
    assert_eq!(reply.saw("authorization"), Some(format!("Bearer {editor}")));
}

#[test]
fn what_a_client_forges_does_not_arrive() {
    let rig = Rig::two_tier(&BINARIES);
    for (line, token) in [("GET /users/7", Some(rig.editor())), ("GET /public/x", None)] {
        let mut knock = rig.knock(line);
        if let Some(token) = &token {
            knock = knock.with(token);
        }
        let forged = [
            ("x-gw-subject", "root"),
            ("x-gw-assertion", "forged"),
            ("x-gw-anything", "forged"),
            ("x-user-role", "root"),
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-request-id", "forged"),
        ];
        for (name, value) in forged {
            knock = knock.header(name, value);
        }
        let reply = knock.header("connection", "x-gw-subject, x-request-id, traceparent").go();
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = reply.json()["headers"].to_string();
        assert!(!seen.contains("forged") && !seen.contains("6.6.6.6"), "{seen}");
        if token.is_some() {
            assert!(!seen.contains("root"), "{seen}");
        }
        assert!(reply.saw("traceparent").is_some() && reply.saw("x-request-id").is_some(), "{seen}");
    }
}

#[test]
fn a_trusted_peer_continues_its_trace_and_a_stranger_begins_one() {
    let rig = Rig::two_tier(&BINARIES);
    let reply = rig.knock("GET /orders/1").with(&rig.editor()).header("traceparent", TRACE).check("200 orders");
    let seen = reply.saw("traceparent").expect("a trace");
    assert_eq!(&seen[3..35], &TRACE[3..35], "the client's trace goes on");
    assert_ne!(&seen[36..52], &TRACE[36..52], "under a span of our own");
    assert_eq!(rig.record_of(&reply)["trace_id"], TRACE[3..35]);

    let rig = Scene::default().security("trace: [\"127.0.0.0/8\"]", "trace: [\"192.0.2.0/24\"]").raise(&BINARIES);
    let reply = rig.knock("GET /orders/1").with(&rig.editor()).header("traceparent", TRACE).header("tracestate", "a=b").check("200 orders");
    let seen = reply.saw("traceparent").expect("a trace");
    assert_ne!(&seen[3..35], &TRACE[3..35], "a stranger's trace is not continued");
    assert_eq!(reply.saw("tracestate"), None);
}
