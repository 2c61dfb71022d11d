//! Sends one request to one instance of a service, and to another one where that is lawful.
//!
//! In: a request whose `Host` is set. Out: the response, its body tied to the connection. Refuses: to repeat what may have had an effect.
//!
//! When a request may be repeated. Nothing was written: always (the connection could not be made, or hyper gave the request back, which it does
//! only when it had not begun to serialise it). Something may have been written: only when the method is idempotent (RFC 9110 §9.2.2), the body
//! is at hand, the connection ended without the head of a response, and the service's retry budget has one left. Never otherwise; never after a
//! timeout, for the instance may be at work; never after an answer, whatever it says. Another instance is preferred.
//! How it is framed on the wire: `outgoing`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::UPGRADE;
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use wire::body::Body;

use crate::answer::{self, Held};
use crate::connect::{ConnectFault, Reached, connect};
use crate::endpoint::{Endpoint, Flight};
use crate::fault::SendFault;
use crate::link::Link;
use crate::measures::Outcome;
use crate::moment;
use crate::outgoing::{copy, is_repeatable, prepare};
use crate::patience::Patience;
use crate::pick::Tried;
use crate::pool::{FRESH_ENOUGH, Pools};
use crate::service::{Picked, Service};
use crate::trip::Trip;
use crate::upload::Upload;

/// Sends `request` to an instance of `service` and waits for the head of the response, at most until `deadline`.
///
/// A body that streams moves the deadline: it rests while the client is waited for, and what it left at the call counts anew from each
/// frame that the instance took. A client that sends nothing for the service's `upload_idle` ends the request.
///
/// The caller has taken hyper's `OnUpgrade` of its own side out of the request before: extensions do not travel. A `101` is answered only to a
/// request with an `upgrade` field, and `hyper::upgrade::on(&mut response)` then gives the instance's side. `trip` is filled in any case.
///
/// # Errors
/// One [`SendFault`], after all attempts that were lawful and inside the service's `attempts_max`.
pub async fn send(
    pools: &Rc<Pools>,
    service: &Arc<Service>,
    request: Request<Body>,
    deadline: Option<Instant>,
    trip: &mut Trip,
) -> Result<Response<Body>, SendFault> {
    let begun = Instant::now();
    service.budget().deposit(service.plan().retries.budget, moment::now_ms());
    let patience = Patience::new(begun, deadline, service.plan());
    let mut journey = Journey { pools, service, patience, trip, tried: Tried::default(), fresh: false };
    let sent = journey.run(prepare(request)).await;
    trip.upstream = begun.elapsed();
    if sent.is_ok() {
        service.measures().duration.observe_duration(trip.upstream);
    }
    sent
}

/// The course of one request over its attempts.
struct Journey<'a> {
    pools: &'a Rc<Pools>,
    service: &'a Arc<Service>,
    patience: Patience,
    trip: &'a mut Trip,
    tried: Tried,
    /// No pooled connection any more: the last attempt found one dead, or the instance is on trial.
    fresh: bool,
}

/// How one attempt failed.
enum Failed {
    /// Nothing was written; here is the request.
    Unsent(Request<Body>, SendFault),
    /// A pooled connection was dead before anything was written.
    Stale(Request<Body>),
    /// The connection ended before the head of a response; the copy is there where it may be sent again.
    Broken(Option<Request<Body>>),
    /// Nothing more may be done.
    Final(SendFault),
}

