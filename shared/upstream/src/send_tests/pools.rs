//! Which connections are kept, and for whom.

use super::instance::{Act, Instance, OK};
use super::*;
use crate::endpoint::Address;
use crate::endpoints::Found;
use crate::measures::Outcome;

fn found(address: &str) -> Found {
    Found { address: Address::Tcp(address.parse().expect("address")), host: None, weight: 0, priority: 0 }
}

/// Drives a request until the instance, which does not answer it, has read it.
async fn read_by(instance: &Instance, sent: &mut (impl Future + Unpin)) {
    tokio::select! {
        _ = sent => panic!("no answer can come"),
        () = until("the request was read", || instance.ledger.count() == 1) => {}
    }
}

#[test]
fn requests_in_a_row_share_one_connection() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        assert!(!bench.get().await.2.reused);
        for _ in 0..20 {
            assert!(bench.get().await.2.reused);
        }
        assert_eq!((instance.ledger.connections.get(), instance.ledger.count()), (1, 21));
        assert_eq!((bench.pools.idle(), bench.open(), bench.in_flight()), (1, 1, 0));
    });
}

#[test]
fn an_answer_without_a_body_gives_its_connection_back_at_once() {
    for (method, words) in [
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        run(async {
            let instance = Instance::start(move |_| Act::Say(words)).await;
            let bench = Bench::at(&[&instance.address]);
            let (sent, _) = bench.send(request(method, Body::Empty)).await;
            let response = sent.expect("an answer");
            assert_eq!((bench.pools.idle(), bench.in_flight()), (1, 0), "{words:?}");
            assert!(response.body().is_empty());
        });
    }
}

#[test]
fn a_connection_is_not_kept_while_the_body_runs_nor_when_the_body_is_dropped() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.")).await;
        let bench = Bench::at(&[&instance.address]);
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        let response = sent.expect("an answer");
        assert_eq!((bench.pools.idle(), bench.in_flight()), (0, 1));
        drop(response);
        assert_eq!(bench.in_flight(), 0);
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
        assert_eq!((bench.pools.idle(), bench.open()), (0, 0));
    });
}

#[test]
fn a_client_that_leaves_while_waiting_frees_everything() {
    run(async {
        let instance = Instance::always(Act::Nothing).await;
        let bench = Bench::at(&[&instance.address]);
        let mut waiting = Box::pin(bench.send(request(Method::GET, Body::Empty)));
        read_by(&instance, &mut waiting).await;
        assert_eq!(bench.in_flight(), 1);
        drop(waiting);
        assert_eq!(bench.in_flight(), 0);
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
        assert_eq!(bench.open(), 0);
    });
}

#[test]
fn what_says_close_is_not_kept() {
    for words in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        run(async {
            let instance = Instance::start(move |_| Act::SayAndClose(words)).await;
            let bench = Bench::at(&[&instance.address]);
            for _ in 0..3 {
                let (status, text, trip) = bench.get().await;
                assert_eq!((status, text.as_str(), trip.attempts), (200, "ok", 1));
            }
            assert_eq!((instance.ledger.connections.get(), bench.pools.idle()), (3, 0));
        });
    }
}

