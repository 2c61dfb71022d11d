//! HTTP/2 to instances: shared connections, their ends, and what may be sent again.

use std::cell::{Cell, RefCell};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::instance::{Instance, OK};
use super::*;
use crate::config::protocol::ProtocolConfig;

/// What an instance does with one stream.
#[derive(Clone, Copy)]
enum Act {
    /// Reads the body, and answers with `ok` and a trailer.
    Ok,
    /// The same, once the test says so.
    Later,
    /// Refuses the stream (RFC 9113 §8.7).
    Refuse,
    /// Resets it after it was read.
    Reset,
    /// Never answers.
    Nothing,
    /// Answers with more than fits any window.
    Much,
    /// Answers 413 at once and takes nothing of the body, until it is told that nobody sends any more.
    Early,
    /// Answers with half of a body, and says that all is well.
    Half,
}

/// More bytes than an instance may send before any was read.
const MUCH: usize = 2 << 20;

/// An instance that speaks h2c.
struct Shared {
    address: String,
    seen: Rc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: Cell<usize>,
    closed: Cell<usize>,
    refused: Cell<usize>,
    /// The heads and bodies of all streams that were begun.
    requests: RefCell<Vec<(Request<()>, String)>>,
    under_way: Cell<usize>,
    most: Cell<usize>,
    go_on: Notify,
    /// Tells every connection to go away.
    leave: Notify,
}

impl Seen {
    fn count(&self) -> usize {
        self.requests.borrow().len()
    }
}

impl Shared {
    /// One that does `act` with the stream of that number, counted over all connections, and allows `streams_max` at once.
    async fn start(streams_max: u32, act: impl Fn(usize) -> Act + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let (seen, act) = (Rc::new(Seen::default()), Rc::new(act));
        let all = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            let begun = Rc::new(Cell::new(0));
            loop {
                let (socket, _) = listener.accept().await.expect("accept");
                all.connections.set(all.connections.get() + 1);
                let (seen, act, begun) = (Rc::clone(&all), Rc::clone(&act), Rc::clone(&begun));
                tokio::task::spawn_local(async move {
                    let mut connection =
                        h2::server::Builder::new().max_concurrent_streams(streams_max).handshake::<_, Bytes>(socket).await.expect("h2");
                    loop {
                        tokio::select! {
                            next = connection.accept() => match next {
                                Some(Ok((request, respond))) => {
                                    let number = begun.replace(begun.get() + 1);
                                    tokio::task::spawn_local(serve(Rc::clone(&seen), act(number), request, respond));
                                }
                                _ => break,
                            },
                            () = seen.leave.notified() => connection.graceful_shutdown(),
                        }
                    }
                    seen.closed.set(seen.closed.get() + 1);
                });
            }
        });
        Self { address, seen }
    }

    fn bench(&self) -> Bench {
        self.bench_with(|_| {})
    }

    fn bench_with(&self, change: impl FnOnce(&mut ServiceConfig)) -> Bench {
        Bench::with(&[&self.address], |config| {
            config.protocol = ProtocolConfig::Http2;
            change(config);
        })
    }
}

