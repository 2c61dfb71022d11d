//! What routing-gw itself counts of a request: in flight, answered, how long; and its server span, when the trace is sampled.
//!
//! In: the request as it came, and the answer on its way out. Out: the same answer. The access record is tier 1's; the Trail tells it ours.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use contract::reason::Reason;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use telemetry::requests::{InFlight, RequestMetrics};
use telemetry::traces::Tracing;
use telemetry::traces::http_span::HttpSpan;
use wire::arrived::Stamp;
use wire::body::{Body, BoxError, scrub_trailers};
use wire::counted::BodyCount;
use wire::places::Place;

/// What accounts are kept in: the counters and the trace.
#[derive(Clone, Debug)]
pub struct Accounts {
    requests: Arc<RequestMetrics>,
    tracing: Arc<Tracing>,
}

/// An account that is not yet closed. Dropping it closes it, so that no way out of the corridor can forget it.
pub struct Account {
    accounts: Accounts,
    _in_flight: InFlight,
    /// Bytes of the request body that were read.
    pub body_in: Rc<BodyCount>,
    /// Holds the request's place until the account is closed.
    pub place: Option<Place>,
    stamp: Stamp,
    /// What the span tells, kept of sampled requests alone.
    sampled: Option<(Method, Uri)>,
    status: Option<StatusCode>,
    /// Why this tier refused, if it did.
    pub refused: Option<Reason>,
}

impl Accounts {
    /// Accounts of one process.
    #[must_use]
    pub fn new(requests: Arc<RequestMetrics>, tracing: Arc<Tracing>) -> Self {
        Self { requests, tracing }
    }

    /// Opens the account of a request.
    #[must_use]
    pub fn open<B>(&self, request: &Request<B>, stamp: &Stamp) -> Account {
        let sampled = stamp.trace.sampled.then(|| (request.method().clone(), request.uri().clone()));
        Account {
            accounts: self.clone(),
            _in_flight: self.requests.begin(),
            body_in: Rc::default(),
            place: None,
            stamp: stamp.clone(),
            sampled,
            status: None,
            refused: None,
        }
    }
}

impl Account {
    /// Follows an answer to the end of its body.
    #[must_use]
    pub fn follow(mut self, response: Response<Body>) -> Response<Body> {
        self.status = Some(response.status());
        response.map(|inner| Body::boxed(Followed { inner, account: self }))
    }

    fn span(&self, total: Duration) {
        let Some((method, target)) = &self.sampled else { return };
        self.accounts.tracing.record_span(true, || {
            HttpSpan {
                context: self.stamp.trace,
                parent: self.stamp.parent,
                start_ms: self.stamp.at_ms,
                duration: total,
                method,
                scheme: "http",
                host: None,
                port: None,
                path: target.path(),
                route: None,
                protocol_version: "1.1",
                status: self.status,
                reason: self.refused.map(Reason::code),
            }
            .server()
        });
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        // A room panicked: the host answers 500 in our place.
        if std::thread::panicking() && self.status.is_none() {
            self.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
            self.refused = Some(Reason::InternalError);
        }
        let total = self.stamp.at.elapsed();
        if let Some(status) = self.status {
            self.accounts.requests.answered(status, total);
        }
        if let Some(reason) = self.refused {
            self.accounts.requests.refused(reason);
        }
        self.span(total);
    }
}

/// The body of an answer, holding its account open.
struct Followed {
    inner: Body,
    account: Account,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        debug_assert!(self.account.status.is_some());
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        // An instance must not speak for us in its trailers either.
        if let Some(Ok(frame)) = &mut frame {
            scrub_trailers(frame);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
