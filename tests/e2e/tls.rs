//! TLS at the door: what a connection was proved for, when certificates end, which sessions go on, who must show a certificate, what browsers are told.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use gwctl::stage::certificates::{Purpose, San};
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use http_body_util::Full;
use rustls::{ClientConfig, HandshakeKind};
use tests::rig::Rig;
use tests::rig::client::{Identity, Line, Version, greet, terms};
use tests::rig::process::Process;
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::BINARIES;

/// The certificates of the scene's front door.
const ONE: &str = "certificates: [ { chain: server.pem, key: server.key } ]";
/// The same with a second certificate.
const TWO: &str = "certificates: [ { chain: server.pem, key: server.key }, { chain: other.pem, key: other.key } ]";

/// Nothing is reloaded unless the test asks for it.
fn quiet() -> Scene {
    Scene::default().security("drain:", "reload: { watch: null }\ndrain:")
}

#[track_caller]
fn edit(rig: &Rig, from: &str, to: &str) {
    let text = fs::read_to_string(rig.folder.file("security.yaml")).expect("tier 1's file");
    assert!(text.contains(from), "tier 1's file has no {from}");
    rig.folder.write("security.yaml", &text.replace(from, to));
}

fn issue(rig: &Rig, file: &str, names: &[&str], days: u32) {
    let san = |name: &&str| name.parse().map_or_else(|_| San::Dns((*name).to_owned()), San::Ip);
    let names: Vec<San> = names.iter().map(san).collect();
    rig.certificates.leaf_for(Purpose::Server, &names, days).write(rig.folder.path(), file).expect("written");
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A connection to one of tier 1's listeners that lasts.
struct Lasting {
    runtime: Runtime,
    line: Line,
    version: Version,
    token: String,
}

impl Lasting {
    /// `server` is asked for by SNI, unless it is an address.
    fn open(rig: &Rig, server: &'static str, version: Version) -> Self {
        Self::to(rig, "https", Identity { server, ..rig.identity() }, version).expect("a connection")
    }

    fn to(rig: &Rig, listener: &str, identity: Identity, version: Version) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let runtime = runtime();
        let line = runtime.block_on(Line::open(rig.security.listener(listener), &identity, version))?;
        Ok(Self { runtime, line, version, token: rig.editor() })
    }

    fn ask(&mut self, host: &str) -> Reply {
        self.go("GET", host)
    }

    fn go(&mut self, method: &str, host: &str) -> Reply {
        let request = Request::builder().method(method).header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = match self.version {
            Version::H1 => request.uri("/orders/1").header(HOST, host),
            Version::H2 => request.uri(format!("https://{host}/orders/1")),
        };
        let request: Request<Full<Bytes>> = request.body(Full::default()).expect("a request");
        self.runtime.block_on(self.line.exchange(request)).expect("an answer")
    }
}

#[test]
fn a_host_that_the_certificate_of_the_connection_does_not_cover_is_misdirected() {
    let rig = quiet().raise(&BINARIES);
    issue(&rig, "server", &["localhost", "*.api.test", "127.0.0.1"], 2);
    issue(&rig, "other", &["other.test"], 2);
    edit(&rig, ONE, TWO);
    rig.security.reload();
    for version in [Version::H1, Version::H2] {
        // One connection, so that a refusal ends nothing but its request.
        let mut line = Lasting::open(&rig, "localhost", version);
        for host in ["localhost", "localhost:8443", "LocalHost", "x.api.test", "127.0.0.1", "127.0.0.1:1", "X.api.test."] {
            line.ask(host).check("200 orders");
        }
        for host in ["other.test", "evil.test:8443", "a.b.api.test", "api.test", "127.0.0.2", "[::1]", "localhost.evil.test"] {
            let refused = line.ask(host);
            refused.check("421 misdirected");
            let record = rig.record_of(&refused);
            assert_eq!(record["gateway.reason"], "misdirected", "{record}");
            assert!(record["gateway.caller"].is_null(), "nobody was asked who they are: {record}");
        }
        line.ask("localhost").check("200 orders");
        // The same host by the certificate that covers it.
        let mut other = Lasting::open(&rig, "other.test", version);
        other.ask("other.test").check("200 orders");
        other.ask("localhost").check("421 misdirected");
        // A client that comes by address names no host in its handshake.
        let mut by_address = Lasting::open(&rig, "127.0.0.1", version);
        by_address.ask("127.0.0.1").check("200 orders");
        by_address.ask("localhost").check("200 orders");
        by_address.ask("other.test").check("421 misdirected");
    }
}