impl Journey<'_> {
    async fn run(&mut self, mut request: Request<Body>) -> Result<Response<Body>, SendFault> {
        // Bytes that are at hand cannot fail, and stay in sight so that they can be sent again.
        if matches!(request.body(), Body::Incoming(_) | Body::Boxed(_)) {
            let (head, body) = request.into_parts();
            let (body, progress) = Upload::watch(body);
            self.patience.watch(progress);
            request = Request::from_parts(head, body);
        }
        let mut held: Option<Arc<Endpoint>> = None;
        loop {
            let endpoint = match held.take() {
                Some(endpoint) => endpoint,
                None => self.next_endpoint()?,
            };
            let measures = self.service.measures();
            let (again, fault) = match self.attempt(&endpoint, request).await {
                Ok(response) => {
                    measures.attempt(Outcome::Answered);
                    return Ok(response);
                }
                Err(Failed::Stale(unsent)) => {
                    // Once per instance: the next try is over a new connection, which cannot be stale.
                    measures.attempt(Outcome::Stale);
                    self.fresh = true;
                    if endpoint.is_gone() {
                        self.trip.attempts -= 1;
                    } else {
                        held = Some(endpoint);
                    }
                    request = unsent;
                    continue;
                }
                Err(Failed::Unsent(unsent, fault)) => (Some(unsent), fault),
                Err(Failed::Broken(copy)) => (copy, SendFault::Reset),
                Err(Failed::Final(fault)) => (None, fault),
            };
            measures.attempt(outcome(&fault));
            let left = self.trip.attempts < self.service.plan().retries.attempts_max && self.patience.time_left() != Some(Duration::ZERO);
            match again {
                Some(again) if left => {
                    if matches!(fault, SendFault::ConnectFailed) {
                        measures.retries_unsent.inc();
                    } else if self.service.budget().withdraw(self.service.plan().retries.budget, moment::now_ms()) {
                        measures.retries_idempotent.inc();
                    } else {
                        measures.retries_refused.inc();
                        return Err(fault);
                    }
                    self.fresh = true;
                    request = again;
                }
                _ => return Err(fault),
            }
        }
    }

    fn next_endpoint(&mut self) -> Result<Arc<Endpoint>, SendFault> {
        let Some(Picked { endpoint, generation, is_trial }) = self.service.pick(|| self.pools.random(), &self.tried) else {
            self.service.measures().attempt(Outcome::NoInstances);
            return Err(SendFault::NoInstances);
        };
        self.tried.add(&endpoint);
        // What failed was connecting, so that is tried again: over a connection of before the failure nothing would be learned, and the
        // instance would go from trial to trial for as long as that connection lives.
        self.fresh |= is_trial;
        self.trip.attempts += 1;
        self.trip.generation = generation;
        self.trip.instance = Some(Arc::clone(&endpoint));
        Ok(endpoint)
    }

    async fn attempt(&mut self, endpoint: &Arc<Endpoint>, request: Request<Body>) -> Result<Response<Body>, Failed> {
        if self.patience.time_left() == Some(Duration::ZERO) {
            return Err(Failed::Final(SendFault::Deadline));
        }
        let flight = Flight::begin(endpoint, &self.service.measures().in_flight);
        let (mut link, request) = self.link(endpoint, request).await?;
        let copy = copy(&request);
        let upgrade_asked = request.headers().contains_key(UPGRADE);
        let waited = self.head(&mut link, request).await;
        match waited {
            Err(fault) => {
                self.trip.sent = true;
                Err(Failed::Final(fault))
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
                    self.trip.sent = true;
                    Err(self.broken(fault.error(), copy))
                }
            },
        }
    }

    /// A pooled connection, or a new one.
    async fn link(&mut self, endpoint: &Arc<Endpoint>, request: Request<Body>) -> Result<(Link, Request<Body>), Failed> {
        if !self.fresh
            && let Some(mut link) = self.pooled(endpoint, &request).await
        {
            // The terms of today, also where the connection was made under those of a former configuration.
            link.pool = self.service.plan().pool;
            self.trip.reused = true;
            return Ok((link, request));
        }
        self.trip.reused = false;
        let begun = Instant::now();
        let within = self.patience.time_left().unwrap_or(Duration::MAX);
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
            Err(ConnectFault::Late) => Err(Failed::Final(SendFault::Deadline)),
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

    /// Sends the request and waits for the head; the outer fault when time has run out.
    async fn head(&self, link: &mut Link, request: Request<Body>) -> Result<Result<Response<Incoming>, TrySend>, SendFault> {
        let mut answer = std::pin::pin!(link.sender.try_send_request(request));
        let begun = Instant::now();
        loop {
            let Some(until) = self.patience.look_at(begun) else { return Ok(answer.await) };
            if let Ok(answer) = tokio::time::timeout_at(until.into(), &mut answer).await {
                return Ok(answer);
            }
            // None when the upload has moved meanwhile, or when the client is the one we wait for.
            if let Some(fault) = self.patience.over(begun) {
                return Err(fault);
            }
        }
    }

    fn answer(&self, response: Response<Incoming>, link: Link, flight: Flight, upgrade_asked: bool) -> Result<Response<Body>, SendFault> {
        let (mut head, incoming) = response.into_parts();
        // The version is of the connection it came over, and none of the client's.
        head.version = Version::HTTP_11;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !upgrade_asked {
                return Err(SendFault::Protocol);
            }
            link.upgrade.begin();
            drop(flight);
            link.close();
            return Ok(Response::from_parts(head, Body::Empty));
        }
        let held = Held { link, pools: Rc::clone(self.pools), flight };
        Ok(Response::from_parts(head, answer::body(incoming, held, self.service.plan().timeouts.idle)))
    }

    /// What a failure means after a byte may have been written.
    fn broken(&self, fault: &hyper::Error, copy: Option<Request<Body>>) -> Failed {
        if let Some(cause) = self.patience.progress().and_then(|progress| progress.take_fault()) {
            return Failed::Final(SendFault::RequestBody(cause));
        }
        tracing::debug!(service = self.service.name(), %fault, "an instance did not answer");
        if fault.is_parse() {
            return Failed::Final(SendFault::Protocol);
        }
        Failed::Broken(copy)
    }
}

type TrySend = hyper::client::conn::TrySendError<Request<Body>>;

fn outcome(fault: &SendFault) -> Outcome {
    match fault {
        SendFault::NoInstances => Outcome::NoInstances,
        SendFault::ConnectFailed => Outcome::ConnectFailed,
        SendFault::Reset => Outcome::Reset,
        SendFault::Protocol => Outcome::Protocol,
        SendFault::Timeout | SendFault::Deadline => Outcome::Timeout,
        SendFault::Overloaded => Outcome::Overloaded,
        SendFault::RequestBody(_) | SendFault::ClientStalled => Outcome::RequestBody,
    }
}

#[cfg(test)]
#[path = "send_tests/mod.rs"]
mod tests;
