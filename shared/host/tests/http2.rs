//! HTTP/2 over TLS: chosen by ALPN, told to go away at the drain, its facts in the record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "what surprises a test must end it")]

mod rig;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use host::config::DrainConfig;
use host::drain::Departure;
use host::limits_config::LimitsConfig;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use settings::units::Span;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::tls::client::{ClientTerms, ClientTls};
use wire::tls::provider::TlsMinimum;
use wire::tls::roots::Roots;

use crate::rig::{Folder, LONG, Pem, Process, Wish, field};

type Sender = SendRequest<Empty<bytes::Bytes>>;

async fn connect(address: SocketAddr, pem: &Pem) -> (Sender, JoinHandle<hyper::Result<()>>) {
    connect_with(address, pem, None).await
}

/// `window` is what the server may send on one stream before the client has taken it.
async fn connect_with(address: SocketAddr, pem: &Pem, window: Option<u32>) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let folder = Folder::new();
    let ca = folder.0.join("ca.pem");
    std::fs::write(&ca, &pem.chain).unwrap();
    let terms = ClientTerms {
        roots: Roots::File(ca),
        certificate: None,
        server_name: "localhost".to_owned(),
        peers: None,
        minimum: TlsMinimum::Tls12,
        alpn: vec![b"h2"],
    };
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = ClientTls::new(&terms).unwrap().connect(stream).await.unwrap();
    let (sender, connection) =
        http2::Builder::new(TokioExecutor::new()).initial_stream_window_size(window).handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::task::spawn(connection))
}

