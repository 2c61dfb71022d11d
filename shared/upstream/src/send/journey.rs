//! One request over its attempts: which instance is next, and whether there is a next one.
//!
//! In: a prepared request. Out: the first answer, or the fault of the last attempt. Refuses: attempts beyond the bounds, repeats beyond the budget.
//! Never: repeats what an instance has answered.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use wire::body::Body;

use crate::affinity::Affinity;
use crate::endpoint::Endpoint;
use crate::fault::SendFault;
use crate::gate::Pass;
use crate::measures::Outcome;
use crate::moment;
use crate::outgoing::{is_repeatable, streams};
use crate::patience::Patience;
use crate::pick::tried::Tried;
use crate::plan::protocol::Protocol;
use crate::pool::Pools;
use crate::service::{Picked, Service};
use crate::trip::Trip;
use crate::upload::Upload;

/// The course of one request over its attempts.
pub(super) struct Journey<'a> {
    pub(super) pools: &'a Rc<Pools>,
    pub(super) service: &'a Arc<Service>,
    pub(super) patience: Patience,
    /// The most attempts, by the service's options and by what others have left.
    pub(super) attempts_max: u32,
    /// Where the request would rather go.
    pub(super) affinity: Affinity,
    /// Whether each attempt tells its number.
    pub(super) tells_attempt: bool,
    /// The place at the service, until an answer holds it.
    pub(super) pass: Option<Pass>,
    pub(super) trip: &'a mut Trip,
    pub(super) tried: Tried,
    /// No pooled connection any more: the last attempt found one dead or broke one, or the instance is on trial.
    pub(super) fresh: bool,
    /// The attempts of which something may have been sent.
    pub(super) sent_before: u32,
}

/// How one attempt failed.
pub(super) enum Failed {
    /// Nothing was written; here is the request.
    Unsent(Request<Body>, SendFault),
    /// A pooled connection was dead before anything was written.
    Stale(Request<Body>),
    /// The instance says that it has done nothing of it (RFC 9113 §8.7).
    Unprocessed(Request<Body>),
    /// The connection ended before the head of a response; the copy is there where it may be sent again.
    Broken(Option<Request<Body>>),
    /// The service's `per_try` has passed; the copy as above.
    Late(Option<Request<Body>>),
    /// Nothing more may be done.
    Final(SendFault),
}

impl Journey<'_> {
    /// Attempts, until one has an answer or no more is lawful.
    pub(super) async fn run(&mut self, mut request: Request<Body>) -> Result<Response<Body>, SendFault> {
        // Bytes that are at hand cannot fail, and stay in sight so that they can be sent again.
        if streams(&request) {
            let (head, body) = request.into_parts();
            let (body, progress) = Upload::watch(body);
            self.patience.watch(progress);
            request = Request::from_parts(head, body);
        }
        let mut held: Option<Arc<Endpoint>> = None;
        let mut last: Option<Repeat> = None;
        loop {
            let endpoint = match held.take() {
                Some(endpoint) => endpoint,
                None => self.next_endpoint(last.take(), is_repeatable(&request)).await?,
            };
            self.patience.try_again();
            let measures = self.service.measures();
            let begun = Instant::now();
            let attempted = self.attempt(&endpoint, request).await;
            self.tell(&endpoint, begun, &attempted);
            let (again, fault, is_free) = match attempted {
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
                Err(Failed::Unsent(unsent, fault)) => (Some(unsent), fault, true),
                Err(Failed::Unprocessed(unsent)) => (Some(unsent), SendFault::Reset, true),
                Err(Failed::Broken(copy)) => (copy, SendFault::Reset, false),
                Err(Failed::Late(copy)) => (copy, SendFault::Timeout, false),
                Err(Failed::Final(fault)) => (None, fault, false),
            };
            measures.attempt(outcome(&fault));
            let left = self.trip.attempts < self.attempts_max && self.patience.time_left() != Some(Duration::ZERO);
            let Some(again) = again.filter(|_| left) else { return Err(fault) };
            if is_free {
                measures.retries_unsent.inc();
            } else if self.service.budget().withdraw(self.service.plan().retries.budget, moment::now_ms()) {
                measures.retries_idempotent.inc();
                self.sent_before += 1;
            } else {
                measures.retries_refused.inc();
                return Err(fault);
            }
            // What one stream of HTTP/2 has met says nothing of the others.
            self.fresh = self.service.plan().protocol != Protocol::Http2;
            request = again;
            last = Some(Repeat { fault, is_free });
        }
    }

    /// The instance for the next attempt, after a pause where one is due.
    async fn next_endpoint(&mut self, last: Option<Repeat>, may_try: bool) -> Result<Arc<Endpoint>, SendFault> {
        // Before the pick, so that it is of the moment in which it is used.
        let pauses = last.as_ref().is_some_and(|last| !last.is_free);
        let mut last = last.map(|last| last.fault);
        if pauses {
            last = self.pause(last).await?;
        }
        let picked = self.service.pick(|| self.pools.random(), &self.tried, self.affinity, may_try);
        let picked = picked.map_err(SendFault::from).inspect_err(|fault| self.service.measures().attempt(outcome(fault)));
        let Picked { endpoint, generation, is_trial } = picked?;
        if !pauses && last.is_some() && self.tried.contains(&endpoint) {
            // Nobody else is left to ask.
            self.pause(last).await?;
        }
        self.tried.add(&endpoint);
        // What failed was connecting, so that is tried again: over a connection of before the failure nothing would be learned, and the
        // instance would go from trial to trial for as long as that connection lives.
        self.fresh |= is_trial;
        self.trip.attempts += 1;
        self.trip.generation = generation;
        self.trip.instance = Some(Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// The pause before a repeat; the fault of the last attempt where there is no time for it.
    async fn pause(&self, last: Option<SendFault>) -> Result<Option<SendFault>, SendFault> {
        let pause = self.service.plan().retries.backoff.pause(self.trip.attempts, self.pools.random());
        match last {
            Some(fault) if self.patience.time_left().is_some_and(|left| left <= pause) => return Err(fault),
            _ => tokio::time::sleep(pause).await,
        }
        Ok(last)
    }
}

/// Why there is another attempt.
struct Repeat {
    fault: SendFault,
    /// Nothing was sent.
    is_free: bool,
}

/// How an attempt, or a request before its first one, is counted.
pub(super) fn outcome(fault: &SendFault) -> Outcome {
    match fault {
        SendFault::NoInstances => Outcome::NoInstances,
        SendFault::ConnectFailed => Outcome::ConnectFailed,
        SendFault::Reset => Outcome::Reset,
        SendFault::Protocol => Outcome::Protocol,
        SendFault::Timeout => Outcome::Timeout,
        SendFault::Deadline => Outcome::Deadline,
        SendFault::AllEjected => Outcome::AllEjected,
        SendFault::BreakerOpen { .. } => Outcome::BreakerOpen,
        SendFault::QueueFull => Outcome::QueueFull,
        SendFault::QueueTimeout => Outcome::QueueTimeout,
        SendFault::Overloaded => Outcome::Overloaded,
        SendFault::RequestBody(_) | SendFault::ClientStalled => Outcome::RequestBody,
    }
}
