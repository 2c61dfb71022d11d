//! What a request may take: of a service's places, of time per attempt and in all.

use super::instance::{Act, Instance, OK};
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
