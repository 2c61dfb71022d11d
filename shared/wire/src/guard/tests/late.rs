//! Peers that are too slow, each with one that is just fast enough. The clock is paused and moves when everybody waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, advance, timeout};

use super::{GOODBYE, ROOM, Seen, run, serve_h1};
use crate::guard::Guard;
use crate::guard::fault::GuardFault;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;

type SeenByCorridor = std::rc::Rc<std::cell::RefCell<Vec<Seen>>>;

fn connect() -> (DuplexStream, Arc<GuardLine>, SeenByCorridor) {
    let (client, server) = tokio::io::duplex(ROOM);
    let line = Arc::new(GuardLine::default());
    let seen = SeenByCorridor::default();
    tokio::task::spawn_local(serve_h1(server, Some(GuardLimits::default()), Arc::clone(&line), std::rc::Rc::clone(&seen)));
    (client, line, seen)
}

async fn read_all(client: &mut DuplexStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("text");
    answer
}

/// Sends `bytes` one by one, `pause` apart, and stops when nobody takes them.
async fn dribble(client: &mut DuplexStream, bytes: &str, pause: Duration) {
    for byte in bytes.bytes() {
        let _ = client.write_all(&[byte]).await;
        tokio::task::yield_now().await;
        advance(pause).await;
    }
}

#[test]
fn a_head_that_dribbles_is_refused_with_408() {
    run(async {
        let (mut client, line, seen) = connect();
        let began = Instant::now();
        dribble(&mut client, &GOODBYE[..24], Duration::from_millis(500)).await;
        let answer = read_all(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.ends_with("head-timeout"), "{answer}");
        assert_eq!(line.refusal(), Some(GuardFault::HeadTimeout));
        assert_eq!(seen.borrow().len(), 1);
        assert!(began.elapsed() < Duration::from_secs(15));
    });
}

#[test]
fn a_head_that_comes_slowly_but_in_time_is_served_also_after_an_hour() {
    run(async {
        let (mut client, line, seen) = connect();
        for _ in 0..2 {
            dribble(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Duration::from_millis(300)).await;
            advance(Duration::from_secs(3600)).await;
        }
        client.write_all(GOODBYE.as_bytes()).await.expect("room");
        let answer = read_all(&mut client).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
        assert_eq!((line.refusal(), seen.borrow().len()), (None, 3));
    });
}

#[test]
fn half_a_head_and_then_the_end_is_recorded_and_not_served() {
    run(async {
        let (mut client, line, seen) = connect();
        client.write_all(b"GET / HTTP/1.1\r\nHo").await.expect("room");
        client.shutdown().await.expect("open");
        assert_eq!(read_all(&mut client).await, "");
        assert_eq!((line.refusal(), seen.borrow().len()), (Some(GuardFault::HeadTruncated), 0));
    });
}

async fn large(_: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, std::convert::Infallible> {
    Ok(Response::new(Full::new(vec![b'x'; 64 * 1024].into())))
}

/// A server that writes 64 KiB through a window of 1 KiB.
fn connect_to_large() -> (DuplexStream, Arc<GuardLine>, tokio::task::JoinHandle<bool>) {
    let (client, server) = tokio::io::duplex(1024);
    let line = Arc::new(GuardLine::default());
    let guard = Guard::h1(server, GuardLimits::default(), Arc::clone(&line));
    let served =
        async { hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(guard), service_fn(large)).await.is_ok() };
    (client, line, tokio::task::spawn_local(served))
}

#[test]
fn a_peer_that_takes_nothing_is_dropped() {
    run(async {
        let (mut client, line, served) = connect_to_large();
        client.write_all(GOODBYE.as_bytes()).await.expect("room");
        let began = Instant::now();
        assert!(!served.await.expect("no panic"), "hyper was told of an error");
        assert_eq!(line.refusal(), Some(GuardFault::Stalled));
        let stall = GuardLimits::default().write_stall_max;
        assert!((stall..stall * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(line.bytes_out(), 1024);
    });
}

/// Who copies from one side to the other flushes while a write waits, and TCP says each time that it is flushed.
#[test]
fn a_flush_in_between_is_no_progress() {
    run(async {
        let (_client, server) = tokio::io::duplex(1024);
        let line = Arc::new(GuardLine::default());
        let mut guard = Guard::h1(server, GuardLimits::default(), Arc::clone(&line));
        guard.write_all(&[b'x'; 1024]).await.expect("room");
        let mut cx = Context::from_waker(Waker::noop());
        let mut seconds = 0;
        while Pin::new(&mut guard).poll_write(&mut cx, b"x").is_pending() {
            assert!(Pin::new(&mut guard).poll_flush(&mut cx).is_ready());
            advance(Duration::from_secs(1)).await;
            seconds += 1;
            assert!(seconds < 60);
        }
        assert_eq!(line.refusal(), Some(GuardFault::Stalled));
    });
}

#[test]
fn who_closes_on_half_a_head_lingers_no_longer_than_otherwise() {
    run(async {
        let (mut client, server) = tokio::io::duplex(1024);
        let limits = GuardLimits::default();
        let mut guard = Guard::h1(server, limits, Arc::default());
        client.write_all(b"GET / HT").await.expect("room");
        assert!(timeout(Duration::from_millis(1), guard.read_u8()).await.is_err());
        let began = Instant::now();
        guard.shutdown().await.expect("open");
        assert!((limits.linger_time_max..limits.linger_time_max * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    });
}

#[test]
fn a_peer_that_takes_little_but_always_something_gets_all() {
    run(async {
        let (mut client, line, served) = connect_to_large();
        client.write_all(GOODBYE.as_bytes()).await.expect("room");
        let mut total = 0;
        let mut little = [0; 1024];
        loop {
            advance(Duration::from_secs(20)).await;
            match client.read(&mut little).await.expect("open") {
                0 => break,
                read => total += read,
            }
        }
        assert!(served.await.expect("no panic"));
        assert!(total > 64 * 1024, "{total}");
        assert_eq!((line.refusal(), line.bytes_out()), (None, total as u64));
    });
}

#[test]
fn a_refused_client_that_never_leaves_is_left() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let limits = GuardLimits::default();
        let served = tokio::task::spawn_local(serve_h1(server, Some(limits), Arc::default(), SeenByCorridor::default()));
        client.write_all(b"GET / HTTP/1.1\n").await.expect("room");
        let began = Instant::now();
        assert!(timeout(limits.linger_time_max * 2, served).await.is_ok());
        assert!(began.elapsed() >= limits.linger_time_max, "the answer had its time to arrive");
    });
}
