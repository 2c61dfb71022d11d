//! Time that travels: what is left of it reaches the instance, nothing is begun when it has passed, and attempts do not multiply over the tiers.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tests::rig::Rig;
use tests::rig::client::{Line, Version, handshake};
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BINARIES;
use crate::link::{editor, signer, tier1};

/// Asks routing-gw as tier 1 does, with these headers beside the assertion.
fn ask_tier_two(rig: &Rig, path: &str, headers: &[(&str, &str)]) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let clock = settings::clock::Clock::system();
    let assertion = signer(rig, "routing-gw").sign(&editor(), clock.now_s()).expect("an assertion").token;
    runtime.block_on(async {
        let mut line = Line::open(rig.routing.listener("link"), &tier1(rig), Version::H1).await.expect("a connection");
        let request = Request::builder().uri(path).header(header::HOST, "localhost").header("x-gw-assertion", assertion);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        line.exchange(request.body(Full::new(Bytes::new())).expect("request")).await.expect("an answer")
    })
}

fn left_ms(reply: &Reply) -> u64 {
    reply.saw("x-gw-deadline-ms").and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("no time is told: {reply:?}"))
}

#[test]
fn the_time_left_reaches_the_instance_and_no_client_can_tell_it() {
    let rig = Scene::default().security("  audience: routing-gw\n", "  audience: routing-gw\n  timeout: 20s\n").raise(&BINARIES);
    let token = rig.editor();
    let forged = rig.knock("GET /orders/1").with(&token).header("x-gw-deadline-ms", "0").header("x-gw-attempt", "9").go();
    let left = left_ms(forged.check("200 orders"));
    assert!((1..=20_000).contains(&left), "{left} ms of 20 s are left");
    assert_eq!(forged.saw("x-gw-attempt"), None, "that is between the tiers");
    // Of the two the smaller one counts.
    assert!((1..=7_000).contains(&left_ms(&ask_tier_two(&rig, "/orders/1", &[("x-gw-deadline-ms", "7000")]))));
    assert!(left_ms(&ask_tier_two(&rig, "/orders/1", &[("x-gw-deadline-ms", "86400000")])) <= 60_000, "a route allows a minute");
    assert!(left_ms(&ask_tier_two(&rig, "/orders/1", &[("x-gw-deadline-ms", "soon")])) > 20_000, "what cannot be read tells nothing");
}

#[test]
fn a_call_of_grpc_has_the_time_that_its_client_gives_it() {
    let rig = Rig::two_tier(&BINARIES);
    let token = rig.editor();
    let call =
        |path: &str, time: &str| rig.knock(path).with(&token).header("content-type", "application/grpc").header("grpc-timeout", time).go();
    let reply = call("GET /orders/1", "9S");
    let told = reply.check("200 orders").saw("grpc-timeout").expect("it is told on");
    let left_us: u64 = told.strip_suffix('u').and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!((1..9_000_000).contains(&left_us), "{told}: brought up to date");
    assert!(left_ms(&reply) <= 9_000);
    let late = call("GET /orders/1?delay_ms=100000", "300m");
    assert_eq!((late.header("grpc-status"), late.header("grpc-message")), ("4", "deadline-exceeded"), "as gRPC tells it");
    // A field that no gRPC client would write is the instance's business.
    assert_eq!(call("GET /orders/1", "soon").check("200 orders").saw("grpc-timeout").as_deref(), Some("soon"));
    let other = rig.knock("GET /orders/1").with(&token).header("grpc-timeout", "1n").check("200 orders");
    assert_eq!(other.saw("grpc-timeout").as_deref(), Some("1n"), "this is no call");
}

