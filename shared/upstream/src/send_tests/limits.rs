//! What a request may take: of a service's places, of time per attempt and in all.

use super::instance::{Act, Instance, OK, nobody};
use super::*;
use crate::measures::Outcome;

#[test]
fn an_attempt_that_takes_too_long_is_made_elsewhere_where_that_is_lawful() {
    run(async {
        let (dead, well) = (Instance::always(Act::Nothing).await, Instance::always(OK).await);
        let bench = Bench::with(&[&dead.address, &well.address], |config| config.timeouts.per_try = Some(Span::millis(50)));
        // In turn, so that one of the two begins at the instance that never answers.
        for _ in 0..2 {
            assert_eq!(bench.get().await.0, 200);
        }
        let late = dead.ledger.count();
        assert!(late >= 1 && well.ledger.count() == 2);
        assert_eq!(bench.service.measures().attempts(Outcome::Timeout), late as u64);
        assert_eq!(bench.service.measures().retries_idempotent.get(), late as u64, "each costs a repeat");
        until("the connection is broken off", || dead.ledger.closed.get() == late).await;
    });
}

#[test]
fn an_attempt_at_what_may_have_an_effect_is_the_last_one() {
    run(async {
        let (one, two) = (Instance::always(Act::Nothing).await, Instance::always(Act::Nothing).await);
        let bench = Bench::with(&[&one.address, &two.address], |config| config.timeouts.per_try = Some(Span::millis(50)));
        let (sent, trip) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::Timeout)), "{sent:?}");
        assert_eq!((one.ledger.count() + two.ledger.count(), trip.attempts), (1, 1));
    });
}

#[test]
fn an_exchange_that_takes_too_long_in_all_is_cut_in_its_answer_too() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.")).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.total = Some(Span::millis(300)));
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        let cut = sent.expect("a head").into_body().collect().await.expect_err("it is cut");
        assert!(cut.is::<crate::answer::Late>(), "{cut}");
        until("the connection is broken off", || bench.open() == 0 && bench.in_flight() == 0).await;
    });
}

#[test]
fn a_place_is_held_until_the_answer_has_ended_and_nobody_is_sent_without_one() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| (config.limits.requests_max, config.limits.queue_max) = (1, 0));
        let (first, _) = bench.send(request(Method::GET, Body::Empty)).await;
        let (second, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(second, Err(SendFault::QueueFull)), "{second:?}");
        assert_eq!((instance.ledger.count(), trip.attempts), (1, 0));
        assert_eq!(bench.service.measures().attempts(Outcome::QueueFull), 1);
        assert_eq!(read(first.expect("an answer")).await.1, "ok");
        assert_eq!(bench.get().await.0, 200);
    });
}

#[test]
fn an_upgraded_connection_holds_its_place_until_it_is_closed() {
    run(async {
        let words = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        let instance = Instance::start(move |count| if count == 0 { Act::SayAndEcho(words) } else { OK }).await;
        let bench = Bench::with(&[&instance.address], |config| (config.limits.requests_max, config.limits.queue_max) = (1, 0));
        let mut upgrade = request(Method::GET, Body::Empty);
        upgrade.headers_mut().insert("connection", "upgrade".parse().expect("value"));
        upgrade.headers_mut().insert("upgrade", "echo".parse().expect("value"));
        let (sent, _) = bench.send(upgrade).await;
        let mut response = sent.expect("an answer");
        let tunnel = hyper::upgrade::on(&mut response).await.expect("upgraded");
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::QueueFull)));
        drop(tunnel);
        until("the tunnel has ended", || bench.open() == 0).await;
        assert_eq!(bench.get().await.0, 200);
    });
}

#[test]
fn a_breaker_outlives_a_reload_and_counts_requests_and_not_attempts() {
    run(async {
        let (bad, well) = (Instance::always(Act::Reset).await, Instance::always(OK).await);
        let few = |config: &mut ServiceConfig| {
            let breaker = config.breaker.as_mut().expect("the usual one");
            (breaker.requests_min, breaker.failure_percent) = (2, 50);
        };
        let bench = Bench::with(&[&bad.address, &well.address], few);
        for _ in 0..8 {
            assert_eq!(bench.get().await.0, 200, "what another instance answered is no failure");
        }
        let bench = Bench::with(&[&bad.address], few);
        for _ in 0..2 {
            assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::Reset)));
        }
        let mut plan = bench.service.plan().clone();
        plan.retries.attempts_max = 1;
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let next = Service::after(Some(&bench.service), plan, &Arc::new(NoNames), &tasks, &Clock::system(), &Metrics::new());
        let next = Bench { pools: bench.pools, service: next };
        let before = bad.ledger.count();
        let refused = next.send(request(Method::GET, Body::Empty)).await.0;
        assert!(matches!(refused, Err(SendFault::BreakerOpen { .. })), "{refused:?}");
        assert_eq!(bad.ledger.count(), before);
    });
}

