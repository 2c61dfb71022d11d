//! Bodies that stream, trailers, early answers, upgrades, Unix sockets.

use http::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::instance::{Act, Instance, OK, read_request};
use super::*;

#[test]
fn a_body_of_unknown_length_goes_out_in_chunks_with_get_too() {
    for method in [Method::GET, Method::POST, Method::DELETE] {
        run(async {
            let instance = Instance::always(OK).await;
            let bench = Bench::at(&[&instance.address]);
            let (feed, body) = fed();
            let feeding = async move {
                feed.send(data("one")).await.expect("room");
                feed.send(data("two")).await.expect("room");
            };
            let ((sent, _), ()) = tokio::join!(bench.send(request(method, body)), feeding);
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            let seen = instance.ledger.last();
            assert!(seen.contains("transfer-encoding: chunked\r\n") && !seen.contains("content-length"), "{seen}");
            assert!(seen.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{seen}");
        });
    }
}

#[test]
fn an_empty_post_says_so() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::at(&[&instance.address]);
        bench.send(request(Method::POST, Body::Empty)).await.0.expect("an answer");
        assert!(instance.ledger.last().contains("content-length: 0\r\n"));
        bench.get().await;
        assert!(!instance.ledger.last().contains("content-length"));
    });
}

#[test]
fn trailers_of_a_request_pass_when_they_are_announced() {
    for announced in [true, false] {
        run(async {
            let instance = Instance::always(OK).await;
            let bench = Bench::at(&[&instance.address]);
            let (feed, body) = fed();
            let mut asked = request(Method::POST, body);
            if announced {
                asked.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            }
            let feeding = async move {
                let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))]);
                feed.send(data("one")).await.expect("room");
                feed.send(Ok(Frame::trailers(trailers))).await.expect("room");
            };
            let ((sent, _), ()) = tokio::join!(bench.send(asked), feeding);
            assert_eq!(read(sent.expect("an answer")).await.0, 200);
            let seen = instance.ledger.last();
            assert_eq!(seen.ends_with("0\r\nx-sum: 7\r\n\r\n"), announced, "{seen}");
        });
    }
}

#[test]
fn trailers_of_an_answer_pass_and_its_connection_is_kept() {
    run(async {
        let words = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\none\r\n0\r\nx-sum: 7\r\n\r\n";
        let instance = Instance::always(Act::Say(words)).await;
        let bench = Bench::at(&[&instance.address]);
        for _ in 0..3 {
            let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
            let (_, text, trailers) = read(sent.expect("an answer")).await;
            assert_eq!((text.as_str(), trailers.expect("trailers").get("x-sum").expect("sum").to_str().expect("text")), ("one", "7"));
        }
        assert_eq!((instance.ledger.connections.get(), bench.in_flight()), (1, 0));
    });
}

#[test]
fn an_answer_that_begins_before_the_request_ends_streams_both_ways() {
    run(async {
        // Reads the head alone, answers, and sends back what comes: head first, then two chunks, each after it was sent.
        let instance = Instance::accepting(|mut socket, _| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.expect("head"));
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.expect("write");
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = socket.read(&mut bytes).await {
                socket.write_all(&bytes[..read]).await.expect("write");
            }
        })
        .await;
        let bench = Bench::at(&[&instance.address]);
        let (feed, body) = fed();
        let (sent, _) = bench.send(request(Method::POST, body)).await;
        let mut answer = sent.expect("the head comes before any byte of the body was sent").into_body();
        for words in ["first", "second"] {
            feed.send(data(words)).await.expect("room");
            let frame = answer.frame().await.expect("a frame").expect("sound");
            assert_eq!(frame.into_data().expect("data"), words);
        }
        drop(feed);
        assert!(answer.frame().await.is_none());
        assert_eq!(bench.in_flight(), 0);
        until("request and answer have both ended: the connection is kept", || bench.pools.idle() == 1).await;
    });
}

#[test]
fn a_whole_early_answer_is_passed_on_and_the_upload_is_let_go() {
    run(async {
        let instance = Instance::accepting(|mut socket, ledger| async move {
            socket.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await.expect("write");
            let mut bytes = [0; 1024];
            // Never reads more than this: the client's upload is stuck.
            let _ = socket.read(&mut bytes).await;
            ledger.requests.borrow_mut().push(String::new());
            std::future::pending::<()>().await;
        })
        .await;
        let bench = Bench::at(&[&instance.address]);
        let (feed, body) = fed();
        let (sent, _) = bench.send(request(Method::POST, body)).await;
        let (status, text, _) = read(sent.expect("an answer")).await;
        assert_eq!((status, text.as_str(), bench.in_flight()), (413, "big", 0));
        tokio::time::timeout(LONG, feed.closed()).await.expect("the client's body is let go");
        until("the connection is broken off", || bench.open() == 0).await;
    });
}

