//! One request and its whole answer, over HTTP/1.1 or HTTP/2, and what became of it.

use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use serde_json::Value;
use tokio::time::timeout;

use crate::ledger::client::{Client, Knocked};
use crate::ledger::entries::{Kind, Outcome, Sent};
use crate::ledger::paced::Ask;
use crate::rig::client::EXCHANGE_MAX;

/// The request.
pub(super) fn request(client: &Client, ask: &Ask, version: Version, replica: usize) -> Request<Bytes> {
    let delay = if ask.delay.is_zero() { String::new() } else { format!("?delay_ms={}", ask.delay.as_millis()) };
    let (target, host) = (format!("/orders/{}{delay}", ask.number), format!("localhost:{}", client.terms.doors[replica].port()));
    let body = if ask.kind == Kind::Post { Bytes::from(format!("order {}", ask.number)) } else { Bytes::new() };
    let mut request = Request::new(body);
    *request.method_mut() = if ask.kind == Kind::Post { Method::POST } else { Method::GET };
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {}", client.terms.token)).unwrap());
    headers.insert("x-ledger", HeaderValue::try_from(&ask.number).unwrap());
    if version == Version::HTTP_11 {
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        *request.uri_mut() = target.parse().unwrap();
    } else {
        *request.uri_mut() = format!("https://{host}{target}").parse().unwrap();
    }
    request
}

/// How an exchange left its connection.
pub(super) enum After {
    /// It can carry another.
    Kept,
    /// It was said to be the last, or broke.
    Ended,
    /// Nothing of the request was sent.
    Unsent,
}

/// What a connection tells of an exchange.
pub(super) enum Told {
    /// Nothing of the request was written, or not before the other side had said that it takes no more.
    Unsent,
    /// There is no answer.
    Nothing(Outcome),
    /// The head of an answer, and its body or why that broke off.
    Answer(StatusCode, HeaderMap, Result<Bytes, String>),
}

/// Waits for what becomes of `ask`, and enters it into the client's book.
pub(super) async fn follow(client: &Client, (name, replica): (&str, usize), ask: Ask, exchange: impl Future<Output = Told>) -> After {
    let begun = client.now();
    let late = || Told::Nothing(Outcome::Lost(format!("no answer for {EXCHANGE_MAX:?}")));
    let (outcome, request_id, after) = match timeout(EXCHANGE_MAX, exchange).await.unwrap_or_else(|_| late()) {
        Told::Unsent => return After::Unsent,
        Told::Nothing(outcome) => (outcome, None, After::Ended),
        Told::Answer(status, headers, body) => {
            let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            let after = if is_last(&headers) || body.is_err() { After::Ended } else { After::Kept };
            (judged(&ask, status, body), id, after)
        }
    };
    let sent = Sent {
        number: ask.number,
        kind: ask.kind,
        replica,
        connection: name.to_owned(),
        begun,
        ended: client.now(),
        outcome,
        request_id,
        delay: ask.delay,
    };
    client.note(sent);
    after
}

impl Knocked {
    /// How it stands in the book.
    pub(super) fn who(&self) -> (String, usize) {
        (self.name.clone(), self.replica)
    }
}

fn is_last(headers: &HeaderMap) -> bool {
    let tokens = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tokens.into_iter().any(|token| token.trim().eq_ignore_ascii_case("close"))
}

fn judged(ask: &Ask, status: StatusCode, body: Result<Bytes, String>) -> Outcome {
    let body = match body {
        Ok(body) => body,
        Err(why) => return Outcome::Cut(status.as_u16(), why),
    };
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status != StatusCode::OK {
        return Outcome::Refused(status.as_u16(), said["reason"].as_str().unwrap_or("without a reason").to_owned());
    }
    match said["headers"]["x-ledger"].as_str() {
        Some(number) if number == ask.number => Outcome::Answered(status.as_u16()),
        _ => Outcome::Foreign(String::from_utf8_lossy(&body).into_owned()),
    }
}

fn causes<'a>(fault: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(fault), |fault: &&'a (dyn Error + 'static)| (*fault).source())
}

/// A fault with all its causes.
pub(super) fn chain(fault: &(dyn Error + 'static)) -> String {
    causes(fault).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