async fn serve(seen: Rc<Seen>, act: Act, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    seen.under_way.set(seen.under_way.get() + 1);
    seen.most.set(seen.most.get().max(seen.under_way.get()));
    if let Act::Refuse = act {
        respond.send_reset(Reason::REFUSED_STREAM);
        seen.refused.set(seen.refused.get() + 1);
    } else if let Act::Early = act {
        seen.requests.borrow_mut().push((Request::from_parts(head, ()), String::new()));
        let answer = Response::builder().status(413).body(()).expect("a head");
        let mut sending = respond.send_response(answer, false).expect("a head");
        sending.send_data(Bytes::from_static(b"no"), true).expect("data");
        let _ = std::future::poll_fn(|cx| sending.poll_reset(cx)).await;
    } else {
        let mut text = String::new();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            text.push_str(std::str::from_utf8(&data).expect("text"));
        }
        seen.requests.borrow_mut().push((Request::from_parts(head, ()), text));
        match act {
            Act::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
            Act::Nothing => {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            }
            Act::Much => {
                let mut sending = respond.send_response(Response::new(()), false).expect("a head");
                sending.send_data(Bytes::from(vec![b'x'; MUCH]), true).expect("data");
                let _ = std::future::poll_fn(|cx| sending.poll_reset(cx)).await;
            }
            Act::Half => {
                let mut sending = respond.send_response(Response::new(()), false).expect("a head");
                sending.send_data(Bytes::from_static(b"half"), false).expect("data");
                seen.go_on.notified().await;
                sending.send_reset(Reason::NO_ERROR);
            }
            Act::Ok | Act::Later | Act::Refuse | Act::Early => {
                if let Act::Later = act {
                    seen.go_on.notified().await;
                }
                let mut sending = respond.send_response(Response::new(()), false).expect("a head");
                sending.send_data(Bytes::from_static(b"ok"), false).expect("data");
                let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), http::HeaderValue::from_static("7"))]);
                sending.send_trailers(trailers).expect("trailers");
            }
        }
    }
    seen.under_way.set(seen.under_way.get() - 1);
}

#[test]
fn many_requests_at_once_share_one_connection_and_nothing_of_http_1_goes_out() {
    run(async {
        let instance = Shared::start(1000, |_| Act::Ok).await;
        let bench = instance.bench();
        let one = || async {
            let mut asked = post("pay");
            asked.headers_mut().insert("te", http::HeaderValue::from_static("trailers"));
            let (sent, trip) = bench.send(asked).await;
            let response = sent.expect("an answer");
            assert_eq!(response.version(), http::Version::HTTP_11, "the version is of one connection alone");
            let (status, text, trailers) = read(response).await;
            assert_eq!((status, text.as_str(), trip.attempts), (200, "ok", 1));
            assert_eq!(trailers.expect("trailers")["x-sum"], "7");
        };
        tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
        one().await;
        assert_eq!((instance.seen.connections.get(), instance.seen.count()), (1, 9));
        assert_eq!((bench.pools.idle(), bench.open(), bench.in_flight()), (1, 1, 0));
        let requests = instance.seen.requests.borrow();
        let (head, text) = &requests[0];
        assert_eq!((head.uri().to_string().as_str(), text.as_str()), ("http://orders.demo/a?b=c", "pay"));
        assert!(!head.headers().contains_key("host") && !head.headers().contains_key("transfer-encoding"));
        assert_eq!(
            (&head.headers()["te"], &head.headers()["content-length"]),
            (&"trailers".parse().expect("te"), &"3".parse().expect("3"))
        );
    });
}

#[test]
fn neither_our_ceiling_of_streams_nor_the_instances_is_passed() {
    for (ours, theirs) in [(2, 100), (100, 2)] {
        run(async {
            let instance = Shared::start(theirs, |_| Act::Later).await;
            let bench = instance.bench_with(|config| config.pool.streams_max = ours);
            let one = || async { read(bench.send(post("pay")).await.0.expect("an answer")).await.0 };
            let all = async { tokio::join!(one(), one(), one(), one(), one(), one()) };
            let go_on = async {
                until("all six are there", || instance.seen.count() == 6).await;
                assert_eq!(instance.seen.connections.get(), 3, "{ours} {theirs}");
                (0..6).for_each(|_| instance.seen.go_on.notify_one());
                until("all are answered", || {
                    bench.in_flight() == 0 || {
                        instance.seen.go_on.notify_one();
                        false
                    }
                })
                .await;
            };
            tokio::join!(all, go_on);
            assert_eq!((bench.open(), bench.in_flight()), (3, 0));
        });
    }
}

#[test]
fn at_the_ceiling_of_connections_a_request_waits_for_a_stream() {
    run(async {
        let instance = Shared::start(1, |_| Act::Ok).await;
        let bench = instance.bench_with(|config| config.pool.connections_max = 1);
        let one = || async { read(bench.send(post("pay")).await.0.expect("a stream in time")).await.0 };
        tokio::join!(one(), one(), one());
        assert_eq!((instance.seen.connections.get(), instance.seen.most.get(), instance.seen.count()), (1, 1, 3));
    });
}

