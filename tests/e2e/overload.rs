//! More than there is room for: requests, descriptors, time. What is too much is refused or waits; operators and everybody else are served.

use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::rig::Rig;
use tests::rig::client::{Line, Version, handshake, over};
use tests::rig::process::Process;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BINARIES;

/// A body that fits one TLS record with its head.
const BODY: [u8; 12 * 1024] = [b'x'; 12 * 1024];

fn with_limits(limits: &str) -> Rig {
    Scene::default().security("workers: 2\n", &format!("workers: 2\nlimits: {{ {limits} }}\n")).raise(&BINARIES)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

#[test]
fn beyond_the_ceiling_of_requests_the_answer_is_immediate_and_operators_are_answered() {
    for tier in ["security", "routing"] {
        let scene = Scene::default();
        let limited = "workers: 2\nlimits: { in_flight_max: 2 }\n";
        let scene = if tier == "security" { scene.security("workers: 2\n", limited) } else { scene.routing("workers: 2\n", limited) };
        let rig = scene.raise(&BINARIES);
        let full = if tier == "security" { &rig.security } else { &rig.routing };
        let editor = rig.editor();
        let hanging: Vec<_> = [false, true]
            .map(|h2| {
                let knock = rig.knock("GET /orders/1?delay_ms=100000").with(&editor);
                let (request, version) = if h2 { (knock.h2().request(), Version::H2) } else { (knock.request(), Version::H1) };
                let (door, identity) = (rig.door(), rig.identity());
                rig.stage().handle().spawn(async move {
                    let mut line = Line::open(door, &identity, version).await.expect("a connection");
                    let _ = line.exchange(request).await;
                })
            })
            .into();
        until("both are in flight", || (full.metric("gateway_requests_in_flight") >= 2.0).then_some(()));
        for h2 in [false, true] {
            let knock = rig.knock("GET /orders/1").with(&editor);
            let refused = if h2 { knock.h2() } else { knock }.check("503 overloaded");
            assert_eq!(refused.header("retry-after"), "1");
        }
        for process in [&rig.security, &rig.routing] {
            for page in ["/livez", "/readyz", "/metrics"] {
                assert_eq!(process.ask(page).map(|(status, _)| status), Some(200), "{tier} is full: {page}");
            }
        }
        // Health questions go on being answered while tier 2 is full.
        let checks = || rig.security.metric(r#"gateway_health_checks_total{service="link",result="ok"}"#);
        let before = checks();
        until("tier 1 asks tier 2 how it does", || (checks() > before).then_some(()));
        hanging.iter().for_each(tokio::task::JoinHandle::abort);
        until("there is room again", || (rig.knock("GET /orders/1").with(&editor).go().status == 200).then_some(()));
    }
}

/// Sends one byte, and no more.
struct Stuck(bool);

impl http_body::Body for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x"))))),
            true => Poll::Pending,
        }
    }
}

