//! The retry budget as requests meet it.

use super::instance::{Act, Instance, nobody};
use super::*;
use crate::measures::Outcome;

#[test]
fn a_broken_service_gets_its_requests_and_the_reserve_and_no_more() {
    run(async {
        let instance = Instance::always(Act::Close).await;
        let bench = Bench::with(&[&instance.address], |config| {
            (config.retries.budget_percent, config.retries.per_second_min) = (0, 1);
            config.breaker = None;
        });
        for _ in 0..32 {
            let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
            assert!(matches!(sent, Err(SendFault::Reset)), "the fault is returned as it is");
        }
        // Ten repeats, which the first five requests use up.
        assert_eq!(instance.ledger.count(), 42);
        assert_eq!(bench.service.measures().retries_idempotent.get(), 10);
        assert_eq!(bench.service.measures().retries_refused.get(), 27);
    });
}

#[test]
fn attempts_of_which_nothing_was_sent_are_free() {
    run(async {
        let bench = Bench::with(&[nobody().await, nobody().await, nobody().await], |config| {
            (config.retries.budget_percent, config.retries.per_second_min) = (0, 0);
        });
        for _ in 0..5 {
            let (sent, trip) = bench.send(post("pay")).await;
            assert!(matches!(sent, Err(SendFault::ConnectFailed)));
            assert_eq!(trip.attempts, 3);
        }
        assert_eq!(bench.service.measures().retries_refused.get(), 0);
    });
}

#[test]
fn an_answer_is_never_repeated_whatever_it_says() {
    for words in [
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 425 Too Early\r\ncontent-length: 2\r\n\r\nno",
    ] {
        run(async {
            let (one, two) = (Instance::always(Act::Say(words)).await, Instance::always(Act::Say(words)).await);
            let bench = Bench::at(&[&one.address, &two.address]);
            let (status, text, trip) = bench.get().await;
            assert!(status >= 425 && text == "no" && trip.attempts == 1, "{words:?}");
            assert_eq!(one.ledger.count() + two.ledger.count(), 1, "{words:?}");
            assert_eq!(bench.service.measures().attempts(Outcome::Answered), 1);
        });
    }
}

#[test]
fn an_answer_that_breaks_off_in_its_body_is_not_repeated_either() {
    run(async {
        let words = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.";
        let (one, two) = (Instance::always(Act::SayAndClose(words)).await, Instance::always(Act::SayAndClose(words)).await);
        let bench = Bench::at(&[&one.address, &two.address]);
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(sent.expect("a head").into_body().collect().await.is_err());
        assert_eq!((one.ledger.count() + two.ledger.count(), trip.attempts), (1, 1));
    });
}