#[test]
fn a_breaker_that_a_reload_takes_out_is_shown_no_more_and_one_that_comes_back_begins_anew() {
    run(async {
        let instance = Instance::start(|count| if count < 2 { Act::Reset } else { OK }).await;
        let bench = Bench::with(&[&instance.address], |config| {
            let breaker = config.breaker.as_mut().expect("the usual one");
            (breaker.requests_min, breaker.failure_percent, breaker.open) = (1, 1, Span::secs(600));
            config.retries.attempts_max = 1;
        });
        let open = |bench: &Bench| bench.service.measures().limits.breaker_open.get();
        let after = |bench: &Bench, breaker| {
            let plan = ServicePlan { breaker, ..bench.service.plan().clone() };
            let tasks = Tasks::on(tokio::runtime::Handle::current());
            let service = Service::after(Some(&bench.service), plan, &Arc::new(NoNames), &tasks, &Clock::system(), &Metrics::new());
            Bench { pools: Rc::clone(&bench.pools), service }
        };
        let terms = bench.service.plan().breaker;
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::Reset)));
        assert_eq!(open(&bench), 1);
        let without = after(&bench, None);
        assert_eq!(open(&without), 0, "there is none");
        // The former configuration serves a last request, which opens it again.
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::Reset)));
        assert_eq!(open(&bench), 1);
        assert_eq!(without.get().await.0, 200);
        assert_eq!(open(&without), 0);
        assert_eq!(after(&without, terms).get().await.0, 200);
    });
}

#[test]
fn a_request_whose_body_streams_is_not_the_one_that_tries_while_others_come() {
    run(async {
        let instance = Instance::start(|count| if count == 0 { Act::Reset } else { OK }).await;
        let bench = Bench::with(&[&instance.address], |config| {
            let breaker = config.breaker.as_mut().expect("the usual one");
            (breaker.requests_min, breaker.failure_percent, breaker.open) = (1, 1, Span::millis(100));
            config.retries.attempts_max = 1;
        });
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::Reset)));
        let opened = std::time::Instant::now();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let (feed, body) = fed();
        let refused = bench.send(request(Method::POST, body)).await.0;
        // On a machine that stood still for a second it may try.
        if opened.elapsed() < Duration::from_millis(1_000) {
            assert!(matches!(refused, Err(SendFault::BreakerOpen { .. })), "{refused:?}");
        }
        drop(feed);
        assert_eq!(bench.get().await.0, 200);
        assert_eq!(bench.service.measures().limits.breaker_open.get(), 0);
    });
}

#[test]
fn the_next_tier_is_told_of_those_attempts_alone_that_it_may_have_seen() {
    run(async {
        let dead = nobody().await;
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&dead, &instance.address], |_| {});
        let mut most = 0;
        // In turn, so that one of the two meets the one that refuses first.
        for _ in 0..2 {
            let mut trip = Trip::default();
            let errand = Errand { tells_attempt: true, ..Errand::default() };
            let sent = send(&bench.pools, &bench.service, request(Method::GET, Body::Empty), errand, &mut trip).await;
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            assert!(instance.ledger.last().contains("x-gw-attempt: 1\r\n"), "{}", instance.ledger.last());
            most = most.max(trip.attempts);
        }
        assert_eq!(most, 2, "one attempt cost nothing");
        let (bad, well) = (Instance::always(Act::Reset).await, Instance::always(OK).await);
        let bench = Bench::with(&[&bad.address, &well.address], |_| {});
        let mut told = Vec::new();
        for _ in 0..2 {
            let mut trip = Trip::default();
            let errand = Errand { tells_attempt: true, ..Errand::default() };
            let sent = send(&bench.pools, &bench.service, request(Method::GET, Body::Empty), errand, &mut trip).await;
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            assert!(well.ledger.last().contains(&format!("x-gw-attempt: {}\r\n", trip.attempts)), "{}", well.ledger.last());
            told.push(trip.attempts);
        }
        assert!(told.contains(&2), "{told:?}: one was sent twice");
    });
}
