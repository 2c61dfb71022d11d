//! One instance of a demo service: it says back what it saw.
//!
//! In: any HTTP/1.1 request. Out: JSON `service, instance, method, path, headers, body_bytes` (and `trailers`, when some
//! came), head and body in one write; what the query wishes for ([`crate::stage::wish`]); the ledger on `/ledger`; an echo after Upgrade, whose
//! short messages stand in the ledger too where the request was numbered. Refuses: more than [`CONNECTIONS_MAX`] connections at once. Never: holds
//! a body; is ill unless it was told to be ([`crate::stage::instance::mood`]); closes a door on who has not heard yet that it leaves.

mod breakable;
pub mod control;
mod departure;
pub mod mood;
mod upgrade;

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, TRAILER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::stage::answer_body::AnswerBody;
use crate::stage::instance::breakable::{Breakable, Fate};
use crate::stage::instance::departure::{Departing, Departure, reached, waiting};
use crate::stage::instance::mood::Mood;
use crate::stage::instance::upgrade::{Handover, say_back, switch};
use crate::stage::ledger::{Ledger, LedgerFault};
use crate::stage::wish::Wish;

/// Connections served at once; further ones wait in the queue of the kernel.
pub const CONNECTIONS_MAX: usize = 4096;
/// After a stop: how long those who do not know of it yet are still served, each told to come no more over its connection.
pub const LEAVING_MS: u64 = 500;
/// How long requests under way may take to end after that.
pub const DRAIN_SECONDS_MAX: u64 = 5;
/// In the ledger, in place of a method: a message of a WebSocket.
pub const MESSAGE: &str = "MESSAGE";

/// An instance. It may serve several listeners.
#[derive(Debug)]
pub struct Instance {
    /// The service it belongs to, as `orders`.
    pub service: String,
    /// Its own name, as `orders-1`.
    pub name: String,
    /// What it has done.
    pub ledger: Ledger,
    /// How it treats whoever asks it.
    pub mood: watch::Sender<Mood>,
}

impl Instance {
    /// An instance with a ledger in memory.
    #[must_use]
    pub fn new(service: &str, name: &str) -> Self {
        Self { service: service.to_owned(), name: name.to_owned(), ledger: Ledger::new(), mood: watch::Sender::default() }
    }