#[test]
fn a_kept_connection_that_the_instance_has_closed_costs_no_request_and_no_repeat() {
    run(async {
        // Says keep-alive by saying nothing, and closes all the same: the race of every pool.
        let instance = Instance::always(Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")).await;
        let bench = Bench::at(&[&instance.address]);
        for round in 1..=50 {
            let (sent, trip) = bench.send(post("pay")).await;
            assert_eq!(read(sent.expect("every POST is answered")).await.0, 200);
            assert_eq!(trip.attempts, 1);
            until("the instance has closed", || instance.ledger.closed.get() == round).await;
        }
        assert_eq!(instance.ledger.count(), 50, "none was executed twice");
        assert_eq!(bench.service.measures().attempts(Outcome::Answered), 50);
    });
}

#[test]
fn a_get_on_a_connection_that_dies_under_it_is_answered_over_a_new_one() {
    run(async {
        // Every connection serves one request and then closes on the second one after reading it.
        let instance = Instance::accepting(|mut socket, ledger| async move {
            use tokio::io::AsyncWriteExt;
            while let Some(request) = super::instance::read_request(&mut socket).await {
                let first = ledger.count() % 2 == 0;
                ledger.requests.borrow_mut().push(request);
                if !first {
                    return;
                }
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("write");
            }
        })
        .await;
        let bench = Bench::at(&[&instance.address]);
        assert_eq!(bench.get().await.2.attempts, 1);
        let (status, _, trip) = bench.get().await;
        assert_eq!((status, trip.attempts, trip.reused), (200, 2, false));
        assert_eq!((instance.ledger.count(), instance.ledger.connections.get()), (3, 2));
        // The same for a POST is a loss that is told, not a second execution.
        let (sent, trip) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::Reset)) && trip.reused);
        assert_eq!(instance.ledger.count(), 4);
    });
}

#[test]
fn an_instance_that_is_gone_gets_nothing_more_and_its_connections_close() {
    run(async {
        let (old, new) = (Instance::always(OK).await, Instance::always(OK).await);
        let bench = Bench::at(&[&old.address]);
        bench.get().await;
        assert_eq!(bench.pools.idle(), 1);
        bench.service.instances().learn(Ok(vec![found(&new.address)]));
        for _ in 0..10 {
            assert_eq!(bench.get().await.2.generation, 2);
        }
        assert_eq!((old.ledger.count(), new.ledger.count()), (1, 10));
        until("the idle connection closes", || old.ledger.closed.get() == 1).await;
        assert_eq!((bench.pools.idle(), bench.open()), (1, 1));
    });
}

#[test]
fn a_request_under_way_at_an_instance_that_is_gone_ends_in_peace() {
    run(async {
        let go_on = Rc::new(tokio::sync::Notify::new());
        let told = Rc::clone(&go_on);
        let instance = Instance::accepting(move |mut socket, _| {
            let told = Rc::clone(&told);
            async move {
                use tokio::io::AsyncWriteExt;
                while super::instance::read_request(&mut socket).await.is_some() {
                    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await.expect("write");
                    told.notified().await;
                    socket.write_all(b"late").await.expect("write");
                }
            }
        })
        .await;
        let other = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        bench.service.instances().learn(Ok(vec![found(&other.address)]));
        go_on.notify_one();
        assert_eq!(read(sent.expect("an answer")).await.1, "late");
        assert_eq!(bench.pools.idle(), 0);
    });
}

#[test]
fn idle_connections_end_with_their_time() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.idle = Span::millis(20));
        bench.get().await;
        until("the sweep closes it", || instance.ledger.closed.get() == 1).await;
        assert_eq!((bench.pools.idle(), bench.open()), (0, 0));
        let aged = Bench::with(&[&instance.address], |config| config.pool.age = Span::millis(20));
        aged.get().await;
        until("age closes it", || instance.ledger.closed.get() == 2).await;
        assert_eq!(aged.open(), 0);
    });
}

#[test]
fn idle_connections_have_a_ceiling_for_each_instance() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.idle_max = 1);
        let ((a, _), (b, _)) = tokio::join!(bench.send(post("a")), bench.send(post("b")));
        read(a.expect("an answer")).await;
        read(b.expect("an answer")).await;
        assert_eq!((instance.ledger.connections.get(), bench.pools.idle()), (2, 1));
        until("the other one closes", || bench.open() == 1).await;
    });
}

#[test]
fn connections_have_a_ceiling_over_all_instances() {
    run(async {
        let slow = Instance::always(Act::Nothing).await;
        let bench = Bench::with(&[&slow.address], |config| config.pool.connections_max = 1);
        let mut waiting = Box::pin(bench.send(request(Method::GET, Body::Empty)));
        read_by(&slow, &mut waiting).await;
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::Overloaded)) && !trip.sent);
        drop(waiting);
        until("the place is free", || bench.open() == 0).await;
    });
}

