//! An instance asked over raw sockets, so that what is on the wire is what is tested.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

/// Runs `asking` against an instance on a free port, then stops the instance, which must end.
fn with_instance<F: Future<Output = ()>>(asking: impl FnOnce(Arc<Instance>, std::net::SocketAddr, Arc<Notify>) -> F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let instance = Arc::new(Instance::new("orders", "orders-1"));
        let stop = Arc::new(Notify::new());
        let served = Arc::clone(&instance).serve(listener, stop.notified());
        let asked = async {
            asking(instance, address, Arc::clone(&stop)).await;
            stop.notify_one();
        };
        timeout(Duration::from_secs(20), async { tokio::join!(served, asked) }).await.unwrap();
    });
}

/// Everything the instance says to `request` until it closes.
async fn say(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

fn seen(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn it_says_back_what_it_saw_and_notes_it_once() {
    with_instance(|instance, address, _| async move {
        let answer = say(address, "POST /orders/1?x=1 HTTP/1.1\r\nhost: o\r\nx-ledger: 7\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
        let seen = seen(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!((&seen["service"], &seen["instance"], &seen["method"]), (&json!("orders"), &json!("orders-1"), &json!("POST")));
        assert_eq!((&seen["path"], &seen["body_bytes"], &seen["headers"]["x-a"]), (&json!("/orders/1?x=1"), &json!(5), &json!("1, 2")));
        assert_eq!(instance.ledger.entries(), ["7 POST"]);
        assert!(say(address, "GET /ledger HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n").await.ends_with("\r\n\r\n7 POST\n"));
    });
}

#[test]
fn a_body_that_breaks_off_is_not_noted() {
    with_instance(|instance, address, _| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: o\r\nx-ledger: 8\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(instance.ledger.entries().is_empty());
    });
}

#[test]
fn wishes_are_granted() {
    with_instance(|_, address, _| async move {
        let ask = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n");
        let answer = say(address, &ask("/?download=200001")).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 200001"), "{head}");
        assert_eq!(body.len(), 200_001);
        let answer = say(address, &ask("/?status=503&answer_header=x-gw-trail:forged&delay_ms=1")).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("x-gw-trail: forged\r\n"), "{answer}");
    });
}

#[test]
fn trailers_come_back_behind_the_body() {
    with_instance(|_, address, _| async move {
        let answer = say(address, "POST / HTTP/1.1\r\nhost: o\r\nte: trailers\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 9\r\n\r\n").await;
        assert!(answer.contains("trailer: x-sum\r\n"), "{answer}");
        assert!(answer.contains("\"trailers\":{\"x-sum\":\"9\"}"), "{answer}");
        assert!(answer.ends_with("0\r\nx-sum: 9\r\n\r\n"), "{answer}");
    });
}

#[test]
fn after_an_upgrade_bytes_and_frames_come_back() {
    with_instance(|_, address, _| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: o\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n").await.unwrap();
        assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        stream.write_all(b"over and out").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"over and out");

        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: o\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(head_of(&mut stream).await.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
        let mut frame = [0; 4];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x02hi");
    });
}

#[test]
fn a_stop_lets_a_request_under_way_end_and_closes_idle_connections() {
    with_instance(|instance, address, stop| async move {
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: o\r\n\r\n").await.unwrap();
        assert!(head_of(&mut idle).await.starts_with("HTTP/1.1 200"));
        busy.write_all(b"GET /?delay_ms=300 HTTP/1.1\r\nhost: o\r\nx-ledger: 1\r\n\r\n").await.unwrap();
        while instance.ledger.entries().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.notify_one();
        let mut rest = String::new();
        idle.read_to_string(&mut rest).await.unwrap();
        busy.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("HTTP/1.1 200 OK\r\n") && rest.contains("connection: close\r\n"), "{rest}");
        assert!(TcpStream::connect(address).await.is_err());
    });
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
