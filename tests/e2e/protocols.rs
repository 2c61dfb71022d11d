//! HTTP/2 and gRPC to instances, through both tiers: plain and under TLS, trailers, streams both ways, refusals.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use gwctl::stage::certificates::Purpose;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tests::rig::Rig;
use tests::rig::client::{EXCHANGE_MAX, handshake};
use tests::rig::scene::Scene;
use tests::rig::stage::Stage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::BINARIES;

/// What an instance of `calls` has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Paths of the calls whose body was read whole, in order.
    calls: Mutex<Vec<String>>,
    /// The server names that clients asked for.
    names: Mutex<Vec<Option<String>>>,
    /// Every connection says goodbye after so many calls.
    leaves: AtomicBool,
    te: Mutex<Option<String>>,
}

/// Calls on one connection before an instance that `leaves` says goodbye.
const CALLS_BEFORE_LEAVING: usize = 20;

/// Serves gRPC as the last part of the path says; `tls` demands a certificate of the rig's authority.
async fn instance(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tokio::runtime::Handle::current().spawn(async move {
            match tls {
                None => converse(socket, seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        let name = stream.get_ref().1.server_name().map(str::to_owned);
                        seen.names.lock().expect("names").push(name);
                        converse(stream, seen).await;
                    }
                }
            }
        });
    }
}

async fn converse(io: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let Ok(mut connection) = h2::server::handshake(io).await else { return };
    let (mut calls, mut has_left) = (0, false);
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::runtime::Handle::current().spawn(call(Arc::clone(&seen), request, respond));
        calls += 1;
        if seen.leaves.load(Ordering::Relaxed) && calls >= CALLS_BEFORE_LEAVING && !has_left {
            has_left = true;
            connection.graceful_shutdown();
        }
    }
}

fn trailers(status: &'static str, message: &'static str) -> HeaderMap {
    HeaderMap::from_iter(
        [("grpc-status", status), ("grpc-message", message)]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    )
}

async fn call(seen: Arc<Seen>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
    let path = request.uri().path().to_owned();
    *seen.te.lock().expect("te") = request.headers().get("te").and_then(|te| Some(te.to_str().ok()?.to_owned()));
    let mut body = request.into_body();
    let head = || Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
    match path.rsplit('/').next() {
        Some("none") => {
            let mut only = head();
            only.headers_mut().extend(trailers("5", "not there"));
            respond.send_response(only, true).ok()?;
        }
        Some("chat") => {
            // Every message comes back before the next one is sent.
            let mut sending = respond.send_response(head(), false).ok()?;
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                sending.send_data(data, false).ok()?;
            }
            sending.send_trailers(trailers("0", "chatted")).ok()?;
        }
        kind => {
            let mut said = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                said.extend_from_slice(&data);
            }
            let mut head = head();
            if kind == Some("sum") {
                head.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            }
            let mut sending = respond.send_response(head, false).ok()?;
            for _ in 0..if kind == Some("many") { 3 } else { 1 } {
                sending.send_data(Bytes::from(said.clone()), false).ok()?;
            }
            let (status, message) = if kind == Some("fail") { ("7", "not yours") } else { ("0", "") };
            let mut trailers = trailers(status, message);
            if kind == Some("sum") {
                trailers.insert("x-sum", HeaderValue::from_static("7"));
            }
            sending.send_trailers(trailers).ok()?;
        }
    }
    seen.calls.lock().expect("calls").push(path);
    Some(())
}

/// Both tiers before one instance of `calls`, public, with these further options; the instance runs on a stage of its own.
fn raise(options: &str, tls: bool) -> (Rig, Arc<Seen>, Stage) {
    raise_with(options, tls, |scene| scene)
}

fn raise_with(options: &str, tls: bool, change: impl FnOnce(Scene) -> Scene) -> (Rig, Arc<Seen>, Stage) {
    let stage = Stage::start();
    let (listener, address) = stage.listen((Ipv4Addr::LOCALHOST, 0).into());
    let seen = Arc::new(Seen::default());
    let service = format!("  calls: {{ discover: {{ kind: static, addresses: [\"{address}\"] }}, {options} }}\n  users:");
    let scene = Scene::default()
        .routing("  users:", &service)
        .routing("  - { name: public,", "  - { name: calls, path: \"/public/calls/\", service: calls, public: true }\n  - { name: public,");
    let rig = change(scene).raise(&BINARIES);
    let acceptor = tls.then(|| {
        let server = rig.certificates.leaf(Purpose::Server, "calls.demo");
        demanding(server.chain_pem(), server.key_pem(), &rig.certificates.ca_pem())
    });
    // Whoever connects before is accepted now.
    stage.handle().spawn(instance(listener, acceptor, Arc::clone(&seen)));
    (rig, seen, stage)
}

