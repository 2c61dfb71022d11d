//! A process that is told to leave finishes what it began.

use std::time::Duration;

use tests::rig::Rig;
use tests::rig::wait::until;

use crate::BINARIES;

#[test]
fn a_tier_that_leaves_finishes_what_it_began() {
    for name in ["security", "routing"] {
        let rig = Rig::two_tier(&BINARIES);
        let leaving = if name == "security" { &rig.security } else { &rig.routing };
        let editor = rig.editor();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| rig.knock("GET /orders/1?delay_ms=1500").with(&editor).try_go());
            until("the slow request is under way", || (leaving.metric("gateway_requests_in_flight") >= 1.0).then_some(()));
            leaving.terminate();
            until("readiness fails while the request goes on", || leaving.ask("/readyz").filter(|(status, _)| *status == 503));
            let reply = slow.join().expect("the client").expect("an answer");
            reply.check("200 orders");
            assert!(leaving.wait().success(), "{name} ends with 0:\n{}", leaving.log());
        });
        if name == "security" {
            assert_eq!(rig.records().len(), 1, "its record is not lost");
        }
    }
}

#[test]
fn a_request_that_outlives_the_deadline_does_not_keep_the_process() {
    let rig = tests::rig::scene::Scene::default()
        .security("drain: { wait: 200ms, deadline: 5s }", "drain: { wait: 0s, deadline: 300ms }")
        .raise(&BINARIES);
    let editor = rig.editor();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| rig.knock("GET /orders/1?delay_ms=15000").with(&editor).h2().try_go());
        until("the slow request is under way", || (rig.security.metric("gateway_requests_in_flight") >= 1.0).then_some(()));
        let begun = std::time::Instant::now();
        rig.security.terminate();
        assert!(rig.security.wait().success(), "{}", rig.security.log());
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(slow.join().expect("the client").is_err(), "the request was cut");
    });
}
