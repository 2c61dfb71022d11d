//! What requests do to the standing of an instance, over real sockets.

use std::time::Instant;

use super::instance::{Act, Instance, nobody};
use super::*;
use crate::config::balance::Balance;
use crate::outlier::cause::Cause;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const UNAVAILABLE: &str = "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n";
const TOO_MANY: &str = "HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n";

fn bench(instances: &[&Instance]) -> Bench {
    let addresses: Vec<&String> = instances.iter().map(|instance| &instance.address).collect();
    // The breaker would refuse what the ejection lets through.
    Bench::planned(&addresses, |config| config.breaker = None, |plan| plan.balance.picker = Balance::RoundRobin)
}

fn cause(bench: &Bench, place: usize) -> Option<Cause> {
    bench.service.endpoints().endpoints()[place].record().ejection().map(|(cause, _)| cause)
}

#[test]
fn an_instance_that_answers_503_gets_nothing_more_until_its_time_is_over() {
    run(async {
        let (ill, well) = (Instance::always(Act::Say(UNAVAILABLE)).await, Instance::always(Act::Say(OK)).await);
        let bench = bench(&[&ill, &well]);
        let ill_place = bench.service.endpoints().endpoints().iter().position(|one| one.name() == ill.address).expect("named");
        let (mut failed, mut requests) = (0, 0);
        while cause(&bench, ill_place).is_none() {
            failed += u32::from(bench.get().await.0 == 503);
            requests += 1;
            assert!(requests < 100, "it is never ejected");
        }
        assert_eq!((failed, cause(&bench, ill_place)), (5, Some(Cause::GatewayErrors)));
        let shown = serde_json::to_value(bench.service.snapshot()).expect("json");
        let shown = &shown["endpoints"][ill_place];
        assert_eq!(
            (&shown["ejected"], &shown["ejection"]["cause"], &shown["ejections"]),
            (&true.into(), &"gateway_errors".into(), &1.into())
        );
        assert!(shown["ejection"]["until_ms"].as_u64().is_some_and(|until| until > 0), "{shown}");
    });
}

#[test]
fn a_429_ejects_nobody_and_a_lone_instance_is_never_ejected() {
    run(async {
        let instances = [Instance::always(Act::Say(TOO_MANY)).await, Instance::always(Act::Say(TOO_MANY)).await];
        let many = bench(&[&instances[0], &instances[1]]);
        for _ in 0..30 {
            assert_eq!(many.get().await.0, 429);
        }
        assert_eq!((cause(&many, 0), cause(&many, 1)), (None, None));
        let instance = Instance::always(Act::Say(UNAVAILABLE)).await;
        let lone = bench(&[&instance]);
        // Fewer than the breaker needs to judge a service.
        for _ in 0..15 {
            assert_eq!(lone.get().await.0, 503);
        }
        assert_eq!(cause(&lone, 0), None);
    });
}

#[test]
fn an_instance_that_breaks_connections_is_ejected() {
    run(async {
        let instances = [Instance::always(Act::Close).await, Instance::always(Act::Close).await];
        let bench = bench(&[&instances[0], &instances[1]]);
        for _ in 0..60 {
            let _ = bench.send(request(Method::POST, Body::Empty)).await;
            if cause(&bench, 0).is_some() || cause(&bench, 1).is_some() {
                // One of two: both would be more than half.
                assert!(cause(&bench, 0).is_none() || cause(&bench, 1).is_none());
                return;
            }
        }
        panic!("nobody is ejected");
    });
}

#[test]
fn what_a_client_does_is_not_held_against_the_instance() {
    run(async {
        let instances = [Instance::always(Act::Nothing).await, Instance::always(Act::Nothing).await];
        let bench = bench(&[&instances[0], &instances[1]]);
        for _ in 0..12 {
            // In a hurry.
            let mut trip = Trip::default();
            let errand = Errand { deadline: Some(Instant::now() + Duration::from_millis(5)), ..Errand::default() };
            let sent = send(&bench.pools, &bench.service, request(Method::GET, Body::Empty), errand, &mut trip).await;
            assert!(matches!(sent, Err(SendFault::Deadline)));
            // Gone in the middle of its upload.
            let (feed, body) = fed();
            feed.send(Err("the client left".into())).await.expect("room");
            let (sent, _) = bench.send(request(Method::POST, body)).await;
            assert!(matches!(sent, Err(SendFault::RequestBody(_))));
        }
        assert_eq!((cause(&bench, 0), cause(&bench, 1)), (None, None));
    });
}

