//! More clients than there is room for: who is turned away, who waits, who makes room, and what becomes of a worker that dies.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]

mod rig;

use host::limits_config::LimitsConfig;

use crate::rig::{Process, Wish, field};

#[test]
fn an_address_has_so_many_connections_and_the_next_one_is_closed_at_once() {
    let limits = LimitsConfig { connections_per_address_max: Some(2), ..LimitsConfig::default() };
    let process = Process::start(Wish { workers: 2, limits, ..Wish::default() });
    let (mut first, mut second) = (process.connect(), process.connect());
    assert!(first.get("/").is_some() && second.get("/").is_some());
    assert!(process.connect().is_closed(), "nothing is said to it");
    process.wait_until("/metrics", |_, body| body.contains("gateway_connections_total{listener=\"main\",end=\"too-many-of-address\"} 1"));
    assert!(first.get("/").is_some() && second.get("/").is_some(), "those who are in are not concerned");
    drop(first);
    process.wait_until("/metrics", |_, body| body.contains("gateway_connections_open{listener=\"main\"} 1"));
    assert!(process.connect().get("/").is_some());
    drop(second);
    let (_, records) = process.stop();
    assert_eq!(field(&records, "gateway.reason"), ["too-many-of-address"]);
}

#[test]
fn who_rests_longest_makes_room_for_who_waits() {
    let limits = LimitsConfig { connections_max: 3, ..LimitsConfig::default() };
    let process = Process::start(Wish { workers: 2, limits, ..Wish::default() });
    let (mut oldest, mut busy, mut younger) = (process.connect(), process.connect(), process.connect());
    assert!(oldest.get("/").is_some());
    busy.send("/slow");
    process.gate.wait_for(1);
    assert!(younger.get("/").is_some());
    let mut late = process.connect();
    assert_eq!(late.get("/").expect("there is room for it").1, "hello");
    assert!(oldest.is_closed(), "it has rested longest");
    process.gate.open.send_replace(true);
    assert_eq!(busy.read().expect("nobody is turned out of a request").body, "slow");
    drop((busy, younger, late));
    let (_, records) = process.stop();
    // A second one is asked only where the first has not gone within a tenth of a second, as may happen on a busy machine.
    assert!(field(&records, "gateway.end").contains(&"displaced"), "{records:?}");
}

#[test]
fn more_than_the_rate_wait_and_all_are_served() {
    let limits = LimitsConfig { accepts_per_second_max: 4, ..LimitsConfig::default() };
    let process = Process::start(Wish { limits, ..Wish::default() });
    let mut clients: Vec<_> = (0..8).map(|_| process.connect()).collect();
    for client in &mut clients {
        client.send("/");
    }
    let throttles = |body: &str| body.lines().find_map(|line| line.strip_prefix("gateway_accept_throttles_total ")?.parse::<u64>().ok());
    process.wait_until("/metrics", |_, body| throttles(body).is_some_and(|throttles| throttles > 0));
    for client in &mut clients {
        assert_eq!(client.read().expect("it waited and was served").body, "hello");
    }
    drop(clients);
    assert_eq!(process.stop().1.len(), 8);
}

#[test]
fn a_worker_that_dies_ends_the_readiness_and_the_others_serve() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    assert_eq!(process.admin("/readyz").0, 200);
    *process.gate.dies.lock().unwrap() = Some(0);
    process.plan.lock().unwrap().1.greeting = "good day".to_owned();
    // The worker adopts the generation, and dies as it lets go of the former one.
    assert_eq!(process.reload().0, 200);
    process.wait_until("/readyz", |status, body| status == 503 && body.contains("worker 0") && body.contains("has died"));
    for _ in 0..4 {
        let mut client = process.connect();
        assert_eq!(client.get("/worker").expect("the other one serves").1, "1");
    }
    process.stop();
}
