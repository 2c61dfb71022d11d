//! Clients that are slow on purpose: each is ended by the deadline that is its own, told so where it can still be told, recorded with the reason, and
//! costs nobody else anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tests::crowd::witness::Witness;
use tests::rig::Rig;
use tests::rig::client::{greet, terms};
use tests::rig::quiet::Quiet;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::client::TlsStream;

use crate::BINARIES;

/// Deadlines that a test can wait for.
const LIMITS: &str =
    "workers: 2\nlimits: { handshake: 2s, head: 2s, body: 2s, body_grace: 2s, idle: 60s, connections_per_address_max: 10000 }";

/// Slow clients of one kind.
const SLOW: usize = 24;

/// Clients that never finish their hello.
const HALF_OPEN: usize = 1000;

/// Between two bytes of a slow client. Whoever counts silence alone never ends it.
const BYTE_EVERY: Duration = Duration::from_millis(50);

/// The longest that a client may be let go on, on a machine that has much else to do.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// A slow client, which goes on until it is ended or dropped.
struct Slow {
    port: u16,
    answer: JoinHandle<Vec<u8>>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

/// How a client is slow.
#[derive(Clone, Copy)]
enum Pace {
    /// It sends one byte after another.
    Sends,
    /// It takes one byte after another.
    Takes,
    /// It does nothing at all.
    Rests,
}

#[test]
fn a_head_that_dribbles_is_answered_with_408() {
    let _quiet = Quiet::wait();
    let rig = Scene::default().security("workers: 2", LIMITS).raise(&BINARIES);
    let witness = Witness::watch(&rig);
    let clients = be_slow(&rig, "GET /public/slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", Pace::Sends);
    check_over(&rig, witness, clients.iter().map(|client| client.port), |record| record["gateway.reason"] == "head-timeout");
    for answer in answers(&rig, clients) {
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"reason\":\"head-timeout\""), "{answer}");
    }
}

#[test]
fn a_body_that_dribbles_is_answered_with_408() {
    let _quiet = Quiet::wait();
    let rig = Scene::default().security("workers: 2", LIMITS).raise(&BINARIES);
    let witness = Witness::watch(&rig);
    let clients = be_slow(&rig, "POST /public/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", Pace::Sends);
    let ports: Vec<_> = clients.iter().map(|client| client.port).collect();
    for answer in answers(&rig, clients) {
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"reason\":\"body-timeout\""), "{answer}");
    }
    // It was a request, so that the reason stands in its record; its connection was closed behind the answer.
    until("each has its record", || {
        let timeouts = rig.records().into_iter().filter(|record| record["gateway.reason"] == "body-timeout").count();
        (timeouts == SLOW).then_some(())
    });
    check_over(&rig, witness, ports.into_iter(), |record| record["gateway.end"].is_string());
}

#[test]
fn an_answer_that_is_taken_byte_by_byte_or_not_at_all_is_broken_off() {
    let _quiet = Quiet::wait();
    let rig = Scene::default().security("workers: 2", LIMITS).raise(&BINARIES);
    let witness = Witness::watch(&rig);
    let request = "GET /public/slow?download=100000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut clients = be_slow(&rig, request, Pace::Takes);
    clients.extend(be_slow(&rig, request, Pace::Rests));
    check_over(&rig, witness, clients.iter().map(|client| client.port), |record| record["gateway.reason"] == "stalled");
    let records = rig.records();
    assert!(
        records.iter().filter(|record| record["url.path"] == "/public/slow").count() >= clients.len(),
        "each has its record: {records:?}"
    );
}

#[test]
fn a_thousand_half_open_handshakes_are_ended_and_disturb_nobody() {
    let _quiet = Quiet::wait();
    let rig = Scene::default().security("workers: 2", LIMITS).raise(&BINARIES);
    let witness = Witness::watch(&rig);
    let hello = hello(&rig);
    let half: Arc<[u8]> = hello[..hello.len() / 2].into();
    let door = rig.door();
    let ports = together(HALF_OPEN, move |_| {
        let half = Arc::clone(&half);
        async move {
            let mut line = TcpStream::connect(door).await?;
            let port = line.local_addr()?.port();
            line.write_all(&half).await?;
            // However it is ended; the record tells by what.
            let _ = line.read(&mut [0; 64]).await;
            Ok(port)
        }
    });
    check_over(&rig, witness, ports.into_iter(), |record| record["gateway.reason"] == "handshake-timeout");
}

