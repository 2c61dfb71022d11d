//! Connections of an instance that have left HTTP (RFC 9110 §7.8): an echo of bytes or of WebSocket messages.
//!
//! In: a request that asks for another protocol; the connection afterwards. Out: the 101; what comes, said back. Numbers of messages go to the ledger.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use crate::stage::answer_body::AnswerBody;
use crate::stage::instance::MESSAGE;
use crate::stage::instance::departure::{Departing, Departure, reached};
use crate::stage::ledger::Ledger;
use crate::stage::websocket;

/// An upgrade that was answered with 101, until its connection hands over the bytes.
pub(super) type Handover = Arc<Mutex<Option<(Protocol, OnUpgrade)>>>;

#[derive(Clone, Copy)]
pub(super) enum Protocol {
    WebSocket {
        /// Its messages are numbers for the ledger.
        numbered: bool,
    },
    /// Any other: the bytes as they come.
    Bytes,
}

/// The 101 to a request that asks for another protocol (RFC 9110 §7.8).
pub(super) fn switch(request: &mut Request<Incoming>, handover: &Handover) -> Option<Response<AnswerBody>> {
    let asked = |name, word: &str| {
        let values = request.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    if !asked(CONNECTION, "upgrade") {
        return None;
    }
    let named = request.headers().get(UPGRADE)?.clone();
    let key = request.headers().get(SEC_WEBSOCKET_KEY).filter(|_| asked(UPGRADE, "websocket")).map(|key| websocket::accept(key.as_bytes()));
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(UPGRADE, named);
    let protocol = match key {
        Some(accept) => {
            answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept.parse().ok()?);
            Protocol::WebSocket { numbered: request.headers().contains_key("x-ledger") }
        }
        None => Protocol::Bytes,
    };
    *handover.lock().unwrap_or_else(PoisonError::into_inner) = Some((protocol, hyper::upgrade::on(request)));
    Some(answer)
}

/// Says back what comes over an upgraded connection, until either side leaves.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn say_back(ledger: &Ledger, protocol: Protocol, upgrade: OnUpgrade, departing: Departing) -> io::Result<()> {
    let mut io = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
    match protocol {
        Protocol::WebSocket { numbered } => {
            let heard = |message: &[u8]| !numbered || ledger.append(message, MESSAGE).is_ok();
            websocket::echo(io, reached(departing, Departure::Leaving), heard).await
        }
        Protocol::Bytes => {
            let (mut from, mut to) = tokio::io::split(&mut io);
            let copy = async {
                tokio::io::copy(&mut from, &mut to).await?;
                to.shutdown().await
            };
            tokio::select! {
                copied = copy => copied,
                () = reached(departing, Departure::Closing) => Ok(()),
            }
        }
    }
}
