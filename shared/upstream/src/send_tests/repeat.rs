//! What is repeated, and what never is.

use super::instance::{Act, Instance, OK, nobody, sorted};
use super::*;
use crate::measures::Outcome;

#[test]
fn a_request_goes_out_in_origin_form_with_its_own_framing() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        let mut asked = post("four");
        asked.headers_mut().insert("transfer-encoding", "gzip".parse().expect("value"));
        asked.headers_mut().insert("content-length", "99".parse().expect("value"));
        *asked.version_mut() = http::Version::HTTP_2;
        let (sent, trip) = bench.send(asked).await;
        assert_eq!(read(sent.expect("an answer")).await.1, "ok");
        let seen = instance.ledger.last();
        assert!(seen.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("host: orders.demo\r\n") && seen.ends_with("\r\n\r\nfour"), "{seen}");
        assert!(seen.contains("content-length: 4\r\n") && !seen.contains("gzip"), "{seen}");
        assert_eq!((trip.attempts, trip.generation, trip.sent, trip.reused), (1, 1, true, false));
        assert_eq!(trip.instance.expect("instance").name(), instance.address);
        assert!(trip.upstream >= trip.connect && !trip.upstream.is_zero());
    });
}

#[test]
fn a_refused_connection_is_repeated_elsewhere_for_any_method_and_remembered() {
    run(async {
        let (dead, instance) = (nobody().await, Instance::always(OK).await);
        let bench = Bench::at(&[&dead, &instance.address]);
        let mut attempts = 0;
        for _ in 0..10 {
            let (sent, trip) = bench.send(post("body")).await;
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            attempts += trip.attempts;
        }
        assert_eq!(instance.ledger.count(), 10);
        assert!(instance.ledger.requests.borrow().iter().all(|request| request.ends_with("\r\n\r\nbody")));
        // The dead one is tried by one request alone; all others leave it out.
        assert_eq!(attempts, 11);
        let snapshot = bench.service.snapshot();
        let dead = snapshot.endpoints.iter().find(|endpoint| endpoint.address == dead).expect("shown");
        assert!(dead.ejected && dead.consecutive_failures == 1);
        assert_eq!(bench.service.measures().attempts(Outcome::ConnectFailed), 1);
    });
}

#[test]
fn nobody_there_is_told_after_the_last_attempt_and_nothing_was_sent() {
    run(async {
        let bench = Bench::at(&[nobody().await, nobody().await]);
        let (sent, trip) = bench.send(post("body")).await;
        assert!(matches!(sent, Err(SendFault::ConnectFailed)));
        assert_eq!((trip.attempts, trip.sent), (3, false));
        assert_eq!((bench.in_flight(), bench.open()), (0, 0));
    });
}

#[test]
fn a_get_that_was_read_and_not_answered_is_repeated_elsewhere() {
    for act in [Act::Close, Act::Reset] {
        run(async {
            let [first, second] = sorted([Instance::start(move |_| act).await, Instance::start(move |_| act).await]);
            let good = Instance::always(OK).await;
            let bench = Bench::at(&[&first.address, &second.address, &good.address]);
            let (status, _, trip) = bench.get().await;
            assert_eq!(status, 200);
            let counts = [first.ledger.count(), second.ledger.count(), good.ledger.count()];
            assert!(counts.iter().all(|count| *count <= 1) && good.ledger.count() == 1, "distinct instances: {counts:?}");
            assert_eq!(trip.attempts as usize, counts.iter().sum::<usize>());
        });
    }
}

#[test]
fn attempts_have_a_ceiling() {
    run(async {
        let instance = Instance::always(Act::Close).await;
        let bench = Bench::at(&[&instance.address]);
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::Reset)));
        assert_eq!((trip.attempts, instance.ledger.count()), (3, 3));
        let once = Bench::with(&[&instance.address], |config| config.retries.attempts_max = 1);
        assert!(matches!(once.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::Reset)));
        assert_eq!(instance.ledger.count(), 4);
    });
}

#[test]
fn a_post_that_was_read_is_never_repeated() {
    for act in [Act::Close, Act::Reset, Act::SayAndClose("HTTP/1.1 200"), Act::SayAndClose("nonsense\r\n\r\n")] {
        run(async {
            let instances = sorted([Instance::start(move |_| act).await, Instance::start(move |_| act).await]);
            let bench = Bench::at(&instances.each_ref().map(|instance| instance.address.clone()));
            let body = if matches!(act, Act::Reset) { Body::Empty } else { Body::from(Bytes::from_static(b"pay")) };
            let (sent, trip) = bench.send(request(Method::POST, body)).await;
            assert!(matches!(sent, Err(SendFault::Reset | SendFault::Protocol)), "{act:?}: {sent:?}");
            assert_eq!(instances.iter().map(|instance| instance.ledger.count()).sum::<usize>(), 1, "{act:?}");
            assert_eq!((trip.attempts, trip.sent), (1, true));
        });
    }
}