#[test]
fn an_idle_connection_gives_its_place_to_another_instance() {
    run(async {
        let (one, two) = (Instance::always(OK).await, Instance::always(OK).await);
        let bench = Bench::with(&[&one.address, &two.address], |config| config.pool.connections_max = 1);
        for _ in 0..6 {
            assert_eq!(bench.get().await.0, 200);
        }
        assert_eq!((one.ledger.count(), two.ledger.count(), bench.open()), (3, 3, 1));
    });
}

#[test]
fn a_worker_at_the_ceiling_makes_the_others_give_up_an_idle_connection() {
    run(async {
        let (one, two) = (Instance::always(OK).await, Instance::always(OK).await);
        let bench = Bench::with(&[&one.address, &two.address], |config| config.pool.connections_max = 1);
        bench.get().await;
        // Another worker of the same process: its pool is its own, the ceiling is shared.
        let other = Bench { pools: Pools::new(), service: Arc::clone(&bench.service) };
        assert_eq!(other.get().await.0, 200);
        assert_eq!((bench.pools.idle(), other.pools.idle(), bench.open()), (0, 1, 1));
    });
}

#[test]
fn at_the_ceiling_requests_take_turns_on_the_connections_there_are() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.connections_max = 2);
        let one = || async {
            let (sent, trip) = bench.send(post("pay")).await;
            assert_eq!((read(sent.expect("a place in time")).await.0, trip.attempts), (200, 1));
        };
        tokio::join!(one(), one(), one(), one());
        assert_eq!((instance.ledger.count(), instance.ledger.connections.get()), (4, 2), "none was closed to make a place");
        assert_eq!((bench.pools.idle(), bench.in_flight()), (2, 0));
    });
}

#[test]
fn a_request_waits_for_a_place_no_longer_than_its_deadline() {
    run(async {
        let slow = Instance::always(Act::Nothing).await;
        let bench = Bench::with(&[&slow.address], |config| config.pool.connections_max = 1);
        let mut waiting = Box::pin(bench.send(request(Method::GET, Body::Empty)));
        read_by(&slow, &mut waiting).await;
        let begun = std::time::Instant::now();
        let mut trip = Trip::default();
        let soon = Some(begun + Duration::from_millis(50));
        let sent = send(
            &bench.pools,
            &bench.service,
            request(Method::GET, Body::Empty),
            Errand { deadline: soon, ..Errand::default() },
            &mut trip,
        )
        .await;
        assert!(matches!(sent, Err(SendFault::Overloaded)) && !trip.sent);
        assert!((Duration::from_millis(50)..Duration::from_millis(400)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_refused_request_costs_no_connection_afterwards() {
    run(async {
        let go_on = Rc::new(tokio::sync::Notify::new());
        let told = Rc::clone(&go_on);
        let instance = Instance::accepting(move |mut socket, ledger| {
            let told = Rc::clone(&told);
            async move {
                use tokio::io::AsyncWriteExt;
                while let Some(request) = super::instance::read_request(&mut socket).await {
                    ledger.requests.borrow_mut().push(request);
                    told.notified().await;
                    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("write");
                }
            }
        })
        .await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.connections_max = 1);
        let mut first = Box::pin(bench.get());
        read_by(&instance, &mut first).await;
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(matches!(sent, Err(SendFault::Overloaded)));
        go_on.notify_one();
        assert_eq!(first.await.0, 200);
        assert_eq!((bench.pools.idle(), instance.ledger.connections.get()), (1, 1));
        go_on.notify_one();
        assert!(bench.get().await.2.reused, "the good connection was kept");
    });
}

#[test]
fn a_drain_closes_what_is_idle() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        bench.get().await;
        bench.pools.clear();
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
        assert_eq!((bench.pools.idle(), bench.open()), (0, 0));
    });
}

#[test]
fn an_end_that_arrived_unseen_is_seen_before_a_post_is_written() {
    use std::io::{Read, Write};

    // The instance is a thread, and the worker stands still until it has closed: the end lies in the kernel, and the runtime has not looked.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    let (close, wait_close) = std::sync::mpsc::sync_channel(1);
    let (closed, wait_closed) = std::sync::mpsc::sync_channel(1);
    const ROUNDS: usize = 20;
    let server = std::thread::spawn(move || {
        let mut served = 0;
        while served < ROUNDS {
            let (mut socket, _) = listener.accept().expect("accept");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\npay") && socket.read(&mut byte).is_ok_and(|read| read == 1) {
                head.extend(byte);
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("write");
            wait_close.recv_timeout(LONG).expect("the answer has been read");
            drop(socket);
            served += 1;
            closed.send(()).expect("the test waits");
        }
    });
    run(async {
        let bench = Bench::at(&[&address]);
        for _ in 0..ROUNDS {
            let (sent, trip) = bench.send(post("pay")).await;
            assert_eq!((sent.expect("every POST is answered").status().as_u16(), trip.attempts, trip.reused), (200, 1, false));
            assert_eq!(bench.pools.idle(), 1, "it was kept, for it was good");
            close.send(()).expect("the instance waits");
            wait_closed.recv_timeout(LONG).expect("the instance closes");
        }
    });
    server.join().expect("the instance served each POST once");
}

#[test]
fn a_trial_after_a_penalty_makes_a_new_connection_and_so_ends_it() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        assert!(!bench.get().await.2.reused);
        let set = bench.service.endpoints();
        let endpoint = &set.endpoints()[0];
        let now_ms = crate::moment::now_ms();
        endpoint.connect_failed(now_ms, now_ms);
        tokio::time::sleep(std::time::Duration::from_millis(crate::endpoint::AVOID_MS_FIRST + 5)).await;
        // The connection of before the failure still serves, but says nothing about whether a new one can be made.
        assert!(!bench.get().await.2.reused);
        assert_eq!(endpoint.consecutive_failures(), 0);
        assert!(bench.get().await.2.reused, "the next one is an ordinary request again");
    });
}