#[test]
fn what_is_refused_unseen_is_sent_again_also_a_post_and_costs_no_budget() {
    for streams in [false, true] {
        run(async {
            let instance = Shared::start(100, |number| if number == 0 { Act::Refuse } else { Act::Ok }).await;
            let bench = instance.bench_with(|config| config.retries.attempts_max = 2);
            let (feed, body) = fed();
            let asked = if streams { request(Method::POST, body) } else { post("pay") };
            let feeding = async move {
                // Nothing of it is there before the first try has failed, so that the whole of it can be sent by the second one.
                until("the first was refused", || instance.seen.refused.get() == 1).await;
                let _ = feed.send(data("pay")).await;
                drop(feed);
                instance
            };
            let ((sent, trip), instance) = tokio::join!(bench.send(asked), feeding);
            assert_eq!((read(sent.expect("an answer")).await.0, trip.attempts), (200, 2));
            assert_eq!(instance.seen.requests.borrow().iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["pay"]);
            assert_eq!((instance.seen.connections.get(), trip.reused), (1, true), "the connection has done no wrong");
            assert_eq!(bench.service.measures().retries_unsent.get(), 1);
            assert_eq!(bench.service.measures().retries_idempotent.get(), 0);
        });
    }
}

#[test]
fn a_post_that_was_looked_at_is_not_sent_again() {
    run(async {
        let instance = Shared::start(100, |_| Act::Reset).await;
        let bench = instance.bench();
        let (sent, trip) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::Reset)) && trip.sent);
        assert_eq!((trip.attempts, instance.seen.count(), bench.in_flight()), (1, 1, 0));
    });
}

#[test]
fn an_instance_that_goes_away_under_load_costs_no_request() {
    run(async {
        let instance = Shared::start(100, |_| Act::Ok).await;
        let bench = instance.bench();
        let client = || async {
            for _ in 0..50 {
                let (sent, _) = bench.send(post("pay")).await;
                assert_eq!(read(sent.expect("every POST is answered")).await.0, 200);
            }
        };
        let leaving = async {
            for round in 1..=5 {
                until("load", || instance.seen.count() >= round * 30).await;
                instance.seen.leave.notify_waiters();
            }
        };
        tokio::join!(client(), client(), client(), client(), leaving);
        assert_eq!(instance.seen.count(), 200, "none was executed twice");
        assert!(instance.seen.connections.get() >= 2, "it has gone away");
        until("those that were told to leave are closed", || bench.open() == 1).await;
    });
}

#[test]
fn an_instance_that_speaks_something_else_gets_no_byte_of_the_request() {
    run(async {
        // One answers the preface as HTTP/1.1, the other one closes.
        let [one, other] = [Instance::always(OK).await, Instance::closing_at_once().await];
        for instance in [one, other] {
            let bench = Bench::with(&[&instance.address], |config| {
                config.protocol = ProtocolConfig::Http2;
                config.timeouts.connect = Span::millis(300);
            });
            let (sent, trip) = bench.send(post("pay")).await;
            assert!(matches!(sent, Err(SendFault::ConnectFailed)) && !trip.sent, "{sent:?}");
            until("nothing is left open", || bench.open() == 0).await;
        }
    });
}

#[test]
fn a_client_that_leaves_ends_its_stream_and_no_other() {
    run(async {
        let instance = Shared::start(100, |number| if number == 0 { Act::Nothing } else { Act::Later }).await;
        let bench = instance.bench();
        let mut left = Box::pin(bench.send(post("left")));
        tokio::select! {
            _ = &mut left => panic!("no answer can come"),
            () = until("it was read", || instance.seen.count() == 1) => {}
        }
        let staying = async {
            let stays = bench.send(post("stays"));
            let (sent, _) = stays.await;
            read(sent.expect("an answer")).await.0
        };
        let leaving = async {
            until("the other one was read", || instance.seen.count() == 2).await;
            drop(left);
            until("its stream has ended", || instance.seen.under_way.get() == 1).await;
            instance.seen.go_on.notify_one();
        };
        assert_eq!(tokio::join!(staying, leaving).0, 200);
        assert_eq!((instance.seen.connections.get(), bench.in_flight(), bench.pools.idle()), (1, 0, 1));
    });
}

