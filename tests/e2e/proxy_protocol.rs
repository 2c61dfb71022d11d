//! A load balancer in front tells by a PROXY header whose connection it passes on; nobody else is believed.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tests::rig::Rig;
use tests::rig::client::{Line, Version, over};
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::net::TcpSocket;

use crate::BINARIES;

/// The address that is believed; the others of loopback are not.
const BALANCER: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];

fn rig(limits: &str) -> Rig {
    let scene = Scene::default()
        .security(r#"address: "127.0.0.1:0", tls"#, r#"address: "127.0.0.1:0", proxy_protocol: { from: ["127.0.0.1/32"] }, tls"#);
    scene.security("workers: 2\n", &format!("workers: 2\nlimits: {{ {limits} }}\n")).raise(&BINARIES)
}

/// A connection from one address of loopback, on which this was said before TLS.
fn opened(rig: &Rig, from: [u8; 4], first: &[u8]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of loopback");
        socket.connect(rig.door()).await.expect("the door").into_std().expect("a socket")
    });
    stream.set_nonblocking(false).expect("a socket");
    stream.write_all(first).expect("room");
    stream
}

fn asked(rig: &Rig, stream: TcpStream, version: Version) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let identity = rig.identity();
    let knock = rig.knock("GET /public/page");
    let request = if version == Version::H2 { knock.h2() } else { knock }.request();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut line: Line = over(stream, &identity, version).await?;
        line.exchange(request).await
    })
}

/// The connection record of a socket, by the port it came from: at a proxied connection that of `network.peer`, else that of `client`.
fn record(rig: &Rig, socket: SocketAddr) -> Value {
    let port = u64::from(socket.port());
    let is_it = |record: &Value| record["network.peer.port"] == port || record["client.port"] == port;
    until("the connection has its record", || {
        rig.events("security").into_iter().find(|record| record["kind"] == "connection" && is_it(record))
    })
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// 203.0.113.7 and this port, with a vector that means nothing.
fn v2_source(port: u16) -> Vec<u8> {
    v2(0x21, 0x11, &[&[203, 0, 113, 7, 10, 0, 0, 1][..], &port.to_be_bytes(), &[1, 187, 0x04, 0, 1, 0]].concat())
}

fn v2_source_v6(port: u16) -> Vec<u8> {
    let source = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    v2(0x21, 0x21, &[&source[..], &[0; 16], &port.to_be_bytes(), &[1, 187]].concat())
}

/// Ports that are told of clients: none that the kernel gives a socket of this machine, and each told once.
fn told_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn what_the_balancer_tells_is_the_client() {
    let rig = rig("");
    let v4_text = |port| format!("PROXY TCP4 203.0.113.7 10.0.0.1 {port} 443\r\n").into_bytes();
    let v6_text = |port| format!("PROXY TCP6 2001:db8::7 2001:db8::1 {port} 443\r\n").into_bytes();
    let headers: [(&dyn Fn(u16) -> Vec<u8>, _); 4] =
        [(&v4_text, "203.0.113.7"), (&v6_text, "2001:db8::7"), (&v2_source, "203.0.113.7"), (&v2_source_v6, "2001:db8::7")];
    for (header, client) in headers {
        for version in [Version::H1, Version::H2] {
            let port = told_port();
            let stream = opened(&rig, BALANCER, &header(port));
            let socket = stream.local_addr().expect("an address");
            let reply = asked(&rig, stream, version).expect("an answer");
            reply.check("200 orders");
            let expected: IpAddr = client.parse().expect("an address");
            assert_eq!(reply.saw("x-forwarded-for").and_then(|seen| seen.parse().ok()), Some(expected));
            let told = rig.record_of(&reply);
            assert_eq!(
                (told["client.address"].as_str(), told["network.peer.address"].as_str()),
                (Some(client), Some("127.0.0.1")),
                "{told}"
            );
            let told = record(&rig, socket);
            assert_eq!((told["client.address"].as_str(), told["client.port"].as_u64()), (Some(client), Some(u64::from(port))), "{told}");
            assert_eq!(told["network.peer.address"], "127.0.0.1", "{told}");
        }
    }
    for own in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, &[])] {
        let reply = asked(&rig, opened(&rig, BALANCER, &own), Version::H1).expect("an answer");
        assert_eq!(reply.check("200 orders").saw("x-forwarded-for").as_deref(), Some("127.0.0.1"), "it speaks for itself");
    }
}