/// A server that demands a certificate of the authority.
fn demanding(chain: &str, key: &str, ca: &str) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a root")).expect("a root");
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("a verifier");
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients)
        .with_single_cert(
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().expect("a chain"),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
        )
        .expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// What a call came to.
#[derive(Debug)]
struct Said {
    status: u16,
    head: HeaderMap,
    body: String,
    trailers: Option<HeaderMap>,
}

impl Said {
    /// gRPC's status and message, wherever they stand.
    fn grpc(&self) -> (&str, &str) {
        let all = self.trailers.as_ref().unwrap_or(&self.head);
        let text = |name: &str| all.get(name).map_or("", |value| value.to_str().expect("text"));
        (text("grpc-status"), text("grpc-message"))
    }
}

/// Runs a client of HTTP/2 against the front door.
fn client<T>(rig: &Rig, work: impl AsyncFnOnce(SendRequest<Bytes>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let io = handshake(rig.door(), &rig.identity(), &[b"h2"]).await.expect("a connection");
        let (sender, connection) = h2::client::handshake(io).await.expect("h2");
        tokio::runtime::Handle::current().spawn(connection);
        tokio::time::timeout(EXCHANGE_MAX * 2, work(sender)).await.expect("the calls hang")
    })
}

fn request(path: &str) -> Request<()> {
    Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

async fn read(mut body: RecvStream) -> (String, Option<HeaderMap>) {
    let mut text = String::new();
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        let _ = body.flow_control().release_capacity(data.len());
        text.push_str(std::str::from_utf8(&data).expect("text"));
    }
    (text, body.trailers().await.expect("trailers"))
}

async fn unary(sender: &SendRequest<Bytes>, path: &str, message: &'static str) -> Said {
    let mut sender = sender.clone().ready().await.expect("room");
    let (answer, mut sending) = sender.send_request(request(path), false).expect("sent");
    sending.send_data(Bytes::from_static(message.as_bytes()), true).expect("sent");
    let (head, body) = answer.await.expect("an answer").into_parts();
    let (body, trailers) = read(body).await;
    Said { status: head.status.as_u16(), head: head.headers, body, trailers }
}

/// Everything that gRPC is made of.
fn speaks_grpc(rig: &Rig, seen: &Seen) {
    client(rig, async |sender| {
        let said = unary(&sender, "/public/calls/one", "hello").await;
        assert_eq!((said.status, said.body.as_str(), said.grpc()), (200, "hello", ("0", "")), "{said:?}");
        assert!(said.trailers.is_some(), "the status stands behind the messages: {said:?}");
        assert_eq!(seen.te.lock().expect("te").as_deref(), Some("trailers"), "servers demand it");
        let said = unary(&sender, "/public/calls/many", "hello").await;
        assert_eq!((said.body.as_str(), said.grpc().0), ("hellohellohello", "0"));
        let said = unary(&sender, "/public/calls/fail", "hello").await;
        assert_eq!(said.grpc(), ("7", "not yours"));
        // One that names a trailer of its own, and does not name those of gRPC.
        let said = unary(&sender, "/public/calls/sum", "hello").await;
        assert_eq!((said.grpc().0, &said.trailers.as_ref().expect("trailers")["x-sum"]), ("0", &HeaderValue::from_static("7")), "{said:?}");
        let said = unary(&sender, "/public/calls/none", "hello").await;
        assert_eq!((said.status, said.grpc()), (200, ("5", "not there")));

        // A stream both ways: each message is answered before the next one is sent.
        let mut room = sender.clone().ready().await.expect("room");
        let (answer, mut sending) = room.send_request(request("/public/calls/chat"), false).expect("sent");
        let mut body = answer.await.expect("a head before the first message").into_body();
        for message in ["one", "two", "three"] {
            sending.send_data(Bytes::from_static(message.as_bytes()), false).expect("sent");
            let heard = body.data().await.expect("a message").expect("data");
            assert_eq!(heard, message);
            let _ = body.flow_control().release_capacity(heard.len());
        }
        sending.send_data(Bytes::new(), true).expect("sent");
        let (rest, trailers) = read(body).await;
        assert_eq!((rest.as_str(), &trailers.expect("trailers")["grpc-message"]), ("", &HeaderValue::from_static("chatted")));
    });
}

