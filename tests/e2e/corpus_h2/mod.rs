//! Hostile HTTP/2, frame by frame: what each case is answered, what is recorded of it, and that no instance ever hears of it.
//!
//! Behind each case, in the same flight, stands a canary: a lawful request with a valid token on a later stream. Who breaks the protocol, be it on
//! one stream alone, loses the connection and the canary with it: what one reader takes for an error of a stream another one may take for the
//! end of it, so that nothing behind it has one meaning. What is well framed but refused for what it says (a path, a host, a size) costs its own
//! stream alone, because other users may share the connection of a proxy: it is answered and recorded like any refusal, and the canary is served.
//! RFC 9113 §5.4.2 allows either: "an endpoint MAY choose to treat a stream error as a connection error".

mod frames;
mod messages;
mod twins;

use std::collections::BTreeMap;

use serde_json::Value;
use tests::frames::hpack::Fields;
use tests::frames::seen::Seen;
use tests::frames::{DATA, frame, opening};
use tests::raw::{End, Raw};
use tests::rig::Rig;
use tests::rig::wait::until;

use crate::BINARIES;

/// The stream of what was served before, where something was.
const WARM: u32 = 1;
/// The stream of what a case is about.
const HOSTILE: u32 = 3;
/// The stream of the canary, far above all others.
const CANARY: u32 = 101;

/// A malformed message, which hyper answers with RST_STREAM; the guard makes it the end of the connection.
const MALFORMED: &str = "reset 1, goaway 1, h2-protocol-error";
/// An error of the connection.
const BROKEN: &str = "goaway 1, h2-protocol-error";

/// One case. The expectation names what came back on the streams that are not the canary's, and the connection's reason where it ended.
struct Case {
    name: &'static str,
    flight: Vec<u8>,
    expected: &'static str,
    /// The flight begins with the preface by itself, or does not.
    is_bare: bool,
    /// Something was served on the connection before.
    is_warm: bool,
}

fn case(name: &'static str, flight: Vec<u8>, expected: &'static str) -> Case {
    Case { name, flight, expected, is_bare: false, is_warm: false }
}

/// What the requests of one rig are made of.
struct Maker {
    bearer: String,
}

impl Maker {
    fn request(&self, method: &str, path: &str, number: &str) -> Fields {
        Fields::request(method, path).add("authorization", &self.bearer).add("x-ledger", number)
    }

    fn get(&self) -> Fields {
        self.request("GET", "/orders/1", "hostile")
    }

    fn post(&self) -> Fields {
        self.request("POST", "/orders/1", "hostile")
    }
}

/// What became of a case, but for its records.
struct Outcome {
    port: u16,
    told: String,
    /// How often the connection was asked for something lawful.
    lawful: usize,
    is_open: bool,
}

fn play(rig: &Rig, maker: &Maker, case: &Case) -> Outcome {
    let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
    let mut all = Vec::new();
    if !case.is_bare {
        all.extend(opening(&[]));
    }
    if case.is_warm {
        all.extend(maker.request("GET", "/orders/1", "warm").whole(WARM));
        raw.send(&all).expect("sent");
        let warm = raw.read_until(|bytes| Seen::read(bytes).has(WARM));
        assert_eq!(Seen::read(&warm).answers[&WARM].says(), "200 orders", "{}", case.name);
        all.clear();
    }
    all.extend(&case.flight);
    all.extend(maker.request("GET", "/orders/2", "canary").whole(CANARY));
    raw.send(&all).expect("sent");
    let is_open = !case.expected.contains("goaway");
    let (bytes, end) = if is_open {
        let told = |seen: &Seen| seen.has(CANARY) && (seen.has(HOSTILE) || seen.resets.iter().any(|&(stream, _)| stream == HOSTILE));
        let (bytes, end) = raw.read_while(|bytes| !told(&Seen::read(bytes)));
        (bytes, end.unwrap_or(End::StillOpen))
    } else {
        raw.read_to_end()
    };
    let seen = Seen::read(&bytes);
    let canary = seen.answers.get(&CANARY).map(tests::frames::seen::Answer::says);
    let mut told: Vec<String> =
        seen.answers.iter().filter(|&(&stream, _)| stream != WARM && stream != CANARY).map(|(_, answer)| answer.says()).collect();
    told.extend(seen.resets.iter().map(|(_, code)| format!("reset {code}")));
    told.extend(seen.farewells.iter().map(|code| format!("goaway {code}")));
    let as_expected = if is_open { canary.as_deref() == Some("200 orders") } else { canary.is_none() && end == End::Closed };
    if !as_expected {
        told.push(format!("canary {canary:?}, {end:?}"));
    }
    let lawful = usize::from(case.is_warm) + usize::from(canary.is_some());
    Outcome { port: raw.local().port(), told: told.join(", "), lawful, is_open }
}