#[test]
fn a_balancer_that_does_not_tell_is_closed_and_recorded() {
    let rig = rig("handshake: 400ms");
    for (first, reason) in [
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(), "proxy-header-missing"),
        (b"\x16\x03\x01\x02\x00\x01".to_vec(), "proxy-header-missing"),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 20000\r\n".to_vec(), "proxy-header-malformed"),
        (v2(0x21, 0x12, &[0; 12]), "proxy-header-malformed"),
        (v2(0x21, 0x11, &[0; 5000]), "proxy-header-too-large"),
        (b"PROXY TCP4 203.0.113.7 10.".to_vec(), "proxy-header-timeout"),
        (Vec::new(), "proxy-header-timeout"),
        (v2_source(20_000)[..20].to_vec(), "proxy-header-timeout"),
    ] {
        let stream = opened(&rig, BALANCER, &first);
        let told = record(&rig, stream.local_addr().expect("an address"));
        assert_eq!((told["gateway.end"].as_str(), told["gateway.reason"].as_str()), (Some("refused"), Some(reason)), "{told}");
        assert!(asked(&rig, stream, Version::H1).is_err(), "it is closed");
    }
    let stream = opened(&rig, BALANCER, b"PROXY TCP4");
    let socket = stream.local_addr().expect("an address");
    drop(stream);
    assert_eq!(record(&rig, socket)["gateway.reason"], "proxy-header-truncated");
    assert_eq!(rig.instances.ledger("orders"), Vec::<String>::new());
}

#[test]
fn a_stranger_is_served_without_and_believed_nothing() {
    let rig = rig("");
    let reply = asked(&rig, opened(&rig, STRANGER, b""), Version::H1).expect("an answer");
    assert_eq!(reply.check("200 orders").saw("x-forwarded-for").as_deref(), Some("127.0.0.2"));
    let stream = opened(&rig, STRANGER, b"PROXY TCP4 203.0.113.7 10.0.0.1 20000 443\r\n");
    let socket = stream.local_addr().expect("an address");
    assert!(asked(&rig, stream, Version::H1).is_err(), "it is no TLS");
    let told = record(&rig, socket);
    assert_eq!((told["client.address"].as_str(), told["gateway.reason"].as_str()), (Some("127.0.0.2"), Some("tls-malformed")), "{told}");
}

#[test]
fn the_told_address_is_the_one_that_has_so_many_connections() {
    let rig = rig("connections_per_address_max: 1");
    let told = |host: u8| format!("PROXY TCP4 203.0.113.{host} 10.0.0.1 {} 443\r\n", told_port());
    let (identity, request) = (rig.identity(), rig.knock("GET /public/page").request());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut held = runtime.block_on(over(opened(&rig, BALANCER, told(1).as_bytes()), &identity, Version::H1)).expect("a connection");
    let second = opened(&rig, BALANCER, told(1).as_bytes());
    let socket = second.local_addr().expect("an address");
    assert!(asked(&rig, second, Version::H1).is_err());
    assert_eq!(record(&rig, socket)["gateway.reason"], "too-many-of-address");
    asked(&rig, opened(&rig, BALANCER, told(2).as_bytes()), Version::H1).expect("another client of the same balancer").check("200 orders");
    runtime.block_on(held.exchange(request)).expect("an answer").check("200 orders");
}

#[test]
fn a_proxy_that_is_trusted_has_the_connections_of_all_its_clients() {
    let scene = Scene::default().security(r#"trust: { trace: ["127.0.0.0/8"] }"#, r#"trust: { proxies: ["127.0.0.1/32"] }"#);
    let rig = scene.security("workers: 2\n", "workers: 2\nlimits: { connections_per_address_max: 1 }\n").raise(&BINARIES);
    let (identity, request) = (rig.identity(), rig.knock("GET /public/page").request());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut held = runtime.block_on(over(opened(&rig, BALANCER, b""), &identity, Version::H1)).expect("a connection");
    asked(&rig, opened(&rig, BALANCER, b""), Version::H1).expect("another of its connections").check("200 orders");
    let _stranger = runtime.block_on(over(opened(&rig, STRANGER, b""), &identity, Version::H1)).expect("a connection");
    assert!(asked(&rig, opened(&rig, STRANGER, b""), Version::H1).is_err(), "a stranger has one");
    runtime.block_on(held.exchange(request)).expect("an answer").check("200 orders");
}