#[test]
fn a_post_takes_no_connection_that_has_rested_and_leaves_it_to_others() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        // The machine may stand still for longer than that between two requests, but not every time.
        let mut soon = false;
        for _ in 0..20 {
            bench.get().await;
            let (sent, trip) = bench.send(post("soon")).await;
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            soon |= trip.reused;
            if soon {
                break;
            }
        }
        assert!(soon, "one that was used a moment ago is taken");
        let idle = bench.pools.idle();
        tokio::time::sleep(crate::pool::FRESH_ENOUGH + Duration::from_millis(20)).await;
        let (sent, trip) = bench.send(post("later")).await;
        let response = sent.expect("an answer");
        assert_eq!((trip.reused, bench.pools.idle()), (false, idle), "it is left to others");
        // A PUT whose body streams cannot be sent again either.
        tokio::time::sleep(crate::pool::FRESH_ENOUGH).await;
        let (feed, body) = fed();
        drop(feed);
        let (sent, trip) = bench.send(request(Method::PUT, body)).await;
        assert_eq!((read(sent.expect("an answer")).await.0, trip.reused), (200, false));
        assert_eq!(read(response).await.0, 200);
        assert!(bench.get().await.2.reused, "what may be repeated takes any");
    });
}

#[test]
fn what_says_close_is_not_kept_even_if_it_stays_open() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")).await;
        let bench = Bench::at(&[&instance.address]);
        for round in 1..=3 {
            let (sent, trip) = bench.send(post("pay")).await;
            assert_eq!((read(sent.expect("an answer")).await.0, trip.reused, bench.pools.idle()), (200, false, 0));
            assert_eq!(instance.ledger.connections.get(), round);
        }
    });
}