#[test]
fn a_connection_on_which_nobody_is_answered_gets_nothing_new() {
    run(async {
        let instance = Shared::start(100, |number| if number == 1 { Act::Nothing } else { Act::Ok }).await;
        let bench = instance.bench_with(|config| config.timeouts.first_byte = Some(Span::millis(50)));
        bench.get().await;
        let (sent, _) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::Timeout)));
        assert!(!bench.get().await.2.reused);
        assert_eq!(instance.seen.connections.get(), 2);
        until("the silent one is closed", || bench.open() == 1).await;
    });
}

#[test]
fn shared_connections_end_with_their_time_and_with_their_instance() {
    run(async {
        let instance = Shared::start(100, |_| Act::Ok).await;
        let bench = instance.bench_with(|config| config.pool.idle = Span::millis(20));
        bench.get().await;
        until("idle", || bench.open() == 0 && bench.pools.idle() == 0).await;
        let aged = instance.bench_with(|config| config.pool.age = Span::millis(20));
        aged.get().await;
        until("age", || aged.open() == 0).await;
        let gone = instance.bench();
        gone.get().await;
        let other = Shared::start(100, |_| Act::Ok).await;
        let found = |address: &str| crate::endpoints::Found {
            address: crate::endpoint::Address::Tcp(address.parse().expect("address")),
            host: None,
            weight: 0,
            priority: 0,
        };
        gone.service.instances().learn(Ok(vec![found(&other.address)]));
        until("its connection closes", || gone.open() == 0).await;
        assert_eq!(gone.get().await.0, 200);
        assert_eq!(other.seen.connections.get(), 1);
        until("all ends were seen", || instance.seen.closed.get() == 3).await;
    });
}

#[test]
fn a_stream_under_way_at_an_instance_that_is_gone_ends_in_peace() {
    run(async {
        let instance = Shared::start(100, |_| Act::Later).await;
        let bench = instance.bench();
        let mut late = Box::pin(bench.send(post("late")));
        tokio::select! {
            _ = &mut late => panic!("nobody has let it"),
            () = until("it was read", || instance.seen.count() == 1) => {}
        }
        bench.service.endpoints().endpoints()[0].leave();
        until("the pool has let go of it", || bench.pools.shared() == 0).await;
        instance.seen.go_on.notify_one();
        assert_eq!(read(late.await.0.expect("an answer")).await.1, "ok");
        until("its connection closes", || bench.open() == 0).await;
    });
}

#[test]
fn an_upgrade_is_not_asked_for_over_http_2() {
    run(async {
        let instance = Shared::start(100, |_| Act::Ok).await;
        let bench = instance.bench();
        let mut asked = request(Method::GET, Body::Empty);
        asked.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
        asked.headers_mut().insert("upgrade", http::HeaderValue::from_static("websocket"));
        assert_eq!(read(bench.send(asked).await.0.expect("an answer")).await.0, 200);
        let requests = instance.seen.requests.borrow();
        assert!(!requests[0].0.headers().contains_key("upgrade") && !requests[0].0.headers().contains_key("connection"));
    });
}

#[test]
fn answers_that_nobody_reads_stop_no_other_on_their_connection() {
    const UNREAD: usize = 50;
    run(async {
        let instance = Shared::start(1000, |_| Act::Much).await;
        let bench = instance.bench();
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            unread.push(bench.send(request(Method::GET, Body::Empty)).await.0.expect("a head"));
        }
        let (status, text, _) = bench.get().await;
        assert_eq!((status, text.len(), instance.seen.connections.get()), (200, MUCH, 1));
        assert_eq!(read(unread.swap_remove(0)).await.1.len(), MUCH);
    });
}