#[test]
fn a_client_that_waits_shortly_for_what_it_withholds_is_held_against_no_replica_and_no_instance() {
    // One failure is enough to take one out; as the only one it stays, and that is counted.
    let rig = Scene::default()
        .security("  audience: routing-gw\n", "  audience: routing-gw\n  outliers: { consecutive_failures: 1 }\n")
        .routing("balance: round_robin", "balance: round_robin, outliers: { consecutive_failures: 1 }")
        .routing("methods: [GET, HEAD], service: users, require", "methods: [GET, HEAD, POST], service: users, require")
        .raise(&BINARIES);
    let token = rig.editor();
    let call = "content-type: application/grpc\r\ngrpc-timeout: 1500m\r\n";
    // It says that there is a body, and never sends it.
    let head = format!("POST /users/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{call}content-length: 5\r\n\r\n");
    let (door, identity) = (rig.door(), rig.identity());
    let told = rig.stage().run(async move {
        let mut line = handshake(door, &identity, &[b"http/1.1"]).await.expect("a connection");
        line.write_all(head.as_bytes()).await.expect("written");
        let mut told = Vec::new();
        while !told.ends_with(b"\r\n\r\n") {
            told.push(line.read_u8().await.expect("an answer"));
        }
        String::from_utf8_lossy(&told).into_owned()
    });
    assert!(told.contains("grpc-message: deadline-exceeded"), "{told}");
    let hurried = rig.knock("POST /users/2?delay_ms=100000").with(&token).header("content-type", "application/grpc");
    assert_eq!(hurried.header("grpc-timeout", "1500m").go().header("grpc-message"), "deadline-exceeded");
    assert_eq!(rig.security.metric(r#"gateway_upstream_ejections_refused_total{service="link"}"#), 0.0);
    for process in [&rig.security, &rig.routing] {
        assert!(!process.log().contains("is left alone for a while"), "{}", process.log());
    }
}

#[test]
fn a_request_whose_deadline_passes_is_answered_and_its_work_is_cancelled() {
    let rig = Scene::default().security("  audience: routing-gw\n", "  audience: routing-gw\n  timeout: 500ms\n").raise(&BINARIES);
    let refused = rig.knock("GET /orders/1?delay_ms=100000").with(&rig.editor()).go();
    refused.check("504 deadline-exceeded");
    assert_eq!(rig.record_of(&refused)["gateway.reason"], "deadline-exceeded");
    for process in [&rig.security, &rig.routing] {
        until("nobody works on it any more", || (process.metric("gateway_requests_in_flight") == 0.0).then_some(()));
    }
    let service = r#"gateway_upstream_in_flight{service="orders"}"#;
    until("no instance is waited for", || (rig.routing.metric(service) == 0.0).then_some(()));
}

#[test]
fn work_whose_deadline_has_passed_is_not_started() {
    let rig = Scene::default()
        .routing(
            "ttl: { min: 200ms, max: 1s } }",
            "ttl: { min: 200ms, max: 1s }, limits: { requests_max: 1, queue_max: 8, queue_wait: 20s } }",
        )
        .raise(&BINARIES);
    let late = ask_tier_two(&rig, "/orders/1", &[("x-gw-deadline-ms", "0"), ("x-ledger", "at-the-entrance")]);
    late.check("504 deadline-exceeded");
    // The one place is taken, and the time passes in the queue.
    let knock = rig.knock("GET /orders/1?delay_ms=100000").with(&rig.editor());
    let (request, door, identity) = (knock.request(), rig.door(), rig.identity());
    let holder = rig.stage().handle().spawn(async move {
        let mut line = Line::open(door, &identity, Version::H1).await.expect("a connection");
        let _ = line.exchange(request).await;
    });
    let service = r#"gateway_upstream_in_flight{service="orders"}"#;
    until("the place is taken", || (rig.routing.metric(service) >= 1.0).then_some(()));
    let late = ask_tier_two(&rig, "/orders/1", &[("x-gw-deadline-ms", "150"), ("x-ledger", "in-the-queue")]);
    late.check("504 deadline-exceeded");
    holder.abort();
    until("there is room again", || (rig.knock("GET /orders/1").with(&rig.editor()).go().status == 200).then_some(()));
    assert!(rig.instances.ledger("orders").is_empty(), "{:?}", rig.instances.ledger("orders"));
    let counted = rig.routing.metric(r#"gateway_upstream_attempts_total{service="orders",result="deadline"}"#);
    assert!(counted >= 2.0, "{counted} are counted");
}

/// An instance that reads the head of each request and breaks off, and how many it has read.
fn breaking() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).is_ok_and(|read| bytes[..read].starts_with(b"GET /orders")) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (port, count)
}

#[test]
fn attempts_over_both_tiers_are_bounded_in_a_total_outage() {
    let (port, count) = breaking();
    let discover = format!("orders: {{ discover: {{ kind: static, addresses: [\"127.0.0.1:{port}\"] }}, retries: {{ attempts_max: 3 }}");
    let rig = Scene::default().routing("orders: { discover: { kind: srv, name: _http._tcp.orders.demo }", &discover).raise(&BINARIES);
    let grown = |ask: &dyn Fn() -> Reply| {
        let before = count.load(Ordering::SeqCst);
        ask().check("502 upstream-reset");
        count.load(Ordering::SeqCst) - before
    };
    let token = rig.editor();
    // Tier 1 repeats nothing that tier 2 has answered.
    assert_eq!(grown(&|| rig.knock("GET /orders/1").with(&token).go()), 3);
    assert_eq!(rig.security.metric(r#"gateway_upstream_attempts_total{service="link",result="answered"}"#), 1.0);
    assert_eq!(grown(&|| rig.knock("GET /orders/1").with(&token).header("x-gw-attempt", "9").go()), 3, "no client can tell it");
    // What tier 1 has tried before is tried less often here.
    for (attempt, left) in [("1", 3), ("2", 2), ("3", 1), ("9", 1), ("none", 3)] {
        assert_eq!(grown(&|| ask_tier_two(&rig, "/orders/1", &[("x-gw-attempt", attempt)])), left, "attempt {attempt}");
    }
}