    /// Serves `listener` until `stop` is done and for [`LEAVING_MS`] more, then lets requests under way end within [`DRAIN_SECONDS_MAX`].
    /// Dropping the future instead cuts every connection at once, as a crash does.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let (depart, departing) = watch::channel(Departure::Serving);
        let mut open = JoinSet::new();
        self.accept(&listener, &mut open, &departing, stop).await;
        depart.send_replace(Departure::Leaving);
        self.accept(&listener, &mut open, &departing, sleep(Duration::from_millis(LEAVING_MS))).await;
        // Whoever is in the queue has connected: closing it would reset them.
        for stream in waiting(listener) {
            let (io, fate) = Breakable::new(stream, self.mood.subscribe());
            open.spawn(Arc::clone(&self).connection(io, fate, departing.clone()));
        }
        depart.send_replace(Departure::Closing);
        let all_ended = async { while open.join_next().await.is_some() {} };
        let _late_ones_are_cut = timeout(Duration::from_secs(DRAIN_SECONDS_MAX), all_ended).await;
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        open: &mut JoinSet<()>,
        departing: &Departing,
        until: impl Future<Output = ()>,
    ) {
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return,
                accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        let _without_nodelay_it_is_only_slower = stream.set_nodelay(true);
                        let (io, fate) = Breakable::new(stream, self.mood.subscribe());
                        open.spawn(Arc::clone(self).connection(io, fate, departing.clone()));
                    }
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
                Some(_) = open.join_next(), if !open.is_empty() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, fate: Fate, departing: Departing) {
        let mut mood = self.mood.subscribe();
        let own = fate.clone();
        let struck = async {
            let _is_so = mood.wait_for(|mood| *mood == Mood::ResetsAtAccept).await;
            // Here, before the connection is dropped.
            own.seal();
        };
        tokio::select! {
            // Also one that comes in this mood is reset before it is read from.
            biased;
            () = struck => {}
            () = Arc::clone(&self).exchanges(io, fate, departing) => {}
        }
    }

    async fn exchanges(self: Arc<Self>, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, fate: Fate, departing: Departing) {
        let handover = Handover::default();
        let service = service_fn(|request| {
            let (instance, handover, fate, departing) = (Arc::clone(&self), Arc::clone(&handover), fate.clone(), departing.clone());
            async move {
                let mut answer = instance.answer(request, &handover).await;
                if *instance.mood.borrow() == Mood::ResetsAfterRequest {
                    fate.seal();
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset));
                }
                if *departing.borrow() > Departure::Serving && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok(answer)
            }
        });
        {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades();
            tokio::pin!(connection);
            tokio::select! {
                _ended = connection.as_mut() => {}
                () = reached(departing.clone(), Departure::Closing) => {
                    connection.as_mut().graceful_shutdown();
                    let _ended = connection.await;
                }
            }
        }
        let upgraded = handover.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((protocol, upgrade)) = upgraded {
            let _ended = say_back(&self.ledger, protocol, upgrade, departing).await;
        }
    }

    async fn answer(&self, mut request: Request<Incoming>, handover: &Handover) -> Response<AnswerBody> {
        if request.uri().path() == "/ledger" {
            return text(StatusCode::OK, "text/plain", self.ledger.text());
        }
        if let Some(switched) = switch(&mut request, handover) {
            let noted = request.headers().get("x-ledger").map(|number| self.ledger.append(number.as_bytes(), request.method().as_str()));
            return noted.and_then(Result::err).map_or(switched, |fault| not_noted(&fault));
        }
        let (head, mut body) = request.into_parts();
        let Ok((bytes, trailers)) = drain(&mut body).await else {
            return text(StatusCode::BAD_REQUEST, "text/plain", "the body broke off\n".to_owned());
        };
        // The whole request has arrived: this is the moment at which it counts as done.
        if let Some(number) = head.headers.get("x-ledger")
            && let Err(fault) = self.ledger.append(number.as_bytes(), head.method.as_str())
        {
            return not_noted(&fault);
        }
        let wish = Wish::read(head.uri.query().unwrap_or_default());
        let mood = *self.mood.borrow();
        let slower = if let Mood::Slow(by) = mood { by } else { Duration::ZERO };
        if wish.delay + slower > Duration::ZERO {
            sleep(wish.delay + slower).await;
        }
        let mut answer = match wish.download {
            Some(count) => download(count),
            None => self.seen(&head, bytes, trailers),
        };
        *answer.status_mut() = wish.status;
        if let Some((name, value)) = wish.header {
            answer.headers_mut().append(name, value);
        }
        answer
    }

    fn seen(&self, head: &http::request::Parts, bytes: u64, trailers: Option<HeaderMap>) -> Response<AnswerBody> {
        let mut seen = json!({
            "service": self.service, "instance": self.name, "method": head.method.as_str(),
            "path": head.uri.path_and_query().map_or("*", |target| target.as_str()),
            "headers": as_json(&head.headers), "body_bytes": bytes,
        });
        if let (Some(trailers), Some(seen)) = (&trailers, seen.as_object_mut()) {
            seen.insert("trailers".to_owned(), as_json(trailers));
        }
        let names = trailers.as_ref().map(|trailers| trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>().join(", "));
        let mut answer = Response::new(AnswerBody::text(format!("{seen}\n"), trailers));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(names) = names.and_then(|names| HeaderValue::try_from(names).ok()) {
            answer.headers_mut().insert(TRAILER, names);
        }
        answer
    }
}

fn not_noted(fault: &LedgerFault) -> Response<AnswerBody> {
    let status = if matches!(fault, LedgerFault::Number) { StatusCode::BAD_REQUEST } else { StatusCode::INSUFFICIENT_STORAGE };
    text(status, "text/plain", format!("{fault}\n"))
}

/// Counts a body and throws it away frame by frame.
async fn drain(body: &mut Incoming) -> Result<(u64, Option<HeaderMap>), hyper::Error> {
    let mut bytes = 0;
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => bytes += data.len() as u64,
            Err(other) => trailers = other.into_trailers().ok(),
        }
    }
    Ok((bytes, trailers))
}

fn download(count: u64) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::zeros(count));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    answer
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::text(Bytes::from(body), None));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// Headers by name; several lines of one name are joined by `, ` (RFC 9110 §5.2).
fn as_json(headers: &HeaderMap) -> Value {
    let mut seen = Map::new();
    for name in headers.keys() {
        let lines: Vec<_> = headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        seen.insert(name.as_str().to_owned(), Value::String(lines.join(", ")));
    }
    Value::Object(seen)
}

#[cfg(test)]
mod tests;
