//! One line for each request, with both tiers' story, written when the answer's body has ended.
//!
//! In: the docket, and the answer on its way out. Out: the same answer, and one record whatever happens to it.
//! Never: loses the record of a request whose client went away; writes a header, a query or a credential.

mod body;
mod line;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::reason::Reason;
use http::{Request, Response, StatusCode};
use telemetry::record::Kind;
use telemetry::record::buffer::RecordBuffer;
use telemetry::requests::{InFlight, RequestMetrics};
use telemetry::traces::Tracing;
use telemetry::traces::http_span::HttpSpan;
use telemetry::traces::span::SpanFacts;
use wire::arrived::Stamp;
use wire::body::Body;
use wire::connection::Connection;
use wire::upgrade::{self, Passed, TUNNEL_IDLE_MAX};

use crate::access_log::body::Followed;
use crate::docket::Docket;

/// How a request ended, as the record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The answer's body went out whole.
    Complete,
    /// The client went away before the answer's body had ended.
    ClientGone,
    /// The answer's body broke on its way to us.
    UpstreamAborted,
    /// The connection was upgraded and has ended.
    Upgraded,
    /// The connection was upgraded, and has ended because this process is leaving and told both ends so.
    Drained,
    /// The connection was upgraded and this process ended first.
    Cut,
}

impl End {
    /// The word in the record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client-gone",
            Self::UpstreamAborted => "upstream-aborted",
            Self::Upgraded => "upgraded",
            Self::Drained => "drained",
            Self::Cut => "cut",
        }
    }
}

/// Where the records of one worker go: the sinks, the counters, the trace.
#[derive(Clone)]
pub struct AccessLog {
    records: Rc<RecordBuffer>,
    requests: Arc<RequestMetrics>,
    tracing: Arc<Tracing>,
}

/// A record that is not yet written. Dropping it writes it, so that no way out of the corridor can forget it.
pub struct Record {
    log: AccessLog,
    docket: Docket,
    body_out: u64,
    /// Bytes of an upgraded connection, counted while it lives.
    tunnelled: Rc<Passed>,
    end: End,
    _in_flight: InFlight,
}

impl AccessLog {
    /// The log of one worker.
    #[must_use]
    pub fn new(records: Rc<RecordBuffer>, requests: Arc<RequestMetrics>, tracing: Arc<Tracing>) -> Self {
        Self { records, requests, tracing }
    }

    /// Opens the record of a request.
    pub fn open<B>(&self, connection: &Rc<Connection>, request: &Request<B>, stamp: &Stamp) -> Record {
        let host = request.headers().get(http::header::HOST).cloned();
        let docket = Docket {
            connection: connection.clone(),
            stamp: stamp.clone(),
            method: request.method().clone(),
            target: request.uri().clone(),
            host,
            caller: None,
            rule: None,
            body_in: Rc::default(),
            authentication: None,
            tier2: None,
            link_attempts: 0,
            replica: None,
            trail: None,
            status: None,
            refused: None,
            target_fault: None,
            tunnel: None,
            place: None,
        };
        Record { log: self.clone(), docket, body_out: 0, tunnelled: Rc::default(), end: End::ClientGone, _in_flight: self.requests.begin() }
    }
}

/// Follows an answer on its way out; the record is written when its body, or its tunnel, has ended.
pub fn follow(mut record: Record, response: Response<Body>) -> Response<Body> {
    record.docket.status = Some(response.status());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return response.map(|body| Body::boxed(Followed::new(body, record)));
    }
    if let Some((client, instance)) = record.docket.tunnel.take() {
        tokio::task::spawn_local(async move {
            record.end = End::Cut;
            let farewell = record.docket.connection.farewell.clone();
            let joined = upgrade::join(client, instance, TUNNEL_IDLE_MAX, record.tunnelled.clone(), farewell.clone()).await;
            if let Err(cause) = joined {
                tracing::debug!(%cause, request_id = %record.docket.stamp.request_id, "an upgraded connection broke");
            }
            record.end = if farewell.is_told() { End::Drained } else { End::Upgraded };
            drop(record);
        });
    }
    response
}

impl Record {
    /// The slip that rooms write to.
    pub fn docket(&mut self) -> &mut Docket {
        &mut self.docket
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // A room panicked: the host answers 500 in our place, and this line is all that says which request it was.
        if std::thread::panicking() && self.docket.status.is_none() {
            self.docket.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
            self.docket.refused = Some(Reason::InternalError);
            self.end = End::Complete;
        }
        let total = Instant::now().saturating_duration_since(self.docket.stamp.at);
        let (log, docket) = (&self.log, &self.docket);
        if let Some(status) = docket.status {
            log.requests.answered(status, total);
        }
        if let Some(reason) = docket.refused {
            log.requests.refused(reason);
        }
        log.tracing.record_span(docket.stamp.trace.sampled, || self.span(total));
        docket.body_in.bytes.set(docket.body_in.bytes.get() + self.tunnelled.inbound.get());
        let body_out = self.body_out + self.tunnelled.outbound.get();
        log.records.write(Kind::Request, |out| line::write(out, docket, self.end, body_out, total));
    }
}

impl Record {
    /// The server span of the request, for a trace that is sampled.
    fn span(&self, total: Duration) -> SpanFacts {
        let docket = &self.docket;
        let reason = docket.reason();
        HttpSpan {
            context: docket.stamp.trace,
            parent: docket.stamp.parent,
            start_ms: docket.stamp.at_ms,
            duration: total,
            method: &docket.method,
            scheme: if docket.connection.tls.is_some() { "https" } else { "http" },
            host: docket.host.as_ref().and_then(|host| host.to_str().ok()),
            port: None,
            path: docket.target.path(),
            route: docket.trail.as_ref().and_then(|trail| trail.route.as_deref()),
            protocol_version: docket.connection.protocol.version(),
            status: docket.status,
            reason: reason.map(Reason::code),
        }
        .server()
    }
}
