//! Floods over HTTP/2: each ends its own connection, tells why, and leaves every other client untouched.
//!
//! A witness asks over a connection of its own from the first frame to the last. What the flood's requests did to an instance is read from the
//! ledgers: they carry numbers of their own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tests::frames::hpack::{Fields, literal};
use tests::frames::seen::Seen;
use tests::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, in_parts, opening, settings,
};
use tests::raw::{End, Raw};
use tests::rig::Rig;
use tests::rig::quiet::Quiet;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

/// Frames of one flood at most, should nobody stop it.
const FRAMES_MAX: usize = 50_000;
/// Frames in one flight.
const FLIGHT: usize = 100;
/// How long an answer to the witness may take.
const WITHIN: Duration = Duration::from_secs(2);

/// One flood: what it begins with, what is repeated, and the reason of the connection that it ends.
struct Flood {
    name: &'static str,
    opening: Vec<u8>,
    /// Stream 1 is answered before the first wave.
    is_heard: bool,
    wave: Box<dyn Fn(u32) -> Vec<u8>>,
    reason: &'static str,
}

fn flood(name: &'static str, opening: Vec<u8>, wave: impl Fn(u32) -> Vec<u8> + 'static, reason: &'static str) -> Flood {
    Flood { name, opening, is_heard: false, wave: Box::new(wave), reason }
}

fn floods(token: &str) -> Vec<Flood> {
    let request = |method: &str| Fields::request(method, "/orders/1").add("x-ledger", "flood");
    let post = request("POST").add("authorization", format!("Bearer {token}"));
    let (get, half) = (request("GET"), request("POST"));
    // One field of 3900 bytes in the table, and then 10,000 times by one octet each: 39 MB for 14 KB.
    let bomb = [&request("GET").block()[..], &literal(0x40, b"x-bomb", &[b'x'; 3900]), &[0xbe; 10_000]].concat();
    // A head that is long enough for a 431 of the gateway's own, by a client that keeps a table: hyper's own 431 is one octet from then on.
    let long = in_parts(END_STREAM, 1, &request("GET").add("x-long", vec![b'x'; 33 * 1024]).block());
    let long = [settings(&[(HEADER_TABLE_SIZE, 4096)]), long].concat();
    let small = [&request("GET").block()[..], &literal(0x40, b"x-bomb", &[b'x'; 3900]), &[0xbe; 30]].concat();
    let begun = frame(HEADERS, END_STREAM, 1, &get.block());
    vec![
        flood(
            "rapid reset",
            vec![],
            move |number| [get.whole(2 * number + 1), frame(RST_STREAM, 0, 2 * number + 1, &CANCEL.to_be_bytes())].concat(),
            "h2-flood-rst-stream",
        ),
        flood("CONTINUATION", begun, |_| frame(CONTINUATION, 0, 1, b""), "h2-flood-continuation"),
        flood("SETTINGS", vec![], |_| frame(SETTINGS, 0, 0, b""), "h2-flood-settings"),
        flood("PING", vec![], |_| frame(PING, 0, 0, b"12345678"), "h2-flood-ping"),
        flood("empty DATA", post.open(1), |_| frame(DATA, 0, 1, b""), "h2-flood-empty-data"),
        flood("WINDOW_UPDATE", vec![], |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()), "h2-flood-window-update"),
        flood("PRIORITY", vec![], |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]), "h2-flood-priority"),
        flood("unknown frames", vec![], |_| frame(0xfa, 0, 0, b""), "h2-flood-unknown"),
        flood("HPACK expansion", vec![], move |number| frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &bomb), "head-too-large"),
        Flood {
            is_heard: true,
            ..flood(
                "HPACK expansion behind a head that was answered",
                long,
                move |number| frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 3, &small),
                "head-too-large",
            )
        },
        flood("streams left half open", vec![], move |number| half.open(2 * number + 1), "h2-flood-streams"),
    ]
}

/// Sends waves until the other side has had enough; the connection's port.
fn rage(rig: &Rig, flood: &Flood) -> u16 {
    let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
    let sent = raw.send(&[opening(&[]), flood.opening.clone()].concat());
    if flood.is_heard {
        let _ = raw.read_until(|bytes| Seen::read(bytes).has(1));
    }
    let mut number = 0;
    while sent.is_ok() && (number as usize) < FRAMES_MAX {
        let flight: Vec<u8> = (number..).take(FLIGHT).flat_map(|number| (flood.wave)(number)).collect();
        number += FLIGHT as u32;
        if raw.send(&flight).is_err() {
            break;
        }
    }
    let (_, end) = raw.read_to_end();
    assert_ne!(end, End::StillOpen, "{}: {number} waves", flood.name);
    raw.local().port()
}

