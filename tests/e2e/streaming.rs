//! Bodies stream both ways in bounded memory; trailers and upgraded connections pass.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::rig::Rig;
use tests::rig::client::handshake;
use tests::rig::scene::Scene;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::BINARIES;

const MIB: u64 = 1024 * 1024;
const BODY_BYTES: u64 = 200 * MIB;
const MEMORY_BYTES_MAX: u64 = 64 * MIB;

/// Zeros that are made while they are sent.
struct Zeros(u64);

impl Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
        let length = self.0.min(CHUNK.len() as u64);
        self.0 -= length;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&CHUNK[..length as usize])))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[test]
fn two_hundred_mebibytes_pass_in_bounded_memory() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let identity = rig.identity();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let port = rig.door().port();
    for h2 in [false, true] {
        runtime.block_on(async {
            let stream = handshake(rig.door(), &identity, &[if h2 { b"h2" } else { b"http/1.1" }]).await.expect("a connection");
            let request = |method: Method, path: &str, body: Zeros| {
                let uri = if h2 { format!("https://localhost:{port}{path}") } else { path.to_owned() };
                let request = Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, format!("Bearer {editor}"));
                let request = if h2 { request } else { request.header(header::HOST, "localhost") };
                request.body(body).expect("a request")
            };
            let upload = request(Method::POST, "/orders/1", Zeros(BODY_BYTES));
            let download = request(Method::GET, &format!("/orders/1?download={BODY_BYTES}"), Zeros(0));
            let (uploaded, mut downloading) = if h2 {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
                tokio::runtime::Handle::current().spawn(connection);
                (
                    sender.send_request(upload).await.expect("an answer").into_body().collect().await.expect("a body").to_bytes(),
                    sender.send_request(download).await.expect("an answer").into_body(),
                )
            } else {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("h1");
                tokio::runtime::Handle::current().spawn(connection);
                let uploaded =
                    sender.send_request(upload).await.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
                sender.ready().await.expect("kept alive");
                (uploaded, sender.send_request(download).await.expect("an answer").into_body())
            };
            let seen: serde_json::Value = serde_json::from_slice(&uploaded).expect("the instance's word");
            assert_eq!(seen["body_bytes"], BODY_BYTES);
            let mut bytes = 0;
            while let Some(frame) = downloading.frame().await {
                bytes += frame.expect("a frame").data_ref().map_or(0, |data| data.len() as u64);
            }
            assert_eq!(bytes, BODY_BYTES);
        });
    }
    for (name, process) in [("security-gw", &rig.security), ("routing-gw", &rig.routing)] {
        let (_, most) = process.memory();
        assert!(most < MEMORY_BYTES_MAX, "{name} took {} MiB", most / MIB);
    }
}

#[test]
fn a_body_over_its_ceiling_is_refused_whether_it_says_so_or_not() {
    let scene = Scene::default().security("workers: 2", "workers: 2\nlimits: { body_bytes_max: 10KiB }");
    let rig = scene.raise(&BINARIES);
    rig.knock("POST /orders/1").with(&rig.editor()).body(vec![0; 10 * 1024]).check("200 orders");
    rig.knock("POST /orders/1").with(&rig.editor()).body(vec![0; 10 * 1024 + 1]).check("413 body-too-large");
}

#[test]
fn a_websocket_passes_through_both_tiers() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let identity = rig.identity();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let mut stream = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
        let ask = format!(
            "GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {editor}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.expect("asked");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        // A masked text frame "hi"; the echo is unmasked.
        stream.write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]).await.expect("sent");
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.expect("an echo");
        assert_eq!(&echo, &[0x81, 2, b'h', b'i']);
    });
    let record = tests::rig::wait::until("the upgraded connection's record is written", || rig.records().into_iter().next());
    assert_eq!(record["gateway.end"], "upgraded", "{record}");
    assert_eq!(record["http.response.status_code"], 101);
    assert_eq!(record["http.request.body.size"], 8, "the frame to the instance");
    assert_eq!(record["http.response.body.size"], 4, "and its echo");
}

#[test]
fn trailers_of_an_instance_reach_the_client() {
    let rig = Rig::two_tier(&BINARIES);
    let identity = rig.identity();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let editor = rig.editor();
    let trailers = runtime.block_on(async {
        let stream = handshake(rig.door(), &identity, &[b"h2"]).await.expect("a connection");
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("h2");
        tokio::runtime::Handle::current().spawn(connection);
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-check", http::HeaderValue::from_static("sum"));
        let body = http_body_util::StreamBody::new(Frames(vec![Frame::trailers(trailers), Frame::data(Bytes::from_static(b"x"))]));
        let request = Request::builder()
            .method(Method::POST)
            .uri("https://localhost/orders/1")
            .header(header::AUTHORIZATION, format!("Bearer {editor}"))
            .header(header::TE, "trailers")
            .header(header::TRAILER, "x-check")
            .body(body)
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        answer.into_body().collect().await.expect("a body").trailers().cloned()
    });
    assert_eq!(trailers.expect("trailers").get("x-check").expect("the trailer"), "sum");
}

/// Frames from a list, the last one first.
struct Frames(Vec<Frame<Bytes>>);

impl futures_core::Stream for Frames {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}
