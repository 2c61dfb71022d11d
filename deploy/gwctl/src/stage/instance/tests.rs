//! An instance asked over raw sockets, so that what is on the wire is what is tested.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
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

#[test]
fn a_stop_serves_whoever_has_not_heard_of_it_and_tells_them() {
    with_instance(|_, address, stop| async move {
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: o\r\n\r\n").await.unwrap();
        assert!(!head_of(&mut idle).await.contains("connection: close"));
        stop.notify_one();
        // The stop is taken up before a connection that comes after it.
        let answer = say(address, "GET / HTTP/1.1\r\nhost: o\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close\r\n"), "{answer}");
        idle.write_all(b"GET / HTTP/1.1\r\nhost: o\r\n\r\n").await.unwrap();
        let mut rest = String::new();
        idle.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("HTTP/1.1 200 OK\r\n") && rest.contains("connection: close\r\n"), "{rest}");
    });
}

#[test]
fn messages_of_a_numbered_websocket_stand_in_the_ledger_and_leaving_is_told() {
    with_instance(|instance, address, stop| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: o\r\nx-ledger: w1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 101 "));
        stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'm', b'1']).await.unwrap();
        let mut frame = [0; 4];
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x02m1");
        assert_eq!(instance.ledger.entries(), ["w1 GET", "m1 MESSAGE"]);
        stop.notify_one();
        stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, [0x88, 2, 0x03, 0xe9]);
        stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).await.unwrap();
        assert_eq!(stream.read(&mut frame).await.unwrap(), 0);
    });
}

#[test]
fn an_answer_goes_out_in_one_write() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Counted { inner: server, writes: Arc::clone(&writes) };
        let (_depart, departing) = watch::channel(Departure::Serving);
        let served = tokio::runtime::Handle::current().spawn(Arc::new(Instance::new("orders", "orders-1")).connection(
            counted,
            Fate::default(),
            departing,
        ));
        for request in 1..=3 {
            client.write_all(b"POST /orders/1?delay_ms=1 HTTP/1.1\r\nhost: o\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            let mut said = vec![0; 4096];
            let length = client.read(&mut said).await.unwrap();
            assert!(said[..length].ends_with(b"}\n"), "the answer is whole after one read");
            assert_eq!(writes.load(Ordering::SeqCst), request);
        }
        drop(client);
        served.await.unwrap();
    });
}

/// What a request comes to while the instance is in a mood, and whether it stands in the ledger; then that the instance is well again.
fn ask_in(mood: Mood, check: impl Fn(&[u8], Option<io::ErrorKind>, bool)) {
    with_instance(|instance, address, _| async move {
        let request = b"POST / HTTP/1.1\r\nhost: o\r\nx-ledger: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The first exchange makes sure that the connection was accepted before.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: o\r\n\r\n").await.unwrap();
        head_of(&mut stream).await;
        instance.mood.send_replace(mood);
        let mut said = Vec::new();
        let told = match stream.write_all(request).await {
            Ok(()) => read_all(&mut stream, &mut said).await,
            Err(fault) => Err(fault),
        };
        check(&said, told.err().map(|fault| fault.kind()), !instance.ledger.entries().is_empty());
        instance.mood.send_replace(Mood::Well);
        assert!(say(address, "GET / HTTP/1.1\r\nhost: o\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    });
}

/// Reads to the end; what is left of an answer before goes too.
async fn read_all(stream: &mut TcpStream, said: &mut Vec<u8>) -> io::Result<usize> {
    while stream.read_u8().await? != b'\n' {}
    stream.read_to_end(said).await
}

#[test]
fn a_reset_comes_where_it_was_ordered() {
    let reset = Some(io::ErrorKind::ConnectionReset);
    ask_in(Mood::ResetsAtAccept, |said, fault, noted| {
        assert!(said.is_empty() && !noted, "{said:?}");
        assert!(fault == reset || fault == Some(io::ErrorKind::BrokenPipe), "{fault:?}");
    });
    ask_in(Mood::ResetsAfterRequest, |said, fault, noted| {
        assert!(said.is_empty() && fault == reset && noted, "{said:?} {fault:?} {noted}")
    });
    ask_in(Mood::ResetsInAnswer, |said, fault, noted| {
        assert!(b"HTTP/1.1 200 OK\r\ncontent".starts_with(said) && fault == reset && noted, "{said:?} {fault:?} {noted}");
    });
    ask_in(Mood::Slow(Duration::from_millis(20)), |said, fault, noted| {
        assert!(said.starts_with(b"HTTP/1.1 200 OK\r\n") && fault.is_none() && noted, "{said:?} {fault:?} {noted}");
    });
}

#[test]
fn whoever_connects_to_an_instance_that_resets_at_accept_is_reset() {
    with_instance(|instance, address, _| async move {
        instance.mood.send_replace(Mood::ResetsAtAccept);
        let told = async { TcpStream::connect(address).await?.read_u8().await }.await;
        assert_eq!(told.map_err(|fault| fault.kind()), Err(io::ErrorKind::ConnectionReset));
    });
}

#[test]
fn orders_come_over_a_socket_and_are_told_back() {
    let path = std::env::temp_dir().join(format!("gwctl-orders-{}", std::process::id()));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mood = watch::Sender::new(Mood::Well);
        // A predecessor that was killed leaves its socket.
        drop(control::listen(&path).unwrap());
        let orders = async {
            for (order, answer, expected) in [
                ("slow 20\n", "slow 20\n", Mood::Slow(Duration::from_millis(20))),
                ("resets-in-answer", "resets-in-answer\n", Mood::ResetsInAnswer),
                ("better\n", "\"better\" is no mood", Mood::ResetsInAnswer),
                ("well\n", "well\n", Mood::Well),
            ] {
                let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
                stream.write_all(order.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut told = String::new();
                stream.read_to_string(&mut told).await.unwrap();
                assert!(told.starts_with(answer), "{told}");
                assert_eq!(*mood.borrow(), expected);
            }
        };
        tokio::select! { () = control::follow(control::listen(&path).unwrap(), &mood) => {}, () = orders => {} }
    });
    std::fs::remove_file(&path).unwrap();
}

/// Counts the writes that reach the socket.
struct Counted {
    inner: tokio::io::DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        // A socket takes all slices with one writev.
        Pin::new(&mut self.inner).poll_write(cx, &slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
