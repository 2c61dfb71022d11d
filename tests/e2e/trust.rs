//! What an instance sees, and what it never sees.

use bytes::Bytes;
use gwctl::stage::certificates::Purpose;
use http::{Request, header};
use http_body_util::Full;
use settings::clock::Clock;
use tests::frames::hpack::Fields;
use tests::frames::seen::Seen;
use tests::frames::{DATA, frame, opening};
use tests::raw::Raw;
use tests::rig::Rig;
use tests::rig::client::{self, Identity, Line, Version};
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{BINARIES, link};

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
            ("x_gw_subject", "root"),
            ("x-forwarded_host", "forged"),
            ("x-http-method-override", "forged"),
            ("x_original_url", "forged"),
            ("x-rewrite-url", "forged"),
            ("x-original-host", "forged"),
            ("true-client-ip", "6.6.6.6"),
            ("x-envoy-original-path", "forged"),
            ("client-cert", "forged"),
            ("ssl-client-verify", "forged"),
            ("x_amzn-mtls_clientcert", "forged"),
            ("remote_user", "root"),
            ("proxy", "forged"),
            ("x-gw-seen", "forged"),
            ("x-gw-health", "forged"),
        ];
        for (name, value) in forged {
            knock = knock.header(name, value);
        }
        let reply = knock.header("connection", "x-gw-subject, x-request-id, traceparent, x-forwarded-for, x-real-ip").go();
        assert_eq!(reply.status, 200, "{reply:?}");
        let seen = reply.json()["headers"].to_string();
        assert!(!seen.contains("forged") && !seen.contains("6.6.6.6"), "{seen}");
        if token.is_some() {
            assert!(!seen.contains("root"), "{seen}");
        }
        assert_eq!((reply.saw("x-forwarded-for").as_deref(), reply.saw("x-real-ip").as_deref()), (Some("127.0.0.1"), Some("127.0.0.1")));
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

#[test]
fn trailers_hold_nothing_that_a_head_may_not() {
    let rig = Rig::two_tier(&BINARIES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for trailer in ["x_gw_subject: forged", "x_forwarded_for: forged", "x-original-url: forged", "x-sum: kept"] {
        let answer = runtime.block_on(async {
            let mut stream = client::handshake(rig.door(), &rig.identity(), &[b"http/1.1"]).await.expect("a connection");
            let head = "POST /public/x HTTP/1.1\r\nhost: localhost\r\nte: trailers\r\nconnection: close, te\r\ntransfer-encoding: chunked\r\n\
                        trailer: x_gw_subject, x_forwarded_for, x-original-url, x-sum\r\n\r\n";
            stream.write_all(format!("{head}1\r\na\r\n0\r\n{trailer}\r\n\r\n").as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            let read = tokio::time::timeout(client::EXCHANGE_MAX, stream.read_to_end(&mut answer));
            read.await.expect("in time").expect("an answer");
            String::from_utf8(answer).expect("text")
        });
        // Over HTTP/1 the guard refuses them.
        let is_lawful = trailer.starts_with("x-sum");
        assert!(answer.starts_with(if is_lawful { "HTTP/1.1 200 " } else { "HTTP/1.1 400 " }), "{answer}");
        assert_eq!(answer.contains("\"x-sum\":\"kept\""), is_lawful, "{answer}");
    }
    // Over HTTP/2 they are taken out, and the rest arrives.
    let names = ["x_gw_subject", "x_forwarded_for", "x-original-url"];
    let head = Fields::request("POST", "/public/x").add("te", "trailers").add("trailer", [&names[..], &["x-sum"]].concat().join(", "));
    let trailers = names.into_iter().fold(Fields::default(), |all, name| all.add(name, "forged")).add("x-sum", "kept");
    let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
    raw.send(&[opening(&[]), head.open(1), frame(DATA, 0, 1, b"a"), trailers.whole(1)].concat()).expect("sent");
    let seen = Seen::read(&raw.read_until(|bytes| Seen::read(bytes).has(1)));
    let body = String::from_utf8_lossy(&seen.answers[&1].body).into_owned();
    assert_eq!(seen.answers[&1].says(), "200 orders", "{body}");
    assert!(body.contains("\"x-sum\":\"kept\"") && !body.contains("forged"), "{body}");
}

/// Trailers of exactly the ceiling, without the spaces that this gateway writes.
#[test]
fn trailers_that_grow_on_the_way_still_arrive() {
    let rig = Rig::two_tier(&BINARIES);
    let names: Vec<String> = (10..90).map(|number| format!("x-{number}")).collect();
    let mut section: String = names.iter().map(|name| format!("{name}:1\r\n")).collect();
    let rest = 4096 - section.len() - "x-sum:\r\n\r\n".len();
    section += &format!("x-sum:{}\r\n\r\n", "1".repeat(rest));
    assert_eq!(section.len(), 4096);
    let mut raw = Raw::open(rig.door(), &rig.identity(), "http/1.1");
    let head = "POST /public/x HTTP/1.1\r\nhost: localhost\r\nte: trailers\r\nconnection: close, te\r\ntransfer-encoding: chunked\r\n";
    let flight = format!("{head}trailer: {}, x-sum\r\n\r\n1\r\na\r\n0\r\n{section}", names.join(", "));
    raw.send(flight.as_bytes()).expect("sent");
    let (answer, _) = raw.read_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"x-89\":\"1\"") && answer.contains(&"1".repeat(rest)), "{answer}");
}

