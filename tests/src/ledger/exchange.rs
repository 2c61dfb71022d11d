//! One request and its whole answer, over HTTP/1.1 or HTTP/2, and what became of it.

use std::error::Error;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use crate::ledger::client::{Client, Knocked};
use crate::ledger::entries::{Kind, Outcome, Sent};
use crate::ledger::paced::Ask;
use crate::rig::client::EXCHANGE_MAX;

/// What hyper gives back when it has not begun to send.
pub(super) type Unsent = hyper::client::conn::TrySendError<Request<Full<Bytes>>>;

/// The request.
pub(super) fn request(client: &Client, ask: &Ask, version: Version, replica: usize) -> Request<Full<Bytes>> {
    let delay = if ask.delay.is_zero() { String::new() } else { format!("?delay_ms={}", ask.delay.as_millis()) };
    let (target, host) = (format!("/orders/{}{delay}", ask.number), format!("localhost:{}", client.terms.doors[replica].port()));
    let body = if ask.kind == Kind::Post { Bytes::from(format!("order {}", ask.number)) } else { Bytes::new() };
    let mut request = Request::new(Full::new(body));
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

/// Waits for the answer to `ask` and enters the outcome into the client's book. `was_written` tells after a failure whether a byte of the
/// request was.
pub(super) async fn follow(
    client: &Client,
    knocked: (&str, usize),
    ask: Ask,
    answer: impl Future<Output = Result<Response<Incoming>, Unsent>>,
    was_written: impl Fn() -> bool,
) -> After {
    let begun = client.now();
    let (outcome, request_id, after) = match timeout(EXCHANGE_MAX, answer).await {
        Err(_) => (Outcome::Lost(format!("no answer for {EXCHANGE_MAX:?}")), None, After::Ended),
        Ok(Err(mut fault)) => {
            if fault.take_message().is_some() || !was_written() {
                return After::Unsent;
            }
            let outcome = broken(fault.error());
            (outcome, None, After::Ended)
        }
        Ok(Ok(response)) => {
            let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            let is_last = is_last(response.headers());
            let outcome = whole(&ask, response).await;
            let after = if is_last || matches!(outcome, Outcome::Cut(..)) { After::Ended } else { After::Kept };
            (outcome, id, after)
        }
    };
    let (name, replica) = knocked;
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

async fn whole(ask: &Ask, response: Response<Incoming>) -> Outcome {
    let status = response.status();
    let body = match timeout(EXCHANGE_MAX, response.into_body().collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(fault)) => return Outcome::Cut(status.as_u16(), chain(&fault)),
        Err(_) => return Outcome::Cut(status.as_u16(), format!("no end for {EXCHANGE_MAX:?}")),
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

fn broken(fault: &hyper::Error) -> Outcome {
    let cause = causes(fault).find_map(|cause| cause.downcast_ref::<h2::Error>());
    match cause {
        Some(cause) if cause.is_remote() && cause.is_go_away() => Outcome::Unprocessed("GOAWAY"),
        Some(cause) if cause.is_remote() && cause.reason() == Some(h2::Reason::REFUSED_STREAM) => Outcome::Unprocessed("REFUSED_STREAM"),
        _ => Outcome::Lost(chain(fault)),
    }
}

fn causes<'a>(fault: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(fault), |fault: &&'a (dyn Error + 'static)| (*fault).source())
}

/// A fault with all its causes.
pub(super) fn chain(fault: &(dyn Error + 'static)) -> String {
    causes(fault).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