#[test]
fn a_listener_behind_a_cdn_may_take_any_host_and_a_redirect_always_does() {
    let rig = quiet().raise(&BINARIES);
    let tls = "tls: { certificates";
    let mut line = Lasting::open(&rig, "localhost", Version::H2);
    line.ask("cdn.test").check("421 misdirected");
    edit(&rig, tls, "tls: { any_authority: true, certificates");
    rig.security.reload();
    line.ask("cdn.test").check("200 orders");
    edit(&rig, "any_authority: true, ", "");
    rig.security.reload();
    line.ask("cdn.test").check("421 misdirected");

    let answer = runtime().block_on(async {
        let mut plain = TcpStream::connect(rig.security.listener("redirect")).await.expect("a connection");
        plain.write_all(b"GET /a HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.expect("an answer");
        answer
    });
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains("location: https://localhost:8443/a"), "{answer}");
}

/// The value of a certificate's gauge.
fn end_of(tier: &Process, used_by: &str, subject: &str) -> Option<u64> {
    let (_, page) = tier.ask("/metrics")?;
    let start = format!("gateway_certificate_not_after_seconds{{used_by=\"{used_by}\",subject=\"{subject}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&start))?.parse().ok()
}

#[test]
fn the_end_of_every_certificate_is_told_and_followed_by_reloads() {
    let rig = quiet().raise(&BINARIES);
    let end = |days| rig.certificates.validity(days).not_after_s;
    assert_eq!(end_of(&rig.security, "listener https", "localhost"), Some(end(2)));
    assert_eq!(end_of(&rig.security, "link", "security-gw.demo"), Some(end(2)));
    assert_eq!(end_of(&rig.routing, "listener link", "routing-gw.demo"), Some(end(2)));
    let warned = |subject: &str| {
        let is_meant = |line: &&str| line.contains("a certificate ends soon") && line.contains(&format!("\"{subject}\""));
        rig.security.log().lines().filter(is_meant).count()
    };
    assert_eq!((warned("localhost"), warned("security-gw.demo")), (1, 1), "{}", rig.security.log());

    issue(&rig, "server", &["localhost"], 40);
    issue(&rig, "other", &["other.test"], 10);
    edit(&rig, ONE, TWO);
    rig.security.reload();
    until("the renewed certificate is told", || (end_of(&rig.security, "listener https", "localhost")? == end(40)).then_some(()));
    assert_eq!(end_of(&rig.security, "listener https", "other.test"), Some(end(10)));
    edit(&rig, TWO, ONE);
    rig.security.reload();
    until("a certificate that is served no more is forgotten", || {
        end_of(&rig.security, "listener https", "other.test").is_none().then_some(())
    });
    assert_eq!(end_of(&rig.security, "listener https", "localhost"), Some(end(40)));
    assert_eq!((warned("localhost"), warned("other.test")), (1, 1), "each once, and nothing about one that lasts");
}

#[test]
fn a_certificate_that_cannot_serve_leaves_the_former_one() {
    let rig = quiet().raise(&BINARIES);
    let before = end_of(&rig.security, "listener https", "localhost");
    let key = fs::read(rig.folder.file("server.key")).expect("a key");
    issue(&rig, "server", &["localhost"], 40);
    fs::write(rig.folder.file("server.key"), key).expect("written");
    let (status, answer) = rig.security.post("/reload");
    assert_eq!(status, 422, "{answer}");
    assert!(answer.to_string().contains("does not belong to the certificate"), "{answer}");
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    assert_eq!(end_of(&rig.security, "listener https", "localhost"), before);
}

/// One request on a connection of its own, and how its handshake was made.
fn kind(address: std::net::SocketAddr, terms: &Arc<ClientConfig>, server: &'static str) -> HandshakeKind {
    runtime().block_on(async {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let mut stream = greet(stream, Arc::clone(terms), server).await.expect("a handshake");
        let request = format!("GET /public/x HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        // Tickets of TLS 1.3 come with the answer.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
        stream.get_ref().1.handshake_kind().expect("a handshake")
    })
}

#[test]
fn sessions_are_resumed_over_reloads_and_never_where_clients_prove_themselves() {
    let rig = quiet().raise(&BINARIES);
    let client = terms(&rig.identity(), &[b"http/1.1"]).expect("terms");
    let door = |client: &Arc<ClientConfig>| kind(rig.door(), client, "localhost");
    assert_eq!(door(&client), HandshakeKind::Full);
    assert_eq!(door(&client), HandshakeKind::Resumed);
    edit(&rig, "drain: { wait: 200ms", "drain: { wait: 201ms");
    rig.security.reload();
    assert_eq!(door(&client), HandshakeKind::Resumed, "TLS is unchanged");
    issue(&rig, "server", &["localhost"], 3);
    rig.security.reload();
    assert_eq!(door(&client), HandshakeKind::Resumed, "the certificate was renewed");
    assert_eq!(door(&terms(&rig.identity(), &[b"http/1.1"]).expect("terms")), HandshakeKind::Full, "one that has no ticket");
    edit(&rig, ONE, &format!("{ONE}, clients: {{ ca: ca.pem, peers: [\"dns:x.demo\"], require: false }}"));
    rig.security.reload();
    assert_eq!(door(&client), HandshakeKind::Full, "who may prove themselves is asked every time");
    assert_eq!(door(&client), HandshakeKind::Full);

    let read = |name: &str| fs::read_to_string(rig.folder.file(name)).expect("a file");
    let leaf = Some((read("security-gw.pem"), read("security-gw.key")));
    let peer = terms(&Identity { leaf, server: "routing-gw.demo", ..rig.identity() }, &[b"http/1.1"]).expect("terms");
    for _ in 0..3 {
        assert_eq!(kind(rig.routing.listener("link"), &peer, "routing-gw.demo"), HandshakeKind::Full);
    }
}

#[test]
fn the_front_door_prefers_a_key_exchange_that_machines_to_come_cannot_open() {
    let rig = Rig::two_tier(&BINARIES);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    let record = until("the connection is recorded", || rig.events("security").into_iter().find(|event| event["tls.established"] == true));
    assert_eq!(record["tls.curve"], "X25519MLKEM768", "{record}");
    assert_eq!(record["tls.protocol.version"], "1.3", "{record}");
}

#[test]
fn a_listener_that_need_not_be_shown_a_certificate_believes_only_a_good_one() {
    let clients = |require: bool| format!("{ONE}, clients: {{ ca: ca.pem, peers: [\"dns:security-gw.demo\"], require: {require} }}");
    let rig = quiet().security(ONE, &clients(false)).raise(&BINARIES);
    let open = |leaf: Option<&str>| {
        let read = |end: &str| fs::read_to_string(rig.folder.file(&format!("{}{end}", leaf.expect("a name")))).expect("a file");
        let leaf = leaf.map(|_| (read(".pem"), read(".key")));
        Lasting::to(&rig, "https", Identity { leaf, ..rig.identity() }, Version::H1)
    };
    let asks = |leaf: Option<&str>| {
        let mut line = open(leaf).map_err(|fault| fault.to_string())?;
        let runtime = &line.runtime;
        let request = Request::builder().uri("/public/x").header(HOST, "localhost").body(Full::default()).expect("a request");
        runtime.block_on(line.line.exchange(request)).map(|reply| reply.says()).map_err(|fault| fault.to_string())
    };
    assert_eq!(asks(None).as_deref(), Ok("200 orders"));
    assert_eq!(asks(Some("security-gw")).as_deref(), Ok("200 orders"));
    assert!(asks(Some("stranger")).is_err());
    let refused = |reason: &str| {
        until(&format!("{reason} is recorded"), || rig.events("security").into_iter().find(|event| event["gateway.reason"] == *reason))
    };
    refused("peer-not-allowed");

    edit(&rig, "require: false", "require: true");
    rig.security.reload();
    assert!(asks(None).is_err());
    refused("peer-certificate-missing");
    assert_eq!(asks(Some("security-gw")).as_deref(), Ok("200 orders"));
}

#[test]
fn browsers_are_told_to_come_by_tls_with_every_answer_over_it() {
    let hsts = "hsts: { max_age: 8760h, include_subdomains: true, preload: true }";
    let redirect = r#"  - { name: redirect, address: "127.0.0.1:0", redirect_to: "https://localhost:8443" }"#;
    let secure = format!(
        "{redirect}\n  - {{ name: moved, address: \"127.0.0.1:0\", redirect_to: \"https://localhost:8443\", tls: {{ {ONE} }}, hsts: {{ max_age: 60s }} }}"
    );
    let scene = quiet().security("{ name: https,", &format!("{{ name: https, {hsts},")).security(redirect, &secure);
    let rig = scene.raise(&BINARIES);
    let said = "max-age=31536000; includeSubDomains; preload";
    let mut line = Lasting::open(&rig, "localhost", Version::H2);
    assert_eq!(line.ask("localhost").header("strict-transport-security"), said);
    assert_eq!(line.ask("evil.test").header("strict-transport-security"), said);
    assert_eq!(rig.knock("GET /orders/1").check("401 no-credentials").header("strict-transport-security"), said);
    assert_eq!(rig.knock("GET /a/../b").check("400 target-not-canonical").header("strict-transport-security"), said);

    let mut moved = Lasting::to(&rig, "moved", rig.identity(), Version::H1).expect("a connection");
    let reply = moved.ask("evil.test");
    reply.check("308");
    assert_eq!(reply.header("strict-transport-security"), "max-age=60");
    let plain = runtime().block_on(async {
        let mut plain = TcpStream::connect(rig.security.listener("redirect")).await.expect("a connection");
        plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        plain.read_to_string(&mut answer).await.expect("an answer");
        answer
    });
    assert!(plain.starts_with("HTTP/1.1 308") && !plain.contains("strict-transport-security"), "{plain}");

    // Hot, also on a connection that was there before.
    edit(&rig, hsts, "hsts: { max_age: 0s }");
    rig.security.reload();
    assert_eq!(line.ask("localhost").header("strict-transport-security"), "max-age=0");
    edit(&rig, "hsts: { max_age: 0s },", "");
    rig.security.reload();
    assert!(!line.ask("localhost").headers.contains_key("strict-transport-security"));
}