#[test]
fn an_idempotent_request_whose_body_streams_is_not_repeated() {
    run(async {
        let instance = Instance::always(Act::Close).await;
        let bench = Bench::at(&[&instance.address]);
        let (feed, body) = fed();
        feed.send(data("x")).await.expect("room");
        drop(feed);
        let (sent, trip) = bench.send(request(Method::PUT, body)).await;
        assert!(matches!(sent, Err(SendFault::Reset)));
        assert_eq!((trip.attempts, instance.ledger.count()), (1, 1));
    });
}

#[test]
fn a_put_whose_bytes_are_at_hand_is_repeated_whole() {
    run(async {
        let instance = Instance::start(|number| if number == 0 { Act::Close } else { OK }).await;
        let bench = Bench::at(&[&instance.address]);
        let (sent, trip) = bench.send(request(Method::PUT, Body::from(Bytes::from_static(b"whole")))).await;
        assert_eq!(read(sent.expect("an answer")).await.0, 200);
        assert_eq!((trip.attempts, instance.ledger.count()), (2, 2));
        assert!(instance.ledger.requests.borrow().iter().all(|request| request.ends_with("\r\n\r\nwhole")));
    });
}

#[test]
fn an_instance_that_closes_unread_costs_a_get_nothing_and_a_post_at_most_itself() {
    run(async {
        let good = Instance::always(OK).await;
        let bad = Instance::closing_at_once().await;
        let bench = Bench::at(&[&bad.address, &good.address]);
        for _ in 0..20 {
            assert_eq!(bench.get().await.0, 200);
        }
        let before = good.ledger.count();
        let mut answered = 0;
        for _ in 0..20 {
            match bench.send(post("pay")).await {
                (Ok(response), _) => {
                    answered += 1;
                    read(response).await;
                }
                (Err(fault), trip) => assert!(matches!(fault, SendFault::Reset) && trip.sent, "{fault:?}"),
            }
        }
        assert_eq!(good.ledger.count() - before, answered, "each executed request was answered, none twice");
    });
}

#[test]
fn silence_times_out_is_not_repeated_and_the_connection_is_broken_off() {
    run(async {
        let instance = Instance::always(Act::Nothing).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.first_byte = Some(Span::millis(50)));
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::Timeout)));
        assert_eq!((trip.attempts, instance.ledger.count(), bench.in_flight()), (1, 1, 0));
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
        assert_eq!((bench.open(), bench.pools.idle()), (0, 0));
    });
}

#[test]
fn the_deadline_ends_waiting_and_connecting() {
    run(async {
        let instance = Instance::always(Act::Nothing).await;
        let bench = Bench::at(&[&instance.address]);
        let mut trip = Trip::default();
        let soon = std::time::Instant::now() + Duration::from_millis(50);
        let sent = send(&bench.pools, &bench.service, request(Method::GET, Body::Empty), Errand::until(soon), &mut trip).await;
        assert!(matches!(sent, Err(SendFault::Deadline)));
        let past = std::time::Instant::now();
        let sent = send(&bench.pools, &bench.service, request(Method::GET, Body::Empty), Errand::until(past), &mut trip).await;
        assert!(matches!(sent, Err(SendFault::Deadline)));
        assert_eq!(instance.ledger.count(), 1, "nothing is sent after the deadline");
    });
}

#[test]
fn an_answer_that_is_no_http_is_a_protocol_fault() {
    for words in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        run(async {
            let instance = Instance::start(move |_| Act::Say(words)).await;
            let bench = Bench::at(&[&instance.address]);
            let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
            assert!(matches!(sent, Err(SendFault::Protocol)), "{words:?}: {sent:?}");
            until("the connection is broken off", || bench.open() == 0).await;
            assert_eq!(instance.ledger.count(), 1);
        });
    }
}

#[test]
fn the_clients_own_failure_is_not_blamed_on_the_instance() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        let (feed, body) = fed();
        feed.send(data("half")).await.expect("room");
        let failing = async {
            feed.send(Err("the client left".into())).await.expect("room");
        };
        let ((sent, trip), ()) = tokio::join!(bench.send(request(Method::POST, body)), failing);
        match sent {
            Err(SendFault::RequestBody(cause)) => assert_eq!(cause.to_string(), "the client left"),
            other => panic!("{other:?}"),
        }
        assert_eq!((trip.attempts, bench.in_flight()), (1, 0));
        assert_eq!(bench.service.measures().attempts(Outcome::RequestBody), 1);
    });
}

#[test]
fn a_service_without_instances_says_so() {
    run(async {
        let bench = Bench::with(&[""; 0], |config| config.discover = DiscoverConfig::Dns { name: "users.demo".into(), port: 80 });
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::NoInstances)));
        assert_eq!((trip.attempts, trip.generation), (0, 0));
        assert_eq!(bench.service.measures().attempts(Outcome::NoInstances), 1);
    });
}