/// The connections' records by the ports of their clients, once all of `ports` have one.
fn connections(rig: &Rig, outcomes: &[Outcome]) -> BTreeMap<u64, Value> {
    until("every connection has its record", || {
        let events = rig.events("security").into_iter();
        let all: BTreeMap<u64, Value> = events.filter_map(|event| Some((event["client.port"].as_u64()?, event))).collect();
        outcomes.iter().all(|outcome| all.contains_key(&u64::from(outcome.port))).then_some(all)
    })
}

#[test]
fn hostile_http2_reaches_no_instance_and_is_recorded() {
    let rig = Rig::two_tier(&BINARIES);
    let maker = Maker { bearer: format!("Bearer {}", rig.editor()) };
    let cases: Vec<Case> = messages::cases(&maker).into_iter().chain(frames::cases(&maker)).collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let outcomes: Vec<_> = cases.iter().map(|case| play(&rig, &maker, case)).collect();

    let connections = connections(&rig, &outcomes);
    let lawful: usize = outcomes.iter().map(|outcome| outcome.lawful).sum();
    let answered = |record: &Value| record["http.response.status_code"] == 200;
    let records = until("every lawful request has its record", || {
        let records = rig.records();
        (records.iter().filter(|record| answered(record)).count() >= lawful).then_some(records)
    });
    let mut wrong = Vec::new();
    for (case, outcome) in cases.iter().zip(&outcomes) {
        let connection = &connections[&u64::from(outcome.port)];
        let mut told = outcome.told.clone();
        let own = || records.iter().filter(|record| record["gateway.connection"] == connection["gateway.connection"]);
        if outcome.is_open {
            let reason = told.split_once(' ').map_or("", |(_, reason)| reason);
            if !own().any(|record| record["gateway.reason"] == *reason) {
                told += ", which no record tells";
            }
        } else {
            told = format!("{told}, {}", connection["gateway.reason"].as_str().unwrap_or("no reason"));
        }
        if own().filter(|record| answered(record)).count() != outcome.lawful {
            told += ", and more was served than was lawful";
        }
        if told != case.expected {
            wrong.push(format!("{}: {told}; expected {}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let reached: Vec<_> = [rig.instances.ledger("orders"), rig.instances.ledger("users")].concat();
    assert!(!reached.iter().any(|entry| entry.starts_with("hostile")), "{reached:?}");
    assert_eq!(reached.len(), lawful, "{reached:?}");
    assert_eq!(broken_links(&rig), Vec::<Value>::new());
}

/// Records of the connections between the tiers that tier 2's guard ended: those would be other clients' connections too.
fn broken_links(rig: &Rig) -> Vec<Value> {
    rig.events("routing").into_iter().filter(|event| event["gateway.end"] == "refused").collect()
}

#[test]
fn lawful_twins_are_served() {
    let rig = Rig::two_tier(&BINARIES);
    let maker = Maker { bearer: format!("Bearer {}", rig.editor()) };
    let twins = twins::twins(&maker);
    for (name, flight) in &twins {
        let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
        raw.send(&[opening(&[]), flight.clone(), maker.request("GET", "/orders/2", "after").whole(CANARY)].concat()).expect("sent");
        let bytes = raw.read_until(|bytes| Seen::read(bytes).has(HOSTILE) && Seen::read(bytes).has(CANARY));
        let seen = Seen::read(&bytes);
        assert_eq!((seen.answers[&HOSTILE].says().as_str(), seen.answers[&CANARY].says().as_str()), ("200 orders", "200 orders"), "{name}");
        assert!(!String::from_utf8_lossy(&seen.answers[&HOSTILE].body).contains("forged"), "{name}");
        assert!(seen.farewells.is_empty() && seen.resets.is_empty(), "{name}: {seen:?}");
    }
    assert_eq!(rig.instances.ledger("orders").len(), 2 * twins.len());
    assert_eq!(broken_links(&rig), Vec::<Value>::new());
}

#[test]
fn trailers_beyond_their_ceilings_cost_their_own_stream_alone() {
    let rig = Rig::two_tier(&BINARIES);
    let maker = Maker { bearer: format!("Bearer {}", rig.editor()) };
    // `x-sum`, colon and space, CRLF, and the empty line make 11 bytes.
    let long = |bytes: usize| Fields::default().add("x-sum", "1".repeat(bytes - 11));
    let many = |fields: usize| (0..fields).fold(Fields::default(), |all, _| all.add("x-sum", "1"));
    for (name, trailers, expected) in [
        ("the longest", long(4096), "200 orders"),
        ("one byte more", long(4097), "431 head-too-large"),
        ("twice as long", long(8192), "431 head-too-large"),
        ("the most", many(100), "200 orders"),
        ("one more", many(101), "431 head-too-large"),
    ] {
        let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
        let head = maker.post().add("te", "trailers").add("trailer", "x-sum").open(HOSTILE);
        let flight = [opening(&[]), head, frame(DATA, 0, HOSTILE, b"x"), trailers.whole(HOSTILE)].concat();
        raw.send(&[flight, maker.request("GET", "/orders/2", "canary").whole(CANARY)].concat()).expect("sent");
        let bytes = raw.read_until(|bytes| Seen::read(bytes).has(HOSTILE) && Seen::read(bytes).has(CANARY));
        let seen = Seen::read(&bytes);
        assert_eq!((seen.answers[&HOSTILE].says().as_str(), seen.answers[&CANARY].says().as_str()), (expected, "200 orders"), "{name}");
        assert!(seen.farewells.is_empty(), "{name}: {seen:?}");
    }
    assert_eq!(broken_links(&rig), Vec::<Value>::new());
}

/// The HTTP library drops it while it reads `:path`: nobody can refuse it, and nobody is told of it.
#[test]
fn what_stands_behind_a_hash_in_a_path_is_seen_by_nobody() {
    let rig = Rig::two_tier(&BINARIES);
    let maker = Maker { bearer: format!("Bearer {}", rig.editor()) };
    for path in ["/orders/1#/forged", "/orders/1?a=b#forged", "/orders/1#?forged"] {
        let mut raw = Raw::open(rig.door(), &rig.identity(), "h2");
        raw.send(&[opening(&[]), maker.get().set(":path", path).whole(HOSTILE)].concat()).expect("sent");
        let bytes = raw.read_until(|bytes| Seen::read(bytes).has(HOSTILE));
        let seen = Seen::read(&bytes);
        assert_eq!(seen.answers[&HOSTILE].says(), "200 orders", "{path}");
        assert!(!String::from_utf8_lossy(&seen.answers[&HOSTILE].body).contains("forged"), "{path}");
    }
    let records = until("each has its record", || Some(rig.records()).filter(|records| records.len() >= 3));
    for record in records {
        assert_eq!(record["url.path"], "/orders/1");
        assert!(!record.to_string().contains("forged"), "{record}");
    }
}
