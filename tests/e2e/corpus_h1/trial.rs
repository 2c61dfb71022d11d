//! One case, sent over a connection of its own, and what became of it.
//!
//! In: a case. Out: what was wrong, in words. It sends first and judges last, so that records are waited for once and not once for each case.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tests::raw::{End, Raw};
use tests::rig::Rig;
use tests::rig::wait::until;

use crate::corpus_h1::case::{Case, cat};

/// A case that was sent.
pub(super) struct Trial<'a> {
    family: &'static str,
    case: &'a Case,
    /// The canary behind it is to be served.
    lawful: bool,
    /// In the ledger: `h` and this for the request itself, `f` for those in front, `c` for the canary.
    number: usize,
    from: SocketAddr,
    answer: Vec<u8>,
    end: End,
}

/// Connections that each come from another port, so that a port names one connection's record.
#[derive(Default)]
pub(super) struct Ports {
    used: HashSet<u16>,
    /// Connections from ports that had been used; as long as they are open they are not met again.
    kept: Vec<Raw>,
}

impl Ports {
    fn open(&mut self, rig: &Rig) -> Raw {
        loop {
            let raw = Raw::open(rig.door(), &rig.identity(), "http/1.1");
            if self.used.insert(raw.local().port()) {
                return raw;
            }
            self.kept.push(raw);
        }
    }
}

const CANARY: &[u8] = b"GET /orders/canary HTTP/1.1\r\nHost: localhost:{port}\r\n{canary}Connection: close\r\n\r\n";

/// How often records are looked for before one that is missing counts as a fault.
const LOOKS_MAX: usize = 200;

static NEXT: AtomicUsize = AtomicUsize::new(0);
static TOKEN: OnceLock<String> = OnceLock::new();

impl<'a> Trial<'a> {
    /// Sends the case and the canary in one write, and reads to the end of the connection.
    pub(super) fn send(rig: &Rig, ports: &mut Ports, family: &'static str, case: &'a Case, lawful: bool) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let token = TOKEN.get_or_init(|| rig.editor());
        let auth = |role: char| format!("Authorization: Bearer {token}\r\nX-Ledger: {role}{number}\r\n");
        let host = format!("Host: localhost:{}\r\n", rig.door().port());
        let places = [
            ("{ours}", format!("{host}{}", auth('h'))),
            ("{front}", format!("{host}{}", auth('f'))),
            ("{auth}", auth('h')),
            ("{canary}", auth('c')),
            ("{host}", host.clone()),
            ("{port}", rig.door().port().to_string()),
        ];
        let canary = if case.finishes { &[][..] } else { CANARY };
        let bytes = places.iter().fold(cat(&[&case.bytes, canary]), |bytes, (place, text)| fill(&bytes, place.as_bytes(), text.as_bytes()));
        let mut raw = ports.open(rig);
        // A refused client may be cut off while it sends on; what it was told counts.
        let _ = raw.send(&bytes);
        if case.finishes {
            let _ = raw.finish();
        }
        let (answer, end) = raw.read_to_end();
        Self { family, case, lawful, number, from: raw.local(), answer, end }
    }

    /// The statuses of all answers, in order.
    fn statuses(&self) -> Vec<u16> {
        let text = String::from_utf8_lossy(&self.answer);
        text.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
    }

    /// What the last answer says of itself.
    fn told(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.answer);
        let (_, body) = text.rsplit_once("\r\n\r\n")?;
        Some(serde_json::from_str::<Value>(body).ok()?["reason"].as_str()?.to_owned())
    }

    fn connection<'b>(&self, connections: &'b [Value]) -> Option<&'b Value> {
        connections.iter().find(|record| record["client.port"] == self.from.port())
    }

    /// The last reason in the records of its requests.
    fn last_reason<'b>(&self, connections: &[Value], records: &'b [Value]) -> Option<&'b str> {
        let connection = &self.connection(connections)?["gateway.connection"];
        records
            .iter()
            .rev()
            .filter(|record| record["gateway.connection"] == *connection)
            .find_map(|record| record["gateway.reason"].as_str())
    }

    fn faults(&self, ledger: &[String], connections: &[Value], records: &[Value]) -> Vec<String> {
        let verdict = self.case.verdict;
        let mut faults = Vec::new();
        let mut compare = |what: &str, found: String, wanted: String| {
            if found != wanted {
                faults.push(format!("{}, {}: {what} is {found}, and not {wanted}", self.family, self.case.name));
            }
        };
        let canary = usize::from(self.lawful);
        let mut statuses = verdict.statuses.to_vec();
        statuses.extend(vec![200; canary]);
        compare("the list of statuses", format!("{:?}", self.statuses()), format!("{statuses:?}"));
        compare("the end", format!("{:?}", self.end), format!("{:?}", End::Closed));
        let entries = |roles: &str| {
            let is_own = |entry: &&String| {
                let number = entry.split(' ').next().and_then(|word| word.strip_prefix(|role| roles.contains(role)));
                number == Some(&self.number.to_string())
            };
            ledger.iter().filter(is_own).count()
        };
        compare("the number of requests that an instance served", entries("hf").to_string(), verdict.served.to_string());
        compare("the number of canaries served", entries("c").to_string(), canary.to_string());

        let Some(connection) = self.connection(connections) else {
            faults.push(format!("{}, {}: no record of its connection", self.family, self.case.name));
            return faults;
        };
        compare("the connection's reason", said(&connection["gateway.reason"]), verdict.reason.unwrap_or("none").to_owned());
        let refused = connection["gateway.end"] == "refused";
        compare("whether the connection was refused", refused.to_string(), verdict.reason.is_some().to_string());
        compare(
            "the reason of the request's record",
            self.last_reason(connections, records).unwrap_or("none").to_owned(),
            verdict.told.unwrap_or("none").to_owned(),
        );
        let answered = !verdict.statuses.is_empty();
        if answered && !self.lawful && !self.case.bytes.starts_with(b"HEAD ") {
            compare("the answer's reason", self.told().unwrap_or("none".into()), verdict.told.unwrap_or("none").to_owned());
        }
        faults
    }
}

fn said(value: &Value) -> String {
    value.as_str().unwrap_or("none").to_owned()
}

/// Waits for the records of all trials, and says what is wrong with any of them.
pub(super) fn judge(rig: &Rig, trials: &[Trial<'_>]) -> Vec<String> {
    let connections = until("every connection has its record", || {
        let records = rig.events("security");
        trials.iter().all(|trial| trial.connection(&records).is_some()).then_some(records)
    });
    // A connection's record is written behind those of its requests, but to another file. What never comes is a fault of its case.
    let mut looks_left = LOOKS_MAX;
    let records = until("every refused request has its record", || {
        looks_left -= 1;
        let records = rig.records();
        let told = |trial: &Trial<'_>| trial.case.verdict.told.is_none() || trial.last_reason(&connections, &records).is_some();
        (looks_left == 0 || trials.iter().all(told)).then_some(records)
    });
    let ledger = rig.instances.ledger("orders");
    trials.iter().flat_map(|trial| trial.faults(&ledger, &connections, &records)).collect()
}

/// `bytes` with every `place` in them filled in.
fn fill(bytes: &[u8], place: &[u8], text: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(place.len()).position(|window| window == place) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(text);
        rest = &rest[at + place.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}
