//! Lawful traffic passes as it is: streams, pipelines, expectations, upgrades.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};

use super::{GOODBYE, ROOM, alone, guarded, run, talk};
use crate::guard::Guard;
use crate::guard::fault::GuardFault;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;

const CONVERSATION: &str = "GET /1?a=b HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n\
    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    \r\nPOST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n\
    PUT http://a/4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
    POST /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbye\r\n0\r\n\r\n";

#[test]
fn a_pipeline_is_the_same_however_it_arrives() {
    run(async {
        let direct = alone(CONVERSATION).await;
        assert_eq!(direct.seen.len(), 6);
        let bytes = format!("{CONVERSATION}{GOODBYE}");
        for size in [1, 2, 3, 7, 64, bytes.len()] {
            let parts: Vec<_> = bytes.as_bytes().chunks(size).collect();
            let outcome = talk(&parts, Some(GuardLimits::default())).await;
            assert_eq!(outcome.refusal, None);
            assert_eq!(outcome.seen, direct.seen, "in parts of {size}");
        }
    });
}

#[test]
fn long_bodies_arrive_whole() {
    run(async {
        let data: String = (0..100_000).map(|number| format!("{number:08}")).collect();
        let by_length = format!("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{data}", data.len());
        let chunks: String =
            data.as_bytes().chunks(30_000).map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part))).collect();
        let by_chunks = format!("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        let outcome = guarded(&format!("{by_length}{by_chunks}{by_length}")).await;
        assert_eq!(outcome.refusal, None);
        let lengths: Vec<_> = outcome.seen.iter().map(|seen| seen.body.as_ref().map(|body| body == data.as_bytes())).collect();
        assert_eq!(lengths, [Some(true), Some(true), Some(true), Some(false)], "three bodies and a goodbye without one");
    });
}

#[test]
fn a_long_pipeline_that_is_answered_is_no_deep_one() {
    run(async {
        let outcome = guarded(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100)).await;
        assert_eq!((outcome.refusal, outcome.requests().len()), (None, 101));
    });
}

#[test]
fn bytes_behind_the_last_request_harm_nothing_and_are_recorded() {
    run(async {
        let outcome = guarded(&format!("{GOODBYE}GET /more HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(outcome.requests().len(), 1);
        assert!(outcome.answer.ends_with("fine"), "{outcome:?}");
        assert_eq!(outcome.refusal, Some(GuardFault::DataAfterEnd));
    });
}

/// Answers 101 and echoes, or answers 200 and goes on; `/slow` reads its body and then thinks for a second.
async fn upgrading(mut request: Request<Incoming>, line: Arc<GuardLine>) -> Result<Response<Empty<Bytes>>, std::convert::Infallible> {
    let mut answer = Response::new(Empty::new());
    if request.uri().path() == "/slow" {
        request.body_mut().collect().await.expect("a whole body");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if request.uri().path() == "/tunnel" {
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        answer.headers_mut().insert("upgrade", http::HeaderValue::from_static("echo"));
        answer.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
        line.upgraded();
        tokio::task::spawn_local(async move {
            let io = hyper::upgrade::on(request).await.expect("the answer was 101");
            let mut io = TokioIo::new(io);
            let mut byte = [0];
            while io.read_exact(&mut byte).await.is_ok() {
                io.write_all(&byte).await.expect("the client reads");
            }
        });
    } else {
        line.settled();
    }
    Ok(answer)
}

fn serve_upgrading(server: DuplexStream) -> Arc<GuardLine> {
    let line = Arc::new(GuardLine::default());
    let guard = Guard::h1(server, GuardLimits::default(), Arc::clone(&line));
    let for_corridor = Arc::clone(&line);
    let service = service_fn(move |request| upgrading(request, Arc::clone(&for_corridor)));
    tokio::task::spawn_local(async move {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(guard), service).with_upgrades().await;
    });
    line
}

#[test]
fn behind_a_granted_upgrade_anything_passes() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = serve_upgrading(server);
        // What is no HTTP waits already when the corridor speaks.
        client.write_all(b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n\0\n\rGET").await.expect("room");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n\0\n\rGET") {
            assert!(client.read_buf(&mut answer).await.expect("open") > 0, "{}", String::from_utf8_lossy(&answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        client.write_all(b"\n\n\n").await.expect("room");
        let mut echo = [0; 3];
        client.read_exact(&mut echo).await.expect("open");
        assert_eq!((&echo, line.refusal(), line.heads()), (b"\n\n\n", None, 1));
        client.shutdown().await.expect("open");
        assert_eq!(client.read(&mut echo).await.expect("open"), 0, "the other side ends too");
    });
}

/// The word on an earlier request is none on the upgrade behind it: that is handed on when what is before it is being answered.
#[test]
fn an_upgrade_behind_a_request_in_service_waits_for_its_own_word() {
    let upgrade = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n\0\n\rGET";
    run(async {
        for before in [
            "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /slow HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
            "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            for whole in [true, false] {
                let (mut client, server) = tokio::io::duplex(ROOM);
                let line = serve_upgrading(server);
                let bytes = format!("{before}{upgrade}");
                for part in bytes.as_bytes().chunks(if whole { bytes.len() } else { before.len() - 1 }) {
                    client.write_all(part).await.expect("room");
                    tokio::task::yield_now().await;
                }
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\n\0\n\rGET") {
                    assert!(client.read_buf(&mut answer).await.expect("open") > 0, "{}", String::from_utf8_lossy(&answer));
                }
                assert_eq!((line.refusal(), line.heads()), (None, 2));
            }
        }
    });
}