#[test]
fn an_upload_that_outlives_its_answer_is_ended_and_nothing_else_is() {
    // The client goes on for ever, or it says nothing more; the instance takes none of it.
    for floods in [true, false] {
        run(async {
            let instance = Shared::start(100, |number| if number == 0 { Act::Early } else { Act::Later }).await;
            let bench = instance.bench_with(|config| config.pool.streams_max = 2);
            let (feed, body) = fed();
            let client = tokio::task::spawn_local(async move {
                let piece = Bytes::from(vec![0; 1 << 20]);
                while floods && feed.send(Ok(Frame::data(piece.clone()))).await.is_ok() {}
                feed.closed().await;
            });
            let (sent, _) = bench.send(request(Method::POST, body)).await;
            let (status, text, _) = read(sent.expect("an answer")).await;
            assert_eq!((status, text.as_str()), (413, "no"));
            // While it goes on it has its place among the streams.
            let one = || async { read(bench.send(post("pay")).await.0.expect("an answer")).await.0 };
            let go_on = async {
                until("both were read", || instance.seen.count() == 3).await;
                assert_eq!(instance.seen.connections.get(), 2, "its stream is not free");
                client.await.expect("the client's body is let go");
                until("the instance hears of it", || instance.seen.under_way.get() == 2).await;
                (0..2).for_each(|_| instance.seen.go_on.notify_one());
                until("they are answered", || {
                    bench.in_flight() == 0 || {
                        instance.seen.go_on.notify_one();
                        false
                    }
                })
                .await;
            };
            assert_eq!(tokio::join!(one(), one(), go_on), (200, 200, ()));
            assert_eq!(bench.open(), 2, "no connection was given up for it");
        });
    }
}

#[test]
fn a_client_that_leaves_an_answer_ends_its_upload_too() {
    run(async {
        let instance = Shared::start(100, |_| Act::Early).await;
        let bench = instance.bench();
        let (feed, body) = fed();
        let (sent, _) = bench.send(request(Method::POST, body)).await;
        drop(sent.expect("an answer"));
        feed.closed().await;
        until("the instance hears of it", || instance.seen.under_way.get() == 0).await;
        assert_eq!((bench.in_flight(), bench.pools.idle()), (0, 1));
    });
}

#[test]
fn an_answer_that_is_reset_before_its_end_is_not_taken_for_a_whole_one() {
    run(async {
        let instance = Shared::start(100, |_| Act::Half).await;
        let bench = instance.bench();
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        let mut body = sent.expect("a head").into_body();
        let first = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
        assert_eq!(first, "half");
        instance.seen.go_on.notify_one();
        assert!(matches!(body.frame().await, Some(Err(_))));
        assert_eq!((bench.in_flight(), bench.pools.idle()), (0, 1));
    });
}

/// Sends with a deadline.
async fn send_by(bench: &Bench, within: Duration) -> Result<Response<Body>, SendFault> {
    let errand = Errand { deadline: Some(std::time::Instant::now() + within), ..Errand::default() };
    send(&bench.pools, &bench.service, post("soon"), errand, &mut Trip::default()).await
}

#[test]
fn at_the_ceiling_every_stream_that_comes_free_is_used_at_once() {
    run(async {
        let instance = Shared::start(100, |number| if number < 2 { Act::Ok } else { Act::Later }).await;
        let bench = instance.bench_with(|config| {
            config.pool.connections_max = 1;
            config.pool.streams_max = 2;
        });
        let unread = [bench.send(post("pay")).await.0.expect("an answer"), bench.send(post("pay")).await.0.expect("an answer")];
        let one = || async { read(bench.send(post("pay")).await.0.expect("a stream in time")).await.0 };
        let go_on = async {
            until("one waits, and one for what that one finds", || bench.in_flight() == 4).await;
            // Both at once: there is only one to hand the first to.
            drop(unread);
            until("both are used again", || instance.seen.count() == 4).await;
            instance.seen.go_on.notify_waiters();
        };
        assert_eq!(tokio::join!(one(), one(), go_on), (200, 200, ()));
        assert_eq!((instance.seen.connections.get(), instance.seen.most.get()), (1, 2));
    });
}