/// Asks over one connection until it is told to stop; how often it was answered.
fn witness(rig: &Rig, token: &str, stop: &AtomicBool, answered: &AtomicU32) {
    let mut raw = Raw::open(rig.door(), &rig.identity(), "http/1.1");
    let request = format!("GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nx-ledger: witness\r\n\r\n");
    while !stop.load(Ordering::Acquire) {
        let asked = Instant::now();
        raw.send(request.as_bytes()).expect("sent");
        let answer = raw.read_until(|bytes| bytes.ends_with(b"}\n"));
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        assert!(asked.elapsed() < WITHIN, "{:?}", asked.elapsed());
        answered.fetch_add(1, Ordering::Release);
    }
}

/// Runs `deed` while the witness is answered, before, during and after it.
fn witnessed<T>(rig: &Rig, token: &str, deed: impl FnOnce() -> T) -> T {
    let (stop, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let witness = scope.spawn(|| {
            let identity = rig;
            witness(identity, token, &stop, &answered);
        });
        let further = || {
            let before = answered.load(Ordering::Acquire);
            until("the witness is answered", || (witness.is_finished() || answered.load(Ordering::Acquire) > before).then_some(()));
        };
        further();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(deed));
        further();
        stop.store(true, Ordering::Release);
        witness.join().expect("the witness was always answered in time");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The reason in the connection's record.
fn reason(rig: &Rig, port: u16) -> String {
    let record = until("the connection has its record", || rig.events("security").into_iter().find(|event| event["client.port"] == port));
    record["gateway.reason"].as_str().unwrap_or("none").to_owned()
}

/// All that was taken is given back.
fn settled(rig: &Rig) {
    let gauge = |series: &str| rig.security.metric(series);
    until("nothing is in flight", || (gauge("gateway_requests_in_flight") < 0.5).then_some(()));
    until("no connection is open", || (gauge("gateway_connections_open{listener=\"https\"}") < 0.5).then_some(()));
}

fn scene() -> Rig {
    Scene::default().security("drain:", "limits: { body: 1s }\ndrain:").raise(&BINARIES)
}

#[test]
fn a_flood_ends_its_connection_and_no_other() {
    let _quiet = Quiet::wait();
    let rig = scene();
    let token = rig.editor();
    let told: Vec<_> = witnessed(&rig, &token, || {
        floods(&token).iter().map(|flood| (flood.name, reason(&rig, rage(&rig, flood)), flood.reason)).collect()
    });
    let wrong: Vec<_> = told.iter().filter(|(_, told, expected)| told != expected).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    settled(&rig);
    let reached = rig.instances.ledger("orders");
    assert!(reached.iter().all(|entry| entry.starts_with("witness")), "nothing of a flood is done");
    rig.knock("GET /orders/1").with(&token).h2().check("200 orders");
}

#[test]
fn answers_that_nobody_takes_are_given_up() {
    let _quiet = Quiet::wait();
    const STREAMS: u32 = 20;
    let rig = scene();
    let token = rig.editor();
    let ask =
        Fields::request("GET", "/orders/1?download=10000000").add("authorization", format!("Bearer {token}")).add("x-ledger", "stall");
    let reason = witnessed(&rig, &token, || {
        let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
        let asked: Vec<u8> = (0..STREAMS).flat_map(|number| ask.whole(2 * number + 1)).collect();
        raw.send(&[opening(&[(INITIAL_WINDOW_SIZE, 0)]), asked].concat()).expect("sent");
        // The window of the connection is open; it is the streams' that never are.
        let (bytes, end) = raw.read_to_end();
        assert_ne!(end, End::StillOpen);
        let seen = Seen::read(&bytes);
        assert!(seen.answers.values().all(|answer| answer.status == 200 && answer.body.is_empty()), "{seen:?}");
        reason(&rig, raw.local().port())
    });
    assert_eq!(reason, "stream-stalled");
    settled(&rig);
    let stalled = rig.instances.ledger("orders").iter().filter(|entry| entry.starts_with("stall")).count();
    assert_eq!(stalled, STREAMS as usize, "each was asked for once");
}