#[test]
fn behind_a_refused_upgrade_http_goes_on() {
    run(async {
        for behind in [GOODBYE, "GET / HTTP/1.1\nHost: a\n\n"] {
            let (mut client, server) = tokio::io::duplex(ROOM);
            let line = serve_upgrading(server);
            let bytes =
                format!("POST /no HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nok{behind}");
            client.write_all(bytes.as_bytes()).await.expect("room");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("open");
            assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "the second may be the synthetic one: {answer}");
            assert_eq!(line.refusal(), (behind != GOODBYE).then_some(GuardFault::BareLf));
            assert_eq!(line.heads(), if behind == GOODBYE { 2 } else { 1 });
        }
    });
}

#[test]
fn an_expectation_is_answered_before_the_body_comes() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = Arc::new(GuardLine::default());
        let seen = std::rc::Rc::default();
        tokio::task::spawn_local(super::serve_h1(server, Some(GuardLimits::default()), line, std::rc::Rc::clone(&seen)));
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await.expect("room");
        let mut interim = [0; 25];
        client.read_exact(&mut interim).await.expect("open");
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(format!("ok{GOODBYE}").as_bytes()).await.expect("room");
        client.read_to_end(&mut Vec::new()).await.expect("open");
        assert_eq!(seen.borrow()[0].body.as_deref(), Some(&b"ok"[..]));
    });
}

/// One read of the guard alone, with a buffer of `space` bytes.
fn read(guard: &mut Guard<DuplexStream>, space: usize) -> Poll<Vec<u8>> {
    let mut bytes = vec![0; space];
    let mut out = ReadBuf::new(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(guard).poll_read(&mut cx, &mut out).map(|result| result.map(|()| out.filled().to_vec()).expect("no error"))
}

#[test]
fn one_read_brings_one_message_and_small_buffers_are_no_hindrance() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let mut guard = Guard::h1(server, GuardLimits::default(), Arc::default());
        client.write_all(CONVERSATION.as_bytes()).await.expect("room");
        let Poll::Ready(first) = read(&mut guard, 8192) else { panic!("a head is there") };
        assert!(first.ends_with(b"\r\n\r\n") && first.starts_with(b"GET /1"), "{}", String::from_utf8_lossy(&first));
        let mut rest = Vec::new();
        while let Poll::Ready(bytes) = read(&mut guard, 3) {
            assert!(bytes.len() <= 3 && !bytes.is_empty());
            rest.extend(bytes);
        }
        // The empty line before the third request is not handed on.
        assert_eq!(String::from_utf8([first, rest].concat()).expect("text"), CONVERSATION.replace("hello\r\nPOST", "helloPOST"));
    });
}

#[test]
fn what_waits_behind_an_upgrade_is_bounded_and_a_tunnel_loses_nothing_when_one_side_closes() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = Arc::new(GuardLine::default());
        let mut guard = Guard::h1(server, GuardLimits::default(), Arc::clone(&line));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await.expect("room");
        assert!(read(&mut guard, 8192).is_ready());
        let behind = vec![b'x'; 1024 * 1024];
        client.write_all(&behind).await.expect("room");
        client.shutdown().await.expect("open");
        assert!(read(&mut guard, 8192).is_pending());
        assert!(line.bytes_in() < 16 * 1024, "{}", line.bytes_in());
        line.upgraded();
        assert_eq!(read(&mut guard, 10), Poll::Ready(vec![b'x'; 10]));
        guard.shutdown().await.expect("open");
        let mut rest = Vec::new();
        guard.read_to_end(&mut rest).await.expect("all that was sent");
        assert_eq!(rest.len(), behind.len() - 10);
    });
}

#[test]
fn a_reader_that_never_answers_gets_no_endless_pipeline() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = Arc::new(GuardLine::default());
        let mut guard = Guard::h1(server, GuardLimits::default(), Arc::clone(&line));
        client.write_all("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40).as_bytes()).await.expect("room");
        let mut heads = 0;
        while let Poll::Ready(head) = read(&mut guard, 8192) {
            if head.starts_with(b"GWREFUSED ") {
                break;
            }
            heads += 1;
            if heads == 10 {
                guard.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("room");
            }
        }
        assert_eq!((heads, line.heads(), line.refusal()), (26, 26, Some(GuardFault::PipelineTooDeep)));
    });
}

#[test]
fn nothing_of_a_head_is_printed() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let mut guard = Guard::h1(server, GuardLimits::default(), Arc::default());
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: hunter2").await.expect("room");
        assert!(read(&mut guard, 8192).is_pending());
        assert!(!format!("{guard:?}").contains("hunter2"));
        assert!(!format!("{guard:?}").contains(&format!("{:?}", b"hunter2").replace(['[', ']'], "")));
    });
}