/// Has [`SLOW`] clients send `start` and then be slow.
fn be_slow(rig: &Rig, start: &'static str, pace: Pace) -> Vec<Slow> {
    let (door, terms) = (rig.door(), terms(&rig.identity(), &[b"http/1.1"]).expect("the rig's identity is good"));
    rig.stage().run(async move {
        let mut clients = Vec::new();
        for _ in 0..SLOW {
            let socket = TcpSocket::new_v4().expect("a socket");
            // What is not read must be felt at the other end, and not lie in this one's kernel.
            socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
            let stream = socket.connect(door).await.expect("the door takes it");
            let port = stream.local_addr().expect("an address").port();
            let mut line = greet(stream, Arc::clone(&terms), "localhost").await.expect("a handshake");
            line.write_all(start.as_bytes()).await.expect("the beginning is taken");
            line.flush().await.expect("the beginning is taken");
            clients.push(Slow { port, answer: Handle::current().spawn(go_on(line, pace)) });
        }
        clients
    })
}

/// What the clients were told in the end.
fn answers(rig: &Rig, clients: Vec<Slow>) -> Vec<String> {
    let clients = clients.into_iter().map(|mut client| async move { (&mut client.answer).await.expect("it ends by itself") });
    let all = clients.collect::<Vec<_>>();
    rig.stage().run(async move {
        let mut answers = Vec::new();
        for answer in all {
            let answer = timeout(ENDED_WITHIN, answer).await.expect("it was ended");
            answers.push(String::from_utf8_lossy(&answer).into_owned());
        }
        answers
    })
}

/// Goes on slowly until there is no more to it; what was read.
async fn go_on(mut line: TlsStream<TcpStream>, pace: Pace) -> Vec<u8> {
    let mut every = interval(BYTE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut answer, mut byte, mut sends) = (Vec::new(), [0], true);
    loop {
        tokio::select! {
            biased;
            // Before more is sent: who sends to a connection that was closed meanwhile is reset, and loses what was not read.
            read = line.read_buf(&mut answer), if matches!(pace, Pace::Sends) => {
                if !matches!(read, Ok(1..)) {
                    return answer;
                }
            }
            _ = every.tick() => match pace {
                Pace::Sends => sends = sends && line.write_all(b"a").await.is_ok() && line.flush().await.is_ok(),
                Pace::Takes if matches!(line.read(&mut byte).await, Ok(1)) => answer.extend(byte),
                Pace::Takes => return answer,
                Pace::Rests => {}
            },
        }
    }
}

/// Does something for `number` clients at the same time, on this thread.
fn together<T, F>(number: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = std::io::Result<T>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for place in 0..number {
            all.spawn(timeout(ENDED_WITHIN, work(place)));
        }
        let ended = all.join_all().await;
        ended.into_iter().map(|one| one.expect("it was ended in time").expect("it was let in")).collect()
    })
}

/// A whole ClientHello.
fn hello(rig: &Rig) -> Vec<u8> {
    let terms = terms(&rig.identity(), &[b"h2", b"http/1.1"]).expect("the rig's identity is good");
    let mut client = ClientConnection::new(terms, ServerName::try_from("localhost").expect("a name")).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory takes all");
    hello
}

/// Every one of these clients has a connection record that tells `why`, the witness was served all the while, and nothing is left of them.
#[track_caller]
fn check_over(rig: &Rig, witness: Witness, ports: impl Iterator<Item = u16>, why: fn(&Value) -> bool) {
    let missing: BTreeSet<u64> = ports.map(u64::from).collect();
    until("every one of them was ended with its reason", || {
        let told = |record: &Value| why(record).then(|| record["client.port"].as_u64()).flatten();
        let told: BTreeSet<_> = rig.events("security").iter().filter_map(told).collect();
        missing.is_subset(&told).then_some(())
    });
    assert!(witness.end() > 3);
    until("no connection is open", || (rig.security.metric("gateway_connections_open{listener=\"https\"}") == 0.0).then_some(()));
    let requests = rig.security.metric("gateway_requests_in_flight");
    assert_eq!(requests, 0.0);
    rig.security.assert_alive();
}
