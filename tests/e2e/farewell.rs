//! WebSockets through both tiers, when one of them leaves: both ends are told, each at the end of a frame, and nothing waits for the deadline.

use std::net::SocketAddr;

use tests::rig::Rig;
use tests::rig::client::{EXCHANGE_MAX, handshake};
use tests::rig::process::Process;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::BINARIES;

/// A Close that says 1001 (RFC 6455 §7.4.1), as a server sends it.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// A frame as a client sends it; the mask is all zeros, so that the payload stays readable.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(payload.len()).expect("short"), 0, 0, 0, 0][..], payload].concat()
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).expect("short")][..], payload].concat()
}

async fn reads(end: &mut (impl AsyncRead + Unpin), wanted: &[u8]) {
    let mut heard = vec![0; wanted.len()];
    end.read_exact(&mut heard).await.expect("what the other end has said");
    assert_eq!(heard, wanted);
}

/// A client's Close is masked by a key of the moment (RFC 6455 §5.3).
async fn reads_masked_close(end: &mut (impl AsyncRead + Unpin)) {
    let mut close = [0; 8];
    end.read_exact(&mut close).await.expect("a Close");
    assert_eq!(close[..2], [0x88, 0x82], "{close:?}");
    assert_eq!([close[6] ^ close[2], close[7] ^ close[3]], [0x03, 0xe9], "{close:?}");
}

async fn reads_the_end(end: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    end.read_to_end(&mut rest).await.expect("a clean end");
    assert_eq!(rest, [] as [u8; 0], "nothing comes after a Close");
}

async fn reads_head(end: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(end.read_u8().await.expect("a head"));
    }
    String::from_utf8(head).expect("text")
}

/// Opens a WebSocket; gives the client's end.
async fn opens(rig: &Rig) -> impl AsyncRead + AsyncWrite + Unpin {
    let identity = rig.identity();
    let mut client = handshake(rig.door(), &identity, &[b"http/1.1"]).await.expect("a connection");
    let ask = format!(
        "GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        rig.editor()
    );
    client.write_all(ask.as_bytes()).await.expect("asked");
    client
}

/// The instance's end of the next WebSocket.
async fn granted(listener: &TcpListener) -> TcpStream {
    let (mut instance, _) = listener.accept().await.expect("a connection");
    let head = reads_head(&mut instance).await;
    assert!(head.contains("upgrade: websocket"), "{head}");
    let granted = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    instance.write_all(granted.as_bytes()).await.expect("granted");
    instance
}

/// A scene whose orders are answered at `instance`, and whose deadline would fail any test that came to it.
fn scene(instance: SocketAddr) -> Scene {
    let drain = ("drain: { wait: 200ms, deadline: 5s }", "drain: { wait: 0s, deadline: 600s }");
    Scene::default()
        .security(drain.0, drain.1)
        .routing(drain.0, drain.1)
        .routing("{ kind: srv, name: _http._tcp.orders.demo }", &format!("{{ kind: static, addresses: [\"{instance}\"] }}"))
}

/// Ends with everything said, long before the deadline.
fn drained(process: &Process) {
    assert!(process.wait().success(), "{}", process.log());
    assert!(!process.log().contains("are cut"), "{}", process.log());
}

#[test]
fn a_tier_that_leaves_tells_both_ends_of_a_websocket() {
    for name in ["security", "routing"] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a listener");
        let rig = scene(listener.local_addr().expect("an address")).raise(&BINARIES);
        let leaving = if name == "security" { &rig.security } else { &rig.routing };
        let door = leaving.listener(if name == "security" { "https" } else { "link" });
        let talk = async {
            let mut client = opens(&rig).await;
            let mut instance = granted(&listener).await;
            assert!(reads_head(&mut client).await.starts_with("HTTP/1.1 101 "));
            client.write_all(&masked(0x81, b"hi")).await.expect("said");
            reads(&mut instance, &masked(0x81, b"hi")).await;
            // A frame is under way in each direction, a fragment of a message, when the word comes.
            let (question, answer) = (masked(0x01, b"a fragment"), unmasked(0x02, b"another one"));
            client.write_all(&question[..9]).await.expect("said");
            reads(&mut instance, &question[..9]).await;
            instance.write_all(&answer[..1]).await.expect("said");
            reads(&mut client, &answer[..1]).await;
            leaving.terminate();
            until("nobody is let in any more", || std::net::TcpStream::connect(door).is_err().then_some(()));
            client.write_all(&question[9..]).await.expect("said");
            reads(&mut instance, &question[9..]).await;
            reads_masked_close(&mut instance).await;
            instance.write_all(&answer[1..]).await.expect("said");
            reads(&mut client, &answer[1..]).await;
            reads(&mut client, &GOING_AWAY).await;
            // What each end says before it has read the Close is too late; then it answers, and the connection ends.
            client.write_all(&[masked(0x80, b"late"), masked(0x88, &[0x03, 0xe9])].concat()).await.expect("said");
            instance.write_all(&[unmasked(0x80, b"late"), GOING_AWAY.to_vec()].concat()).await.expect("said");
            reads_the_end(&mut client).await;
            reads_the_end(&mut instance).await;
        };
        runtime.block_on(async { tokio::time::timeout(EXCHANGE_MAX, talk).await.expect("it ends") });
        drained(leaving);
        let record = until("the upgraded connection's record is written", || rig.records().into_iter().next());
        // Of a tier 2 that leaves, tier 1 sees what the client sees: an ordinary Close.
        assert_eq!(record["gateway.end"], if name == "security" { "drained" } else { "upgraded" }, "{record}");
        let told = || rig.events(name).into_iter().find(|event| event["gateway.end"] == "drained" && event["gateway.requests"] == 1);
        until("the connection's own record says so too", told);
    }
}

#[test]
fn websockets_at_rest_do_not_hold_up_a_drain() {
    for name in ["security", "routing"] {
        let drain = ("drain: { wait: 200ms, deadline: 5s }", "drain: { wait: 0s, deadline: 600s }");
        let rig = Scene::default().security(drain.0, drain.1).routing(drain.0, drain.1).raise(&BINARIES);
        let leaving = if name == "security" { &rig.security } else { &rig.routing };
        let talk = async {
            let mut clients = Vec::new();
            for _ in 0..8 {
                let mut client = opens(&rig).await;
                assert!(reads_head(&mut client).await.starts_with("HTTP/1.1 101 "));
                client.write_all(&masked(0x81, b"hi")).await.expect("said");
                reads(&mut client, &unmasked(0x81, b"hi")).await;
                clients.push(client);
            }
            leaving.terminate();
            for client in &mut clients {
                reads(client, &GOING_AWAY).await;
                client.write_all(&masked(0x88, &[0x03, 0xe9])).await.expect("said");
                reads_the_end(client).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async { tokio::time::timeout(EXCHANGE_MAX, talk).await.expect("it ends") });
        drained(leaving);
        until("each has its record", || (rig.records().len() == 8).then_some(()));
    }
}