#[test]
fn a_body_that_comes_too_slowly_is_answered_with_408() {
    let rig = with_limits("body_grace: 300ms, body_rate_min: 10KiB");
    let (editor, identity) = (rig.editor(), rig.identity());
    let answer = runtime().block_on(async {
        let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
        let head = format!("POST /orders/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {editor}\r\ncontent-length: 100\r\n\r\nx");
        client.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("an answer, and the end of the connection");
        String::from_utf8(answer).expect("text")
    });
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""reason":"body-timeout""#), "{answer}");
    let status = runtime().block_on(async {
        let stream = handshake(rig.door(), &identity, &[b"h2"]).await.expect("a connection");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        let connection = tokio::runtime::Handle::current().spawn(connection);
        let uri = format!("https://localhost:{}/orders/1", rig.door().port());
        let request = Request::builder().method(Method::POST).uri(uri).header(header::AUTHORIZATION, format!("Bearer {editor}"));
        let status = sender.send_request(request.body(Stuck(false)).expect("a request")).await.expect("an answer").status();
        connection.abort();
        status
    });
    assert_eq!(status, 408);
    until("both have their records", || {
        let timeouts = rig.records().into_iter().filter(|record| record["gateway.reason"] == "body-timeout").count();
        (timeouts == 2).then_some(())
    });
    // An instance that takes longer than the grace is no fault of the client's.
    let answer = runtime().block_on(async {
        let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
        let fields = format!("host: localhost\r\nauthorization: Bearer {editor}\r\nconnection: close\r\ncontent-length: {}", BODY.len());
        // All of it in one record, so that a client which is starved by other tests is not slow.
        let whole = [format!("POST /orders/1?delay_ms=900 HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes(), &BODY].concat();
        client.write_all(&whole).await.expect("sent");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("an answer, and the end of the connection");
        String::from_utf8(answer).expect("text")
    });
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn bodies_that_may_be_slow_have_no_rate() {
    let limited = "workers: 2\nlimits: { body_grace: 300ms, body_rate_min: 10KiB }\n";
    let rig = Scene::default()
        .security("workers: 2\n", limited)
        .security("authenticate: anonymous }", "authenticate: anonymous, slow_bodies: true }")
        .routing("workers: 2\n", limited)
        .routing("service: orders, public: true }", "service: orders, public: true, slow_bodies: true }")
        .raise(&BINARIES);
    let (editor, identity) = (rig.editor(), rig.identity());
    let head = |path: &str, kind: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {editor}\r\ncontent-type: {kind}\r\n\
             content-length: 2\r\nconnection: close\r\n\r\nx"
        )
    };
    runtime().block_on(async {
        let mut slow = Vec::new();
        for (path, kind) in [("/public/1", "text/plain"), ("/orders/1", "application/grpc+proto")] {
            let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
            client.write_all(head(path, kind).as_bytes()).await.expect("sent");
            slow.push((path, client));
        }
        // Twice the time of others has passed when two of them, one after the other, were told that theirs is over.
        for _ in 0..2 {
            let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
            client.write_all(head("/orders/1", "text/plain").as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
        }
        for (path, mut client) in slow {
            client.write_all(b"y").await.expect("sent");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{path}: {}", answer.escape_ascii());
        }
    });
}

#[test]
fn a_whole_request_has_its_time() {
    let rig = with_limits("body_rate_min: 0B, request: 400ms");
    let (editor, identity) = (rig.editor(), rig.identity());
    let answer = runtime().block_on(async {
        let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
        let head =
            format!("POST /orders/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {editor}\r\ncontent-length: 100000\r\n\r\n");
        client.write_all(head.as_bytes()).await.expect("sent");
        let (mut from, mut to) = tokio::io::split(client);
        // Fast enough by any rate, and never done.
        let sending = async {
            while to.write_all(b"more").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = sending => {}
            read = from.read_to_end(&mut answer) => { let _ = read; }
        }
        String::from_utf8(answer).expect("text")
    });
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""reason":"body-timeout""#), "{answer}");
}

#[test]
fn a_target_has_its_length_in_both_versions() {
    let rig = with_limits("target_bytes_max: 100B");
    let editor = rig.editor();
    let (long, longest) = (format!("GET /orders/{}", "a".repeat(93)), format!("GET /orders/{}", "a".repeat(92)));
    for h2 in [false, true] {
        let knock = |line: &str| {
            let knock = rig.knock(line).with(&editor);
            if h2 { knock.h2() } else { knock }.go()
        };
        knock(&long).check("414 target-too-long");
        knock(&longest).check("200 orders");
    }
}

#[test]
fn whoever_takes_a_byte_at_a_time_or_none_over_http2_is_ended() {
    let rig = with_limits("body: 300ms");
    let (editor, identity) = (rig.editor(), rig.identity());
    for window in [0, 1] {
        runtime().block_on(async {
            let stream = handshake(rig.door(), &identity, &[b"h2"]).await.expect("a connection");
            let (sender, connection) =
                h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(stream).await.expect("HTTP/2");
            let connection = tokio::runtime::Handle::current().spawn(connection);
            let mut sender = sender.ready().await.expect("a place");
            let uri = format!("https://localhost:{}/orders/1?download=1000000", rig.door().port());
            let request =
                Request::builder().uri(uri).header(header::AUTHORIZATION, format!("Bearer {editor}")).body(()).expect("a request");
            let (response, _) = sender.send_request(request, true).expect("sent");
            let mut body = response.await.expect("an answer").into_body();
            // It gives one byte of window for each that it has taken, and never hurries.
            while let Some(Ok(bytes)) = body.data().await {
                let _ = body.flow_control().release_capacity(bytes.len());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let _ = connection.await;
        });
    }
    let stalled = || rig.events("security").into_iter().filter(|record| record["gateway.reason"] == "stream-stalled").count();
    until("both connections have their record", || (stalled() == 2).then_some(()));
    until("nothing is held for them", || (rig.security.metric("gateway_requests_in_flight") == 0.0).then_some(()));
}

/// The soft limit of open files of a running process; the limit that it had.
fn limit_files(process: &Process, soft: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("an id")).expect("a process");
    let known = prlimit(Some(pid), Resource::Nofile, rustix::process::getrlimit(Resource::Nofile)).expect("our own process");
    let wanted = Rlimit { current: soft.or(known.maximum), maximum: known.maximum };
    prlimit(Some(pid), Resource::Nofile, wanted).expect("our own process");
    known
}

/// The highest descriptor that a process has.
fn highest_descriptor(process: &Process) -> u64 {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("a process");
    folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).max().expect("descriptors")
}

/// CPU time that a process has used: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
fn cpu_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("a process");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = [11, 12].map(|field| fields[field].parse::<u64>().expect("a number")).iter().sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_tier_without_descriptors_serves_who_is_in_and_its_operators_and_neither_spins_nor_dies() {
    let rig = Rig::two_tier(&BINARIES);
    let (editor, identity) = (rig.editor(), rig.identity());
    let tier = &rig.security;
    let runtime = runtime();
    let request = || rig.knock("GET /orders/1").with(&editor).request();
    let mut established = runtime.block_on(Line::open(rig.door(), &identity, Version::H1)).expect("a connection");
    runtime.block_on(established.exchange(request())).expect("an answer").check("200 orders");

    limit_files(tier, Some(highest_descriptor(tier) + 1));
    let failures = || tier.metric(r#"gateway_accept_failures_total{listener="https",reason="out-of-descriptors"}"#);
    let mut waiting = Vec::new();
    until("nothing is left to accept with", || {
        waiting.push(TcpStream::connect(rig.door()).expect("the kernel's queue has room"));
        (failures() > 0.0).then_some(())
    });
    waiting.extend((0..3).map(|_| TcpStream::connect(rig.door()).expect("the kernel's queue has room")));
    let (begun, used, failed) = (Instant::now(), cpu_time(tier), failures());
    until("it has tried again some times", || (failures() >= failed + 5.0).then_some(()));
    let (took, tries) = (begun.elapsed(), failures() - failed);
    assert!(tries <= took.as_secs_f64() * 10.0 + 2.0, "{tries} tries in {took:?}: it pauses between them");
    assert!(cpu_time(tier) - used < took / 2, "{:?} of CPU in {took:?}", cpu_time(tier) - used);
    runtime.block_on(established.exchange(request())).expect("whoever is in goes on").check("200 orders");
    assert_eq!(tier.ask("/readyz").map(|(status, _)| status), Some(200), "its operators are answered");

    limit_files(tier, None);
    let last = waiting.pop().expect("one that waits");
    let reply = runtime.block_on(async { over(last, &identity, Version::H1).await?.exchange(request()).await });
    reply.expect("it waited, and is served now").check("200 orders");
    assert!(tier.is_alive());
}