async fn get(sender: &mut Sender, path: &str) -> (StatusCode, String) {
    let request = Request::get(format!("https://localhost{path}")).body(Empty::new()).unwrap();
    let response = timeout(LONG, sender.send_request(request)).await.unwrap().unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_drain_tells_clients_to_go_away_and_answers_what_is_in_flight() {
    let pem = Pem::new();
    let drain = DrainConfig { wait: Span::secs(0), deadline: Span::secs(10) };
    let process = Process::start(Wish { workers: 2, tls: Some(pem.clone()), drain, ..Wish::default() });
    let (mut sender, connection) = connect(process.address, &pem).await;
    assert_eq!(get(&mut sender, "/").await, (StatusCode::OK, "hello".to_owned()));
    assert_eq!(get(&mut sender, "/panic").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    let (mut idle, idle_connection) = connect(process.address, &pem).await;
    assert_eq!(get(&mut idle, "/").await.0, StatusCode::OK);

    let mut slow_sender = sender.clone();
    let slow = tokio::task::spawn(async move { get(&mut slow_sender, "/slow").await });
    let gate = std::sync::Arc::clone(&process.gate);
    let mut waiting = gate.waiting.subscribe();
    timeout(LONG, waiting.wait_for(|number| *number == 1)).await.unwrap().unwrap();
    process.ask_to_leave();
    // The connection without streams ends by GOAWAY alone, while the other one is still at work.
    timeout(LONG, idle_connection).await.unwrap().unwrap().unwrap();
    assert!(!slow.is_finished());
    gate.open.send_replace(true);
    assert_eq!(timeout(LONG, slow).await.unwrap().unwrap(), (StatusCode::OK, "slow".to_owned()));
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    assert!(poll_fn(|cx| sender.poll_ready(cx)).await.is_err(), "no further request may be sent");

    let (departure, records) = tokio::task::spawn_blocking(move || process.end()).await.unwrap();
    assert_eq!(departure, Departure::Drained);
    assert_eq!(field(&records, "gateway.end"), ["drained", "drained"], "{records:?}");
    for record in &records {
        assert_eq!(record["tls.protocol.version"], "1.3");
        assert_eq!(record["tls.next_protocol"], "h2");
        assert_eq!(record["network.protocol.version"], "2");
        assert_eq!(record["server.address"], "localhost");
    }
    let requests: u64 = records.iter().filter_map(|record| record["gateway.requests"].as_u64()).sum();
    assert_eq!(requests, 4);
}

#[tokio::test]
async fn a_resting_connection_is_told_to_go_away() {
    let pem = Pem::new();
    let limits = LimitsConfig { idle: Span::millis(300), ..LimitsConfig::default() };
    let process = Process::start(Wish { tls: Some(pem.clone()), limits, ..Wish::default() });
    let (mut sender, connection) = connect(process.address, &pem).await;
    assert_eq!(get(&mut sender, "/").await.0, StatusCode::OK);
    timeout(Duration::from_secs(10), connection).await.unwrap().unwrap().unwrap();
    let (_, records) = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_eq!(field(&records, "gateway.end"), ["idle"], "{records:?}");
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_holds_nothing() {
    let pem = Pem::new();
    let limits = LimitsConfig { body: Span::millis(300), ..LimitsConfig::default() };
    let process = Process::start(Wish { tls: Some(pem.clone()), limits, ..Wish::default() });
    let (mut sender, connection) = connect_with(process.address, &pem, Some(0)).await;
    let request = Request::get("https://localhost/stream").body(Empty::new()).unwrap();
    let response = timeout(LONG, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut dropped = process.gate.dropped.subscribe();
    timeout(LONG, dropped.wait_for(|number| *number == 1)).await.unwrap().unwrap();
    // It rests with nothing but a dead stream, so it is told to go, and then cut off, although it answers every PING.
    let body = timeout(LONG, response.into_body().collect()).await.unwrap();
    assert!(body.is_err(), "what the client holds is no whole answer");
    // How the client's own side of it ends is its matter.
    let _ = timeout(LONG, connection).await.unwrap().unwrap();
    let (departure, records) = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_eq!(departure, Departure::Drained);
    assert_eq!(field(&records, "gateway.end"), ["refused"], "{records:?}");
    assert_eq!(field(&records, "gateway.reason"), ["stream-stalled"], "{records:?}");
}

#[tokio::test]
async fn a_client_that_reads_gets_on_beside_streams_that_stand() {
    let pem = Pem::new();
    let limits = LimitsConfig { body: Span::millis(300), ..LimitsConfig::default() };
    let process = Process::start(Wish { tls: Some(pem.clone()), limits, ..Wish::default() });
    let (mut sender, connection) = connect_with(process.address, &pem, Some(1024)).await;
    let stream = || Request::get("https://localhost/stream").body(Empty::new()).unwrap();
    let standing = timeout(LONG, sender.send_request(stream())).await.unwrap().unwrap();
    let mut read = timeout(LONG, sender.send_request(stream())).await.unwrap().unwrap().into_body();
    let dropped = process.gate.dropped.subscribe();
    // The one that is read goes on while and after the one that stands is dropped.
    while *dropped.borrow() == 0 {
        timeout(LONG, read.frame()).await.unwrap().unwrap().unwrap();
    }
    for _ in 0..100 {
        timeout(LONG, read.frame()).await.unwrap().unwrap().unwrap();
    }
    assert_eq!(*dropped.borrow(), 1);
    assert!(timeout(LONG, standing.into_body().collect()).await.unwrap().is_err(), "it is reset once its window opens");
    timeout(LONG, read.frame()).await.unwrap().unwrap().unwrap();
    drop((read, sender));
    let _ = timeout(LONG, connection).await.unwrap().unwrap();
    let (_, records) = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_eq!(field(&records, "gateway.end"), ["closed"], "{records:?}");
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_even_after_a_panic() {
    let pem = Pem::new();
    let process = Process::start(Wish { tls: Some(pem.clone()), ..Wish::default() });
    let (mut sender, connection) = connect(process.address, &pem).await;
    let request = Request::head("https://localhost/panic").body(Empty::new()).unwrap();
    let response = timeout(LONG, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(timeout(LONG, response.into_body().collect()).await.unwrap().unwrap().to_bytes().is_empty());
    drop(sender);
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
}
