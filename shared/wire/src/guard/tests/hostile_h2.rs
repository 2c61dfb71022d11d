//! Hostile HTTP/2: floods of frames that cost the client nothing, each with a lawful twin, and with what hyper alone makes of the same
//! bytes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, advance, timeout};

use super::{ROOM, Seen, corridor, run};
use crate::guard::Guard;
use crate::guard::fault::GuardFault::{self, *};
use crate::guard::limits::{Allowance, GuardLimits, H2Limits};
use crate::guard::line::GuardLine;

/// Tasks of hyper stay on the thread of the test, as they do on a worker.
#[derive(Clone)]
struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(work);
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:method GET`, `:scheme http`, `:path /`, `:authority a`, in HPACK.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
/// The last request of every test: the path is `/end`.
const END: &[u8] = &[0x82, 0x86, 0x04, 0x04, b'/', b'e', b'n', b'd', 0x41, 0x01, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 0x01, b'a'];

const HEADER_BYTES: usize = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(1, END_STREAM | END_HEADERS, stream, GET)
}

fn opening() -> Vec<u8> {
    [PREFACE, &frame(4, 0, 0, b"")].concat()
}

/// A request without an end, then `frames` frames of its header block.
fn continued(frames: usize) -> Vec<u8> {
    let mut bytes = frame(1, END_STREAM, 1, GET);
    for number in 1..=frames {
        // A field of its own in each: `x: y`, never indexed.
        bytes.extend(frame(9, if number == frames { END_HEADERS } else { 0 }, 1, &[0x10, 1, b'x', 1, b'y']));
    }
    bytes
}

fn posted(frames: usize) -> Vec<u8> {
    let mut bytes = frame(1, END_HEADERS, 1, POST);
    bytes.extend(frame(0, 0, 1, b"").repeat(frames));
    bytes.extend(frame(0, END_STREAM, 1, b""));
    bytes
}

fn reset(streams: u32) -> Vec<u8> {
    (0..streams).flat_map(|number| [get(number * 2 + 1), frame(3, 0, number * 2 + 1, &8_u32.to_be_bytes())].concat()).collect()
}

struct Outcome {
    seen: Vec<Seen>,
    refusal: Option<GuardFault>,
    heads: u64,
}

/// Sends `bytes`, then a last request, and waits until it is answered or the connection ends.
async fn talk(bytes: &[u8], limits: Option<GuardLimits>) -> Outcome {
    let (mut client, server) = tokio::io::duplex(ROOM);
    let line = Arc::new(GuardLine::default());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let server = serve(server, limits, Arc::clone(&line), Rc::clone(&seen));
    let mut all = bytes.to_vec();
    // Far above every other stream, so that it is new.
    all.extend(frame(1, END_STREAM | END_HEADERS, 100_001, END));
    client.write_all(&all).await.expect("there is room");
    // Nobody answers SETTINGS or reads: the server has said all it will say when nothing moves any more.
    let _ = timeout(Duration::from_secs(5), server).await;
    drop(client);
    let seen = seen.borrow().clone();
    Outcome { seen, refusal: line.refusal(), heads: line.heads() }
}

async fn serve(io: DuplexStream, limits: Option<GuardLimits>, line: Arc<GuardLine>, seen: Rc<RefCell<Vec<Seen>>>) {
    let for_corridor = Arc::clone(&line);
    let service = service_fn(move |request| corridor(request, Arc::clone(&for_corridor), Rc::clone(&seen)));
    let builder = hyper::server::conn::http2::Builder::new(Here);
    let _ = match limits {
        Some(limits) => builder.serve_connection(TokioIo::new(Guard::h2(io, limits, line)), service).await,
        None => builder.serve_connection(TokioIo::new(io), service).await,
    };
}

/// Whether the last request was served.
fn went_on(outcome: &Outcome) -> bool {
    outcome.seen.iter().any(|seen| seen.uri.path() == "/end")
}

/// Name, hostile bytes, lawful twin, the guard's verdict, whether hyper alone serves the last request all the same.
type Case = (&'static str, Vec<u8>, Vec<u8>, GuardFault, bool);

fn cases() -> Vec<Case> {
    let ping = frame(6, 0, 0, b"12345678");
    let pong = frame(6, 1, 0, b"12345678");
    let settings = frame(4, 0, 0, b"");
    let priority = frame(2, 0, 1, &[0, 0, 0, 0, 16]);
    let window = frame(8, 0, 0, &1_u32.to_be_bytes());
    let grease = frame(0xfa, 0, 0, b"");
    vec![
        ("PING flood", ping.repeat(201), ping.repeat(200), H2FloodPing, true),
        ("PING answers nobody asked for", pong.repeat(201), pong.repeat(200), H2FloodPing, true),
        ("SETTINGS flood", settings.repeat(40), settings.repeat(31), H2FloodSettings, true),
        ("PRIORITY flood", priority.repeat(201), priority.repeat(200), H2FloodPriority, true),
        ("WINDOW_UPDATE flood", window.repeat(1001), window.repeat(1000), H2FloodWindowUpdate, true),
        ("flood of unknown frames", grease.repeat(101), grease.repeat(100), H2FloodUnknown, true),
        ("empty DATA flood", posted(52), posted(51), H2FloodEmptyData, true),
        ("CONTINUATION flood", continued(6), continued(5), H2FloodContinuation, true),
    ]
}

#[test]
fn floods_end_the_connection() {
    run(async {
        for (name, hostile, _, fault, _) in cases() {
            let outcome = talk(&[opening(), hostile].concat(), Some(GuardLimits::default())).await;
            assert_eq!(outcome.refusal, Some(fault), "{name}");
            assert!(!went_on(&outcome), "{name}");
        }
    });
}

#[test]
fn lawful_twins_pass() {
    run(async {
        for (name, _, twin, ..) in cases() {
            let outcome = talk(&[opening(), twin].concat(), Some(GuardLimits::default())).await;
            assert_eq!(outcome.refusal, None, "{name}");
            assert!(went_on(&outcome), "{name}");
            assert_eq!(outcome.heads, outcome.seen.len() as u64, "{name}: every head was served");
        }
    });
}

/// Why the guard is needed. When this fails, hyper has changed: mend the table and the page in `guard/mod.rs`.
#[test]
fn what_hyper_alone_does() {
    run(async {
        for (name, hostile, _, _, passes) in cases() {
            let outcome = talk(&[opening(), hostile].concat(), None).await;
            assert_eq!(went_on(&outcome), passes, "{name}");
        }
        let endless = frame(6, 0, 0, b"12345678").repeat(20_000);
        assert!(went_on(&talk(&[opening(), endless].concat(), None).await), "20 000 PINGs are nothing to hyper");
        // What h2 bounds by itself, for the life of a connection or in a row; the guard's own ceilings stand behind these.
        for (name, last_good, first_bad) in
            [("empty DATA", posted(100), posted(101)), ("resets", reset(20), reset(21)), ("CONTINUATION", continued(6), continued(7))]
        {
            assert!(went_on(&talk(&[opening(), last_good].concat(), None).await), "{name}");
            assert!(!went_on(&talk(&[opening(), first_bad].concat(), None).await), "{name}");
        }
    });
}

#[test]
fn rapid_resets_end_the_connection_by_the_guard_where_hyper_is_told_to_bear_them() {
    run(async {
        let limits = GuardLimits {
            h2: H2Limits { rst_stream: Allowance { burst: 10, per_second: 1, per_request: 0, per_data_sent: 0 }, ..H2Limits::default() },
            ..GuardLimits::default()
        };
        let hostile = talk(&[opening(), reset(11)].concat(), Some(limits)).await;
        assert_eq!((hostile.refusal, went_on(&hostile)), (Some(H2FloodRstStream), false));
        let twin = talk(&[opening(), reset(10)].concat(), Some(limits)).await;
        assert_eq!((twin.refusal, went_on(&twin)), (None, true));
    });
}

#[test]
fn a_wrong_preface_is_refused() {
    run(async {
        let hostile = talk(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Some(GuardLimits::default())).await;
        assert_eq!((hostile.refusal, hostile.seen.len()), (Some(H2PrefaceMalformed), 0));
        let twin = talk(&opening(), Some(GuardLimits::default())).await;
        assert_eq!((twin.refusal, twin.seen.len()), (None, 1));
    });
}

#[test]
fn a_preface_or_a_header_block_that_does_not_come_is_not_waited_for() {
    run(async {
        let silent = Vec::new();
        let half_block = [opening(), frame(1, 0, 1, GET)].concat();
        let half_frame = [opening(), get(1)[..12].to_vec()].concat();
        for (bytes, late) in [(silent, true), (PREFACE[..10].to_vec(), true), (half_block, true), (half_frame, true), (opening(), false)] {
            let (mut client, server) = tokio::io::duplex(ROOM);
            let line = Arc::new(GuardLine::default());
            let served = tokio::task::spawn_local(serve(server, Some(GuardLimits::default()), Arc::clone(&line), Rc::default()));
            client.write_all(&bytes).await.expect("there is room");
            let ended = timeout(Duration::from_secs(60), served).await.is_ok();
            assert_eq!((ended, line.refusal()), (late, late.then_some(HeadTimeout)), "{bytes:?}");
        }
    });
}

/// Each read ends inside the next head, so that one is always open; none is late.
#[test]
fn heads_that_overlap_are_not_late() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = Arc::new(GuardLine::default());
        let served = tokio::task::spawn_local(serve(server, Some(GuardLimits::default()), Arc::clone(&line), Rc::default()));
        let heads: Vec<_> = (0..10).flat_map(|number| get(number * 2 + 1)).collect();
        let len = get(1).len();
        client.write_all(&[opening(), heads[..HEADER_BYTES + 1].to_vec()].concat()).await.expect("there is room");
        for number in 0..8 {
            advance(Duration::from_secs(5)).await;
            tokio::task::yield_now().await;
            let from = number * len + HEADER_BYTES + 1;
            client.write_all(&heads[from..from + len]).await.expect("there is room");
            tokio::task::yield_now().await;
        }
        assert_eq!((line.refusal(), served.is_finished(), line.heads()), (None, false, 9));
    });
}

#[test]
fn time_earns_frames_again() {
    run(async {
        let (mut client, server) = tokio::io::duplex(ROOM);
        let line = Arc::new(GuardLine::default());
        let served = tokio::task::spawn_local(serve(server, Some(GuardLimits::default()), Arc::clone(&line), Rc::default()));
        client.write_all(&opening()).await.expect("there is room");
        for _ in 0..5 {
            client.write_all(&frame(6, 0, 0, b"12345678").repeat(100)).await.expect("there is room");
            advance(Duration::from_secs(15)).await;
        }
        assert_eq!((line.refusal(), served.is_finished()), (None, false));
    });
}

async fn large(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(vec![b'x'; 8 * 1024 * 1024].into())))
}

/// A download earns the WINDOW_UPDATEs that it needs; the same number without it is a flood.
#[test]
fn a_long_download_is_no_flood() {
    run(async {
        let tight = Allowance { burst: 20, per_second: 0, per_request: 4, per_data_sent: 2 };
        let limits = GuardLimits { h2: H2Limits { window_update: tight, ..H2Limits::default() }, ..GuardLimits::default() };
        let (client, server) = tokio::io::duplex(64 * 1024);
        let line = Arc::new(GuardLine::default());
        let guard = Guard::h2(server, limits, Arc::clone(&line));
        tokio::task::spawn_local(async {
            hyper::server::conn::http2::Builder::new(Here).serve_connection(TokioIo::new(guard), service_fn(large)).await
        });
        // Small windows make the client say often that it has taken something.
        let (mut sender, connection) = hyper::client::conn::http2::Builder::new(Here)
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535)
            .handshake(TokioIo::new(client))
            .await
            .expect("an HTTP/2 connection");
        tokio::task::spawn_local(connection);
        let answer = sender.send_request(Request::get("http://a/").body(Empty::<Bytes>::new()).expect("lawful")).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("the whole body").to_bytes();
        assert_eq!((body.len(), line.refusal()), (8 * 1024 * 1024, None));
        // 13 bytes a WINDOW_UPDATE: there were more of them than the burst allows.
        assert!(line.bytes_in() > 13 * 10 * 20, "{}", line.bytes_in());
    });
}

#[test]
fn a_peer_that_takes_nothing_is_dropped() {
    run(async {
        let (mut client, server) = tokio::io::duplex(1024);
        let line = Arc::new(GuardLine::default());
        let served = tokio::task::spawn_local(serve(server, Some(GuardLimits::default()), Arc::clone(&line), Rc::default()));
        let began = Instant::now();
        client.write_all(&opening()).await.expect("taken");
        // The answers to these fill what the client does not read.
        for stream in 0..50 {
            if client.write_all(&get(stream * 2 + 1)).await.is_err() {
                break;
            }
        }
        assert!(timeout(Duration::from_secs(120), served).await.is_ok());
        assert_eq!(line.refusal(), Some(Stalled));
        assert!(began.elapsed() < GuardLimits::default().write_stall_max * 2);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.expect("what was written before");
        assert_eq!(rest.len() as u64, line.bytes_out());
    });
}