/// A service where one bad attempt takes an instance out, and what its breaker makes of one bad request.
fn strict(instances: &[&Instance], change: impl FnOnce(&mut ServiceConfig)) -> Bench {
    let addresses: Vec<&String> = instances.iter().map(|instance| &instance.address).collect();
    Bench::with(&addresses, |config| {
        config.outliers.consecutive_failures = 1;
        let breaker = config.breaker.as_mut().expect("the usual one");
        (breaker.requests_min, breaker.failure_percent) = (1, 1);
        config.timeouts.first_byte = None;
        change(config);
    })
}

fn is_open(bench: &Bench) -> bool {
    bench.service.measures().limits.breaker_open.get() == 1
}

fn nobody_is_out(bench: &Bench) -> bool {
    (cause(bench, 0), cause(bench, 1), bench.service.measures().outliers.refused.get()) == (None, None, 0)
}

#[test]
fn the_time_that_a_client_sets_or_lets_pass_is_held_against_nobody() {
    run(async {
        let instances = [Instance::always(Act::Nothing).await, Instance::always(Act::Nothing).await];
        let soon = || Some(Instant::now() + Duration::from_millis(1_100));
        // Its own word, as gRPC has it, over a body that it withholds or none; and a deadline that it has made short.
        let withheld = |errand: Errand, total: bool| {
            let bench = strict(&[&instances[0], &instances[1]], |config| {
                config.timeouts.total = total.then_some(Span::millis(1_100));
            });
            async move {
                let (feed, body) = fed();
                feed.send(data("half")).await.expect("room");
                let mut trip = Trip::default();
                let sent = send(&bench.pools, &bench.service, request(Method::POST, body), errand, &mut trip).await;
                drop(feed);
                (bench, sent)
            }
        };
        let hurried = |errand: Errand| {
            let bench = strict(&[&instances[0], &instances[1]], |_| {});
            async move {
                let mut trip = Trip::default();
                let sent = send(&bench.pools, &bench.service, request(Method::POST, Body::Empty), errand, &mut trip).await;
                (bench, sent)
            }
        };
        let until = Instant::now() + LONG;
        let (first, second, third, fourth, fifth) = tokio::join!(
            withheld(Errand { ends: soon(), ..Errand::until(until) }, false),
            withheld(Errand::until(until), true),
            hurried(Errand { ends: soon(), ..Errand::until(until) }),
            hurried(Errand { deadline: soon(), is_hurried: true, ..Errand::default() }),
            hurried(Errand { deadline: soon(), ..Errand::default() }),
        );
        for (number, (bench, sent)) in [first, second, third, fourth].into_iter().enumerate() {
            assert!(matches!(sent, Err(SendFault::Deadline)), "{number}: {sent:?}");
            assert!(nobody_is_out(&bench) && !is_open(&bench), "{number}");
        }
        // The twin: as long a time that is the gateway's own.
        let (bench, sent) = fifth;
        assert!(matches!(sent, Err(SendFault::Deadline)), "{sent:?}");
        assert!(!nobody_is_out(&bench) && is_open(&bench));
    });
}

#[test]
fn an_attempt_that_is_shorter_than_a_handshake_says_nothing_of_the_instance() {
    run(async {
        let instances = [Instance::always(Act::Nothing).await, Instance::always(Act::Nothing).await];
        let bench = strict(&[&instances[0], &instances[1]], |config| {
            // An instance of HTTP/2 is connected to when its SETTINGS are there.
            config.protocol = crate::config::protocol::ProtocolConfig::Http2;
            config.timeouts.per_try = Some(Span::millis(50));
            config.timeouts.connect = Span::secs(5);
        });
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::Timeout)), "{sent:?}");
        assert!(nobody_is_out(&bench));
    });
}

#[test]
fn a_refused_connection_is_left_alone_at_once_and_counted_once() {
    run(async {
        let well = Instance::always(Act::Say(OK)).await;
        let dead = nobody().await;
        let bench = Bench::planned(&[&dead, &well.address], |_| {}, |_| {});
        let mut attempts = 0;
        for _ in 0..20 {
            let (status, _, trip) = bench.get().await;
            assert_eq!(status, 200);
            attempts += trip.attempts;
        }
        assert_eq!(attempts, 21, "one request has met it");
        let shown = bench.service.snapshot();
        let shown = shown.endpoints.iter().find(|one| one.address == dead).expect("shown");
        assert_eq!((shown.ejected, shown.ejection.map(|ejection| ejection.cause), shown.ejections), (true, Some("connect_failed"), 1));
    });
}