#[test]
fn grpc_passes_both_tiers_to_an_instance_of_h2c() {
    let (rig, seen, _stage) = raise("protocol: http2", false);
    speaks_grpc(&rig, &seen);
}

#[test]
fn grpc_passes_a_link_of_http_2_too() {
    let (rig, seen, _stage) = raise_with("protocol: http2", false, |scene| {
        scene.security("  audience: routing-gw\n", "  audience: routing-gw\n  protocol: http2\n")
    });
    speaks_grpc(&rig, &seen);
}

#[test]
fn an_instance_of_h2_over_tls_is_asked_for_by_name_and_shown_our_certificate() {
    let tls = "protocol: http2, tls: { ca: ca.pem, certificate: security-gw.pem, key: security-gw.key, server_name: calls.demo }";
    let (rig, seen, _stage) = raise(tls, true);
    speaks_grpc(&rig, &seen);
    assert!(seen.names.lock().expect("names").iter().all(|name| name.as_deref() == Some("calls.demo")));
}

#[test]
fn an_instance_that_cannot_be_proved_gets_no_call() {
    for wrong in [
        "server_name: others.demo, certificate: security-gw.pem, key: security-gw.key",
        // The instance demands a certificate.
        "server_name: calls.demo",
    ] {
        let (rig, seen, _stage) = raise(&format!("protocol: http2, tls: {{ ca: ca.pem, {wrong} }}"), true);
        let said = client(&rig, async |sender| unary(&sender, "/public/calls/one", "hello").await);
        assert_eq!((said.status, said.grpc()), (200, ("14", "upstream-connect-failed")), "{said:?}");
        assert!(seen.calls.lock().expect("calls").is_empty());
    }
}

#[test]
fn a_service_of_http_1_that_is_taken_for_one_of_http_2_gets_no_call() {
    let (rig, seen, _stage) = raise("protocol: http1", false);
    let said = client(&rig, async |sender| unary(&sender, "/public/calls/one", "hello").await);
    assert_ne!(said.grpc().0, "0", "{said:?}");
    assert!(seen.calls.lock().expect("calls").is_empty());
}

#[test]
fn a_refused_call_is_told_as_grpc_tells_it() {
    let rig = Rig::two_tier(&BINARIES);
    for (path, token, grpc) in [
        // Tier 1, and tier 2.
        ("/orders/1", None, ("16", "no-credentials")),
        ("/nowhere", Some(rig.editor()), ("12", "no-route")),
    ] {
        let said = client(&rig, async |sender| {
            let mut sender = sender.ready().await.expect("room");
            let mut asked = request(path);
            if let Some(token) = &token {
                asked.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
            }
            let (head, body) = sender.send_request(asked, true).expect("sent").0.await.expect("an answer").into_parts();
            let (body, trailers) = read(body).await;
            Said { status: head.status.as_u16(), head: head.headers, body, trailers }
        });
        assert_eq!((said.status, said.body.as_str(), said.grpc()), (200, "", grpc), "{said:?}");
    }
}

#[test]
fn calls_at_once_share_few_connections_and_none_is_lost_when_an_instance_goes_away() {
    const CALLS: usize = 600;
    let (rig, seen, _stage) = raise("protocol: http2", false);
    let all = |rig: &Rig| {
        client(rig, async |sender| {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..30 {
                let sender = sender.clone();
                tasks.spawn(async move {
                    for _ in 0..CALLS / 30 {
                        let said = unary(&sender, "/public/calls/one", "hello").await;
                        assert_eq!((said.body.as_str(), said.grpc().0), ("hello", "0"), "{said:?}");
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.expect("every call is answered");
            }
        });
    };
    all(&rig);
    // Two workers of tier 2, and now and then two that found no connection at once.
    let connections = seen.connections.load(Ordering::Relaxed);
    assert!((1..=4).contains(&connections), "{connections} connections");
    seen.leaves.store(true, Ordering::Relaxed);
    all(&rig);
    assert!(seen.connections.load(Ordering::Relaxed) > connections + 5, "it has gone away again and again");
    assert_eq!(seen.calls.lock().expect("calls").len(), 2 * CALLS, "none was executed twice");
}
