//! One request, from hyper to the tier and back; what keeps a bug in a tier from costing more than that request.
//!
//! In: a request. Out: the tier's answer, or `internal-error` when the tier panicked. Refuses: requests of a peer that may not come any more. Never: ends the connection or the process for it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use contract::problem::Problem;
use contract::reason::Reason;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use wire::body::{Body, BoxError};
use wire::connection::Connection;

use crate::roster::{Flight, Open};
use crate::serve::Hall;
use crate::streamed::Streamed;
use crate::tier::Tier;

/// Serves one request.
pub(crate) async fn answer<T: Tier>(
    hall: Rc<Hall<T>>,
    connection: Rc<Connection>,
    open: Rc<Open>,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    if open.is_expelled() {
        // HTTP/2 tells the client that nothing was done (RFC 9113 §8.7); HTTP/1 has no such word, and its connection ends.
        return Err(h2::Reason::REFUSED_STREAM.into());
    }
    let flight = open.request();
    hall.requests.inc();
    // The generation of this moment, also on a connection that is older; the request keeps it to its end.
    let (worker, hsts) = (hall.worker(), hall.hsts(connection.listener));
    let is_head = request.method() == Method::HEAD;
    let walked = match catch_unwind(AssertUnwindSafe(|| T::serve(&worker, &connection, request))) {
        Ok(walk) => whole(walk).await,
        Err(panic) => Err(panic),
    };
    let mut response = match walked {
        Ok(response) => response,
        Err(panic) => {
            hall.figures.panics.inc();
            tracing::error!(connection = connection.id, panic = text(&*panic), "a request panicked and was answered with 500");
            let problem = Problem { reason: Reason::InternalError, request_id: None, trace_id: None, decision: None };
            // Over HTTP/2 hyper sends what body there is, whatever the method (RFC 9110 §9.3.2).
            problem.response().map(|body| if is_head { Body::Empty } else { Body::from(body) })
        }
    };
    if let Some(hsts) = hsts {
        // Whoever made the answer: the instance speaks for itself, and this host for the listener.
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    // The guard waits for a word about every upgrade that was asked for, whoever answered it and how.
    if is_upgraded {
        connection.line.upgraded();
    } else {
        connection.line.settled();
    }
    if open.leaves().is_some() && !open.has_goaway.get() && !is_upgraded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| hold(body, flight, &open)))
}

/// Runs a future to its end or to its panic.
pub(crate) async fn whole<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| guarded(cx, |cx| future.as_mut().poll(cx))).await
}

/// One poll, in which a panic is a value.
pub(crate) fn guarded<O>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<O>) -> Poll<Result<O, Box<dyn Any + Send>>> {
    match catch_unwind(AssertUnwindSafe(|| poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// What a panic said, for the log alone.
pub(crate) fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// The request is in flight until its answer's body has ended; what is at hand has as good as ended.
fn hold(body: Body, flight: Flight, open: &Rc<Open>) -> Body {
    match body {
        Body::Empty | Body::Full(_) => body,
        // On HTTP/1 the guard sees a client that takes nothing; on HTTP/2 the socket may flow while one stream stands.
        Body::Incoming(_) | Body::Boxed(_) if open.has_goaway.get() => Body::boxed(Streamed::new(open, body, flight)),
        Body::Incoming(_) | Body::Boxed(_) => Body::boxed(Held { body, _flight: flight }),
    }
}

/// Why an answer broke off, in words alone. hyper looks through the causes of a body's error for one of h2's, and would tell the client the code that
/// an instance had told us.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

/// The error without its causes, but for their words.
pub(crate) fn flat(error: BoxError) -> BoxError {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words += ": ";
        words += &inner.to_string();
        cause = inner.source();
    }
    BrokenOff(words).into()
}

struct Held {
    body: Body,
    _flight: Flight,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(flat)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the instance is gone")]
    struct Gone(#[source] std::io::Error);

    #[test]
    fn of_an_error_only_its_words_go_to_hyper() {
        let error = flat(Gone(std::io::Error::other("stream error")).into());
        assert_eq!(error.to_string(), "the instance is gone: stream error");
        assert!(error.source().is_none() && error.downcast_ref::<BrokenOff>().is_some());
    }
}