#[test]
fn connections_of_before_a_reload_go_on_under_its_terms() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        bench.get().await;
        let mut plan = bench.service.plan().clone();
        plan.pool.idle = Duration::from_millis(20);
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let next = Service::after(Some(&bench.service), plan, &Arc::new(NoNames), &tasks, &Clock::system(), &Metrics::new());
        let bench = Bench { pools: bench.pools, service: next };
        until("the former service is gone", || Arc::strong_count(&bench.service) == 1).await;
        assert!(bench.get().await.2.reused, "a reload costs no connection");
        assert_eq!((instance.ledger.connections.get(), bench.open()), (1, 1));
        until("the shorter idle time closes it", || bench.open() == 0).await;
    });
}

/// Tells the one instance's number of workers, as its answer about its health would.
fn serves_by(bench: &Bench, workers: u32) {
    let plan = crate::plan::health::HealthPlan {
        probe: crate::plan::health::ProbePlan::Link,
        every: LONG,
        timeout: LONG,
        unhealthy_threshold: 1,
        healthy_threshold: 1,
    };
    let word = contract::health::Word {
        tier: "routing-gw".into(),
        treaty: u64::from(contract::TREATY),
        build: "1".into(),
        generation: 1,
        draining: false,
        ready: true,
        workers,
    };
    bench.service.endpoints().endpoints()[0].checked().learn(Ok(Some(word)), &plan, 1);
}

#[test]
fn an_instance_of_several_workers_gets_a_connection_for_each_and_all_are_used_in_turn() {
    run(async {
        // Each connection counts its own requests.
        let counts: Rc<std::cell::RefCell<Vec<usize>>> = Rc::default();
        let seen = Rc::clone(&counts);
        let instance = Instance::accepting(move |mut socket, _| {
            let seen = Rc::clone(&seen);
            async move {
                use tokio::io::AsyncWriteExt;
                let place = seen.borrow().len();
                seen.borrow_mut().push(0);
                while super::instance::read_request(&mut socket).await.is_some() {
                    seen.borrow_mut()[place] += 1;
                    let said = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    if said.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        let bench = Bench::at(&[&instance.address]);
        serves_by(&bench, 4);
        while bench.pools.idle() < 4 {
            bench.get().await;
        }
        counts.borrow_mut().fill(0);
        for _ in 0..40 {
            assert!(bench.get().await.2.reused);
        }
        assert_eq!(*counts.borrow(), [10, 10, 10, 10], "one after the other, and no connection more");
        // By one worker the one used last is used again.
        serves_by(&bench, 1);
        counts.borrow_mut().fill(0);
        for _ in 0..40 {
            bench.get().await;
        }
        assert_eq!(counts.borrow().iter().filter(|count| **count == 40).count(), 1);
    });
}

#[test]
fn breadth_takes_no_more_than_half_of_the_places() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.connections_max = 4);
        serves_by(&bench, 100);
        for _ in 0..100 {
            bench.get().await;
        }
        assert_eq!((bench.open(), instance.ledger.connections.get()), (2, 2));
    });
}

#[test]
fn breadth_makes_no_more_connections_than_are_kept() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.idle_max = 1);
        serves_by(&bench, 4);
        for _ in 0..50 {
            bench.get().await;
        }
        assert_eq!((bench.open(), instance.ledger.connections.get()), (1, 1));
    });
}

#[test]
fn connections_beyond_those_in_turn_end_by_their_idle_time_under_load() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.pool.idle = Span::millis(300));
        serves_by(&bench, 2);
        let one = || async { read(bench.send(request(Method::GET, Body::Empty)).await.0.expect("an answer")).await };
        tokio::join!(one(), one(), one(), one(), one(), one());
        assert_eq!(bench.pools.idle(), 6);
        // What was busy at once is forgotten after two windows, and load goes on all the while.
        let begun = tokio::time::Instant::now();
        while bench.pools.idle() > 2 {
            bench.get().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(begun.elapsed() < LONG * 2, "{} are kept", bench.pools.idle());
        }
        assert_eq!(bench.pools.idle(), 2);
    });
}
