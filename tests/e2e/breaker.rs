//! A service that is full or ill: who comes is told so at once and with its own reason, and the other services go on.

use tests::rig::Rig;
use tests::rig::client::{Line, Version};
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::task::JoinHandle;

use crate::BINARIES;

/// A rig whose service `users` has these options too.
fn with_users(options: &str) -> Rig {
    Scene::default().routing("balance: round_robin", &format!("balance: round_robin, {options}")).raise(&BINARIES)
}

/// Sends a request and does not wait for it.
fn begin(rig: &Rig, line: &str) -> JoinHandle<Reply> {
    let knock = rig.knock(line).with(&rig.editor());
    let (request, door, identity) = (knock.request(), rig.door(), rig.identity());
    rig.stage().handle().spawn(async move {
        let mut line = Line::open(door, &identity, Version::H1).await.expect("a connection");
        line.exchange(request).await.expect("an answer")
    })
}

fn users(rig: &Rig, metric: &str) -> f64 {
    rig.routing.metric(&format!(r#"{metric}{{service="users"}}"#))
}

#[test]
fn a_service_that_fails_is_not_asked_for_a_moment_and_then_again() {
    let rig = with_users("breaker: { requests_min: 4, failure_percent: 100, open: 2s }");
    let token = rig.editor();
    for _ in 0..4 {
        assert_eq!(rig.knock("GET /users/1?status=503").with(&token).go().status, 503, "these are the service's own answers");
    }
    let refused = rig.knock("GET /users/1").with(&token).header("x-ledger", "while-open").go();
    refused.check("503 breaker-open");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(rig.record_of(&refused)["gateway.reason"], "breaker-open");
    assert_eq!(users(&rig, "gateway_upstream_breaker_open"), 1.0);
    assert!(rig.instances.ledger("users").is_empty(), "nothing reached an instance");
    rig.knock("GET /orders/1").with(&token).check("200 orders");
    until("it is asked again", || (rig.knock("GET /users/1").with(&token).go().says() == "200 users").then_some(()));
    assert_eq!(users(&rig, "gateway_upstream_breaker_open"), 0.0);
    rig.knock("GET /users/1").with(&token).check("200 users");
}

#[test]
fn what_services_answer_does_not_open_the_breaker_of_the_link() {
    let rig = Scene::default()
        .security("  audience: routing-gw\n", "  audience: routing-gw\n  breaker: { requests_min: 2, failure_percent: 1 }\n")
        .routing("balance: round_robin", "balance: round_robin, breaker: null")
        .raise(&BINARIES);
    let token = rig.editor();
    for _ in 0..10 {
        assert_eq!(rig.knock("GET /users/1?status=503").with(&token).go().status, 503);
    }
    rig.knock("GET /orders/1").with(&token).check("200 orders");
    rig.routing.kill();
    let link = || rig.knock("GET /orders/1").with(&token).go().says();
    until("the link itself fails", || (link() == "503 link-breaker-open").then_some(()));
}

#[test]
fn a_full_service_lets_few_wait_and_refuses_the_others_at_once() {
    let rig = with_users("limits: { requests_max: 1, queue_max: 1, queue_wait: 25s }");
    let token = rig.editor();
    let inside = begin(&rig, "GET /users/1?delay_ms=100000");
    until("the place is taken", || (users(&rig, "gateway_upstream_in_flight") >= 1.0).then_some(()));
    let waiting = begin(&rig, "GET /users/2");
    until("one waits", || (users(&rig, "gateway_upstream_queue_waiting") >= 1.0).then_some(()));
    let refused = rig.knock("GET /users/3").with(&token).go();
    refused.check("503 queue-full");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(rig.record_of(&refused)["gateway.reason"], "queue-full");
    // The witness: another service has places of its own.
    rig.knock("GET /orders/1").with(&token).check("200 orders");
    inside.abort();
    let served = rig.stage().run(waiting).expect("it is not aborted");
    served.check("200 users");
    assert!(rig.record_of(&served)["gateway.duration.queue_ms"].as_f64().is_some_and(|ms| ms > 0.0), "its wait is recorded");
    assert_eq!(users(&rig, "gateway_upstream_queue_waiting"), 0.0);
    let metrics = rig.routing.metric(r#"gateway_upstream_queue_seconds_count{service="users"}"#);
    assert_eq!(metrics, 1.0, "one has waited");
}

#[test]
fn who_waits_too_long_for_a_full_service_is_told() {
    let rig = with_users("limits: { requests_max: 1, queue_max: 8, queue_wait: 100ms }");
    let token = rig.editor();
    let inside = begin(&rig, "GET /users/1?delay_ms=100000");
    until("the place is taken", || (users(&rig, "gateway_upstream_in_flight") >= 1.0).then_some(()));
    let refused = rig.knock("GET /users/2").with(&token).go();
    refused.check("503 queue-timeout");
    assert_eq!(refused.header("retry-after"), "1");
    inside.abort();
    until("there is room again", || (rig.knock("GET /users/1").with(&token).go().says() == "200 users").then_some(()));
}

#[test]
fn a_service_that_hangs_takes_its_own_places_and_not_those_of_the_link() {
    // As by default, a hundredth of it: a service may have 1024 requests and as many that wait, the tier lets 10,000 in.
    let rig = Scene::default()
        .security("drain: { wait", "limits: { in_flight_max: 100 }\ndrain: { wait")
        .routing("balance: round_robin", "balance: round_robin, limits: { requests_max: 10, queue_max: 10, queue_wait: 25s }")
        .raise(&BINARIES);
    let hung: Vec<_> = (0..20).map(|_| begin(&rig, "GET /users/1?delay_ms=100000")).collect();
    let full = |rig: &Rig| (users(rig, "gateway_upstream_in_flight"), users(rig, "gateway_upstream_queue_waiting"));
    until("the service is full, and so is its queue", || (full(&rig) == (10.0, 10.0)).then_some(()));
    let token = rig.editor();
    for _ in 0..20 {
        rig.knock("GET /users/2").with(&token).check("503 queue-full");
        rig.knock("GET /orders/1").with(&token).check("200 orders");
    }
    assert_eq!(rig.security.metric(r#"gateway_upstream_queue_seconds_count{service="link"}"#), 0.0, "nobody waits for the link");
    hung.into_iter().for_each(|one| one.abort());
}