#[test]
fn a_request_that_finds_no_place_in_its_time_takes_none_from_those_that_have_more() {
    run(async {
        let instance = Shared::start(100, |number| if number < 2 { Act::Later } else { Act::Ok }).await;
        let bench = instance.bench_with(|config| {
            config.pool.connections_max = 1;
            config.pool.streams_max = 2;
        });
        let first = || async { read(bench.send(post("first")).await.0.expect("an answer")).await.0 };
        let hasty = async {
            until("the streams are taken", || instance.seen.count() == 2).await;
            let sent = send_by(&bench, Duration::from_millis(50)).await;
            assert!(matches!(sent, Err(SendFault::Overloaded)), "{sent:?}");
            instance.seen.go_on.notify_waiters();
        };
        let patient = async {
            until("the hasty one waits", || bench.in_flight() == 3).await;
            read(bench.send(post("patient")).await.0.expect("a stream in time")).await.0
        };
        assert_eq!(tokio::join!(first(), first(), hasty, patient), (200, 200, (), 200));
        assert_eq!(instance.seen.connections.get(), 1);
    });
}

#[test]
fn a_stream_that_a_client_leaves_goes_to_the_one_that_waits() {
    run(async {
        let instance = Shared::start(100, |number| if number == 0 { Act::Nothing } else { Act::Ok }).await;
        let bench = instance.bench_with(|config| {
            config.pool.connections_max = 1;
            config.pool.streams_max = 1;
        });
        let mut left = Box::pin(bench.send(post("left")));
        tokio::select! {
            _ = &mut left => panic!("no answer can come"),
            () = until("it was read", || instance.seen.count() == 1) => {}
        }
        let waiting = async { read(bench.send(post("waits")).await.0.expect("a stream")).await.0 };
        let leaving = async {
            until("the other one waits", || bench.in_flight() == 2 && bench.service.ceiling().waiting() == 1).await;
            drop(left);
        };
        assert_eq!(tokio::join!(waiting, leaving).0, 200);
        assert_eq!((instance.seen.connections.get(), bench.in_flight()), (1, 0), "no connection was closed to make a place");
    });
}

#[test]
fn a_worker_whose_connection_is_never_at_rest_makes_way_for_another_one() {
    run(async {
        let instance = Shared::start(100, |number| if number == 0 { Act::Later } else { Act::Ok }).await;
        let bench = instance.bench_with(|config| config.pool.connections_max = 1);
        let other = Bench { pools: Pools::new(), service: Arc::clone(&bench.service) };
        let busy = async { read(bench.send(post("long")).await.0.expect("an answer")).await.0 };
        let starved = async {
            until("the one place is taken", || instance.seen.count() == 1).await;
            loop {
                match other.send(post("pay")).await.0 {
                    Ok(answer) => break read(answer).await.0,
                    Err(fault) => assert!(matches!(fault, SendFault::Overloaded), "{fault}"),
                }
            }
        };
        let go_on = async {
            until("the one in use takes nothing new", || instance.seen.count() == 1 && bench.pools.shared() == 0).await;
            instance.seen.go_on.notify_one();
        };
        assert_eq!(tokio::join!(busy, starved, go_on), (200, 200, ()));
        assert_eq!((instance.seen.connections.get(), bench.pools.shared(), other.pools.shared()), (2, 0, 1));
    });
}

#[test]
fn neither_a_client_in_haste_nor_one_that_stalls_casts_doubt_on_a_connection() {
    run(async {
        let instance = Shared::start(100, |number| if matches!(number, 1 | 2) { Act::Nothing } else { Act::Ok }).await;
        let bench = instance.bench_with(|config| config.timeouts.upload_idle = Span::millis(50));
        bench.get().await;
        let sent = send_by(&bench, Duration::from_millis(50)).await;
        assert!(matches!(sent, Err(SendFault::Deadline)), "{sent:?}");
        let (feed, body) = fed();
        feed.send(data("half")).await.expect("room");
        let (sent, _) = bench.send(request(Method::POST, body)).await;
        assert!(matches!(sent, Err(SendFault::ClientStalled)), "{sent:?}");
        assert!(bench.get().await.2.reused);
        assert_eq!(instance.seen.connections.get(), 1);
    });
}
