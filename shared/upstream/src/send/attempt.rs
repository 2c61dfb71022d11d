//! One attempt at one instance.
//!
//! In: an instance and the request. Out: the answer, its body tied to the connection; or how it failed, with the request where it may be sent
//! again. Never: decides whether it is.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{attempt, deadline, grpc, headers};
use http::header::UPGRADE;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use wire::body::Body;

use crate::answer::{self, Bounds, Held};
use crate::connect::{ConnectFault, Reached, connect, widen};
use crate::endpoint::{Endpoint, Flight};
use crate::fault::SendFault;
use crate::link::Link;
use crate::multiplex;
use crate::outgoing::{self, copy, is_repeatable, twin};
use crate::patience::Over;
use crate::pool::FRESH_ENOUGH;
use crate::send::journey::{Failed, Journey};

/// How often a body is looked for that was not begun: what would have sent it gives it up on the next turns of the runtime.
const TURNS_FOR_A_BODY: usize = 4;

/// A deadline that passes sooner casts no doubt on the connection.
const SILENT: Duration = Duration::from_secs(1);

type TrySend = hyper::client::conn::TrySendError<Request<Body>>;

impl Journey<'_> {
    /// Sends `request` to `endpoint` and waits for the head of its answer.
    pub(super) async fn attempt(&mut self, endpoint: &Arc<Endpoint>, request: Request<Body>) -> Result<Response<Body>, Failed> {
        if self.patience.time_left() == Some(Duration::ZERO) {
            return Err(Failed::Final(self.patience.deadline()));
        }
        let flight = Flight::begin(endpoint, &self.service.measures().in_flight);
        let (mut link, mut request) = self.link(endpoint, request).await?;
        self.tell_time(&mut request);
        let copy = copy(&request);
        // Over HTTP/2 an instance can say that it has done nothing, and then any request may be sent again.
        let spare = (copy.is_none() && link.is_shared()).then(|| twin(&request));
        let upgrade_asked = request.headers().contains_key(UPGRADE);
        let begun = Instant::now();
        let waited = self.head(&mut link, request).await;
        match waited {
            Err(over) => {
                self.trip.sent = true;
                let is_silent = match &over {
                    Over::Try | Over::Request(SendFault::Timeout) => true,
                    // A client may have next to no time, and that says nothing of the instance.
                    Over::Request(SendFault::Deadline) => begun.elapsed() >= SILENT,
                    Over::Request(_) => false,
                };
                if is_silent {
                    link.suspect();
                }
                // Here the connection, or the stream, is broken off: the instance hears that nobody waits any more.
                Err(match over {
                    Over::Request(fault) => Failed::Final(fault),
                    Over::Try => Failed::Late(copy),
                })
            }
            Ok(Ok(response)) => {
                self.trip.sent = true;
                self.answer(response, link, flight, upgrade_asked).map_err(Failed::Final)
            }
            Ok(Err(mut fault)) => match fault.take_message() {
                Some(unsent) if self.trip.reused => Err(Failed::Stale(unsent)),
                // A connection that was made and ended before anything was written on it.
                Some(unsent) => Err(Failed::Unsent(unsent, SendFault::ConnectFailed)),
                None => {
                    if multiplex::is_unprocessed(fault.error())
                        && let Some(again) = self.unprocessed(copy.as_ref().or(spare.as_ref())).await
                    {
                        return Err(Failed::Unprocessed(again));
                    }
                    self.trip.sent = true;
                    Err(self.broken(fault.error(), copy))
                }
            },
        }
    }

    /// Tells how much time is left, and over the link which of those attempts this is that the next tier may have seen. Of a gRPC call its own field is brought up to date.
    fn tell_time(&self, request: &mut Request<Body>) {
        let map = request.headers_mut();
        if let Some(left) = self.patience.time_left() {
            map.insert(headers::DEADLINE.clone(), deadline::header(left));
        }
        if self.tells_attempt {
            map.insert(headers::ATTEMPT.clone(), attempt::header(1 + self.sent_before));
        }
        if let Some(ends) = self.patience.ends()
            && grpc::timeout(map).is_some()
        {
            map.insert(grpc::TIMEOUT.clone(), grpc::header(ends.saturating_duration_since(Instant::now())));
        }
    }

    /// A pooled connection, or a new one.
    async fn link(&mut self, endpoint: &Arc<Endpoint>, request: Request<Body>) -> Result<(Link, Request<Body>), Failed> {
        if !self.fresh
            && let Some(mut link) = self.pooled(endpoint, &request).await
        {
            // The terms of today, also where the connection was made under those of a former configuration.
            link.follow(self.service.plan().pool);
            self.trip.reused = true;
            widen(self.pools, self.service, endpoint);
            return Ok((link, request));
        }
        self.trip.reused = false;
        let begun = Instant::now();
        let within = self.patience.try_left().unwrap_or(Duration::MAX);
        let connected = connect(self.pools, self.service, endpoint, within, !self.fresh).await;
        self.trip.connect += begun.elapsed();
        match connected {
            Ok(Reached::New(link)) => Ok((link, request)),
            Ok(Reached::Kept(link)) => {
                self.trip.reused = true;
                match self.proved(link, &request).await {
                    Some(link) => Ok((link, request)),
                    None => Err(Failed::Stale(request)),
                }
            }
            Err(ConnectFault::Overloaded) => Err(Failed::Final(SendFault::Overloaded)),
            Err(ConnectFault::Late) if self.patience.time_left() == Some(Duration::ZERO) => Err(Failed::Final(self.patience.deadline())),
            Err(ConnectFault::Late) => Err(Failed::Unsent(request, SendFault::Timeout)),
            Err(ConnectFault::Failed) => Err(Failed::Unsent(request, SendFault::ConnectFailed)),
        }
    }

    async fn pooled(&self, endpoint: &Endpoint, request: &Request<Body>) -> Option<Link> {
        let rested_max = if is_repeatable(request) { Duration::MAX } else { FRESH_ENOUGH };
        loop {
            let link = self.pools.take(endpoint, rested_max)?;
            if let Some(link) = self.proved(link, request).await {
                return Some(link);
            }
        }
    }

    /// A request that may not be repeated looks twice: one turn of the runtime brings in an end of the connection that has arrived already.
    async fn proved(&self, link: Link, request: &Request<Body>) -> Option<Link> {
        if is_repeatable(request) {
            return Some(link);
        }
        tokio::task::yield_now().await;
        if link.is_fit(tokio::time::Instant::now()) {
            return Some(link);
        }
        link.close();
        None
    }

    /// Sends the request and waits for the head; the outer fault is the limit that has passed.
    async fn head(&self, link: &mut Link, request: Request<Body>) -> Result<Result<Response<Incoming>, TrySend>, Over> {
        let mut answer = std::pin::pin!(link.send(request));
        let begun = Instant::now();
        loop {
            let Some(until) = self.patience.look_at(begun) else { return Ok(answer.await) };
            if let Ok(answer) = tokio::time::timeout_at(until.into(), &mut answer).await {
                return Ok(answer);
            }
            // None when the upload has moved meanwhile, or when the client is the one we wait for.
            if let Some(over) = self.patience.over(begun) {
                return Err(over);
            }
        }
    }

    fn answer(
        &mut self,
        response: Response<Incoming>,
        link: Link,
        mut flight: Flight,
        upgrade_asked: bool,
    ) -> Result<Response<Body>, SendFault> {
        let (mut head, incoming) = response.into_parts();
        // The version is of the connection it came over, and none of the client's.
        head.version = Version::HTTP_11;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !upgrade_asked {
                return Err(SendFault::Protocol);
            }
            link.upgraded(self.pass.take());
            drop(flight);
            return Ok(Response::from_parts(head, Body::Empty));
        }
        flight.hold(self.pass.take());
        let bounds = Bounds { idle: self.service.plan().timeouts.idle, ends: self.patience.ends() };
        let held = Held { link, pools: Rc::clone(self.pools), flight };
        Ok(Response::from_parts(head, answer::body(incoming, held, bounds)))
    }

    /// The request again, where the instance has done nothing of it; `None` when a body that streams is gone.
    async fn unprocessed(&self, twin: Option<&Request<Body>>) -> Option<Request<Body>> {
        let mut again = outgoing::twin(twin?);
        if let Some(progress) = self.patience.upload() {
            let mut body = progress.again();
            for _ in 0..TURNS_FOR_A_BODY {
                if body.is_some() {
                    break;
                }
                tokio::task::yield_now().await;
                body = progress.again();
            }
            *again.body_mut() = body?;
        }
        Some(again)
    }

    /// What a failure means after a byte may have been written.
    fn broken(&self, fault: &hyper::Error, copy: Option<Request<Body>>) -> Failed {
        if let Some(cause) = self.patience.progress().and_then(|progress| progress.take_fault()) {
            return Failed::Final(SendFault::RequestBody(cause));
        }
        tracing::debug!(service = self.service.name(), %fault, "an instance did not answer");
        if fault.is_parse() || multiplex::is_unlawful(fault) {
            return Failed::Final(SendFault::Protocol);
        }
        Failed::Broken(copy)
    }
}