#[test]
fn a_believed_proxy_says_whose_request_it_is_and_a_client_behind_it_does_not() {
    let raise = |options: &str| {
        let trust = format!("trust: {{ proxies: [\"127.0.0.0/8\", \"10.0.0.0/8\"]{options}, trace");
        Scene::default().security("trust: { trace", &trust).raise(&BINARIES)
    };
    let check = |rig: &Rig, lines: &[(&str, &str)], client: &str, scheme: &str, host: Option<&str>| {
        let knock = lines.iter().fold(rig.knock("GET /public/x"), |knock, (name, value)| knock.header(name, value));
        let reply = knock.check("200 orders");
        assert_eq!(reply.saw("x-forwarded-for").as_deref(), Some(client), "{lines:?}");
        assert_eq!(reply.saw("x-real-ip").as_deref(), Some(client), "{lines:?}");
        assert_eq!(reply.saw("x-forwarded-proto").as_deref(), Some(scheme), "{lines:?}");
        let own = format!("localhost:{}", rig.door().port());
        assert_eq!(reply.saw("x-forwarded-host").as_deref(), Some(host.unwrap_or(&own)), "{lines:?}");
        assert_eq!(reply.saw("forwarded"), None);
        assert_eq!(rig.record_of(&reply)["client.address"], *client, "{lines:?}");
    };
    let list =
        [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.1.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "shop.test:8080")];
    let element = [("forwarded", "for=\", for=\"[2001:db8::9]:80\";proto=http;host=shop.test, for=10.1.1.1")];
    let both = [&list[..], &element].concat();
    let unlawful = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "javascript"), ("x-forwarded-host", "a/b")];

    let rig = raise("");
    check(&rig, &[], "127.0.0.1", "https", None);
    check(&rig, &list, "203.0.113.9", "http", None);
    check(&rig, &element, "127.0.0.1", "https", None);
    check(&rig, &both, "203.0.113.9", "http", None);

    let rig = raise(", forwarded: x_forwarded_for, forwarded_host: true");
    check(&rig, &both, "203.0.113.9", "http", Some("shop.test:8080"));
    check(&rig, &unlawful, "203.0.113.9", "https", None);

    let rig = raise(", forwarded: forwarded");
    check(&rig, &list, "127.0.0.1", "https", None);
    check(&rig, &both, "2001:db8::9", "http", Some("shop.test"));
}

#[test]
fn a_proxy_is_believed_by_the_name_in_its_certificate() {
    let rig = Scene::default()
        .security("key: server.key } ] } }", "key: server.key } ], clients: { ca: ca.pem, peers: [\"dns:*.demo\"] } } }")
        .security("trust: { trace", "trust: { proxies: [\"dns:lb.demo\"], trace")
        .raise(&BINARIES);
    let ask = |name: &str| -> Reply {
        let leaf = rig.certificates.leaf(Purpose::Client, name);
        let identity = Identity { leaf: Some((leaf.chain_pem().to_owned(), leaf.key_pem().to_owned())), ..rig.identity() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut line = Line::open(rig.door(), &identity, Version::H1).await.expect("a connection");
            line.exchange(rig.knock("GET /public/x").header("x-forwarded-for", "203.0.113.9").request()).await.expect("an answer")
        })
    };
    assert_eq!(ask("lb.demo").check("200 orders").saw("x-forwarded-for").as_deref(), Some("203.0.113.9"));
    assert_eq!(ask("other.demo").check("200 orders").saw("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_request_that_the_tiers_read_differently_is_refused_counted_and_told() {
    let rig = Rig::two_tier(&BINARIES);
    let assertion = link::signer(&rig, "routing-gw").sign(&link::editor(), Clock::system().now_s()).expect("signed").token;
    let ask = |target: &str, seen: Option<&str>| -> Reply {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut line = Line::open(rig.routing.listener("link"), &link::tier1(&rig), Version::H1).await.expect("a connection");
            let request = Request::builder()
                .uri(target)
                .header(header::HOST, "localhost")
                .header("x-gw-assertion", &assertion)
                .header("x-ledger", "7");
            let request = seen.iter().fold(request, |request, seen| request.header("x-gw-seen", *seen));
            line.exchange(request.body(Full::new(Bytes::new())).expect("a request")).await.expect("an answer")
        })
    };
    // `printf 'GET\0localhost\0/orders/1?x=1' | sha256sum | cut -c1-32`
    let seen = "51835c5f9cf19c9dde255c6455ab25b9";
    ask("/orders/1?x=1", Some(seen)).check("200 orders");
    ask("/orders/1?x=1", None).check("200 orders");
    let served = rig.instances.ledger("orders").len();
    assert_eq!(served, 2);
    let split = ask("/orders/1?x=2", Some(seen));
    split.check("400 split-view");
    ask("/orders/1?x=1", Some("forged")).check("400 split-view");
    assert_eq!(rig.instances.ledger("orders").len(), served);
    assert!((rig.routing.metric("gateway_split_views_total") - 2.0).abs() < 0.1);
    let id = split.header("x-gw-trail");
    assert!(id.contains("reason=split-view"), "{id}");
    let id = split.json()["request_id"].as_str().expect("an id").to_owned();
    until("the log names the request", || rig.routing.log().lines().find(|line| line.contains(&id) && line.contains("ERROR")).map(drop));
    // And tier 1 itself tells what tier 2 reads.
    rig.knock("GET /orders/1?x=%2F;").with(&rig.editor()).check("200 orders");
}