#[test]
fn an_upload_that_waits_for_its_client_does_not_time_the_instance_out() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.first_byte = Some(Span::millis(60)));
        let (feed, body) = fed();
        let slowly = async move {
            for words in ["a", "b", "c"] {
                // The client's pace is what is tested here; nothing is waited for.
                tokio::time::sleep(Duration::from_millis(100)).await;
                feed.send(data(words)).await.expect("room");
            }
        };
        let ((sent, _), ()) = tokio::join!(bench.send(request(Method::POST, body)), slowly);
        assert_eq!(read(sent.expect("an answer")).await.0, 200);
    });
}

#[test]
fn an_answer_that_falls_silent_is_cut() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.idle = Span::millis(50));
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        let mut answer = sent.expect("an answer").into_body();
        assert_eq!(answer.frame().await.expect("frame").expect("sound").into_data().expect("data"), "half");
        let fault = answer.frame().await.expect("an error").expect_err("silence");
        assert!(fault.to_string().contains("fell silent"), "{fault}");
        assert_eq!(bench.in_flight(), 0);
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
    });
}

#[test]
fn an_answer_that_is_cut_off_ends_in_an_error() {
    run(async {
        let instance = Instance::always(Act::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")).await;
        let bench = Bench::at(&[&instance.address]);
        let (sent, trip) = bench.send(request(Method::GET, Body::Empty)).await;
        assert!(sent.expect("an answer").into_body().collect().await.is_err());
        assert_eq!((trip.attempts, instance.ledger.count(), bench.in_flight(), bench.pools.idle()), (1, 1, 0, 0));
    });
}

#[test]
fn an_upgraded_connection_is_handed_over_counted_and_not_kept() {
    run(async {
        let words = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello ";
        let instance = Instance::always(Act::SayAndEcho(words)).await;
        let bench = Bench::at(&[&instance.address]);
        let mut asked = request(Method::GET, Body::Empty);
        asked.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
        asked.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
        let (sent, _) = bench.send(asked).await;
        let mut response = sent.expect("an answer");
        assert_eq!(response.status().as_u16(), 101);
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("upgraded"));
        drop(response);
        stream.write_all(b"world").await.expect("write");
        let mut back = [0; 11];
        stream.read_exact(&mut back).await.expect("read");
        assert_eq!(&back, b"hello world");
        assert_eq!((bench.in_flight(), bench.open(), bench.pools.idle()), (1, 1, 0));
        drop(stream);
        assert_eq!((bench.in_flight(), bench.open()), (0, 0));
        until("the instance sees the end", || instance.ledger.closed.get() == 1).await;
    });
}

#[test]
fn an_upgrade_that_nobody_takes_up_is_not_counted_for_ever() {
    run(async {
        let words = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        let instance = Instance::always(Act::SayAndEcho(words)).await;
        let bench = Bench::at(&[&instance.address]);
        let mut asked = request(Method::GET, Body::Empty);
        asked.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
        asked.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
        let response = bench.send(asked).await.0.expect("an answer");
        drop(response);
        until("everything is given back", || bench.in_flight() == 0 && bench.open() == 0).await;
    });
}

#[test]
fn a_unix_socket_is_an_instance_too() {
    run(async {
        let folder = std::env::temp_dir().join(format!("upstream-{}-{}", std::process::id(), rand::random::<u32>()));
        std::fs::create_dir_all(&folder).expect("folder");
        let path = folder.join("a.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("bind");
        tokio::task::spawn_local(async move {
            let (mut socket, _) = listener.accept().await.expect("accept");
            while read_request(&mut socket).await.is_some() {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("write");
            }
        });
        let bench = Bench::with(&[""; 0], |config| config.discover = DiscoverConfig::Unix { path: path.display().to_string() });
        assert!(!bench.get().await.2.reused);
        let (status, text, trip) = bench.get().await;
        assert_eq!((status, text.as_str(), trip.reused), (200, "ok", true));
        assert_eq!(trip.instance.expect("instance").name(), format!("unix:{}", path.display()));
        std::fs::remove_dir_all(&folder).expect("clean up");
    });
}
