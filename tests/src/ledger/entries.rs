//! The lines of the three books: what a client sent, what an instance executed, what a replica of tier 1 recorded.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// What kind of thing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A GET: may be repeated by who carries it.
    Get,
    /// A POST: may never be.
    Post,
    /// The GET that opens a WebSocket; it lasts as long as the session.
    Session,
    /// A message of a WebSocket: may never be repeated. It has no access record of its own.
    Message,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Session, Self::Message];

    /// Whether it may be executed twice (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Session)
    }

    /// Whether tier 1 writes an access record for it.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self != Self::Message
    }
}

/// What became of what was sent, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer with 2xx that names the request; 101 and an orderly end for a session; an echo for a message.
    Answered(u16),
    /// A whole answer with another status, and the reason that it gives.
    Refused(u16, String),
    /// A whole answer, to another request.
    Foreign(String),
    /// The answer ended after its head; for a session: without a Close.
    Cut(u16, String),
    /// No answer.
    Lost(String),
    /// The server has said that it did not process it (RFC 9113 §8.7).
    Unprocessed(&'static str),
    /// The session was closed with 1001 before the echo of this message.
    Farewell,
}

/// One thing that was sent. Moments are counted from the fleet's beginning.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number, which no other has.
    pub number: String,
    /// What it is.
    pub kind: Kind,
    /// The replica of tier 1 it went to, from 0.
    pub replica: usize,
    /// The client and its connection: `h1-3:40312`.
    pub connection: String,
    /// Just before its first byte.
    pub begun: Duration,
    /// When its outcome was known.
    pub ended: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// `x-request-id` of the answer.
    pub request_id: Option<String>,
    /// For how long the instance was asked to wait with its answer.
    pub delay: Duration,
}

/// One line of an instance's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The number.
    pub number: String,
    /// The method, or `MESSAGE`.
    pub method: String,
    /// The instance's name.
    pub instance: String,
}

/// One access record.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The number: the last segment of `url.path`; empty where the record has no path.
    pub number: String,
    /// The replica of tier 1 whose log it stands in.
    pub replica: usize,
    /// The status that went out.
    pub status: Option<u16>,
    /// `request_id`.
    pub request_id: Option<String>,
    /// The line itself.
    pub line: String,
}

/// The lines of an instance's ledger.
#[must_use]
pub fn executed(instance: &str, text: &str) -> Vec<Executed> {
    let entry = |line: &str| {
        let (number, method) = line.split_once(' ')?;
        Some(Executed { number: number.to_owned(), method: method.to_owned(), instance: instance.to_owned() })
    };
    text.lines().filter_map(entry).collect()
}

/// The request records of an access log. A line that a death has torn is a record of nothing.
#[must_use]
pub fn recorded(replica: usize, text: &str) -> Vec<Recorded> {
    let entry = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let number = record["url.path"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        let status = record["http.response.status_code"].as_u64().and_then(|status| u16::try_from(status).ok());
        let request_id = record["request_id"].as_str().map(str::to_owned);
        Recorded { number, replica, status, request_id, line: line.to_owned() }
    };
    text.lines().map(entry).collect()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {status}"),
            Self::Refused(status, reason) => write!(f, "refused {status} {reason}"),
            Self::Foreign(what) => write!(f, "got another request's answer: {what}"),
            Self::Cut(status, why) => write!(f, "cut after the head ({status}): {why}"),
            Self::Lost(why) => write!(f, "lost: {why}"),
            Self::Unprocessed(how) => write!(f, "not processed, by {how}"),
            Self::Farewell => f.write_str("closed with 1001 before its echo"),
        }
    }
}
