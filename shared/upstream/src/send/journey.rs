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
use crate::measures::Outcome;
use crate::moment;
use crate::patience::Patience;
use crate::pick::tried::Tried;
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
    pub(super) trip: &'a mut Trip,
    pub(super) tried: Tried,
    /// No pooled connection any more: the last attempt found one dead, or the instance is on trial.
    pub(super) fresh: bool,
}

/// How one attempt failed.
pub(super) enum Failed {
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
    /// Attempts, until one has an answer or no more is lawful.
    pub(super) async fn run(&mut self, mut request: Request<Body>) -> Result<Response<Body>, SendFault> {
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
            let begun = Instant::now();
            let attempted = self.attempt(&endpoint, request).await;
            self.tell(&endpoint, begun, &attempted);
            let (again, fault) = match attempted {
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
            let left = self.trip.attempts < self.attempts_max && self.patience.time_left() != Some(Duration::ZERO);
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
        let picked = self.service.pick(|| self.pools.random(), &self.tried, self.affinity);
        let Picked { endpoint, generation, is_trial } = picked.inspect_err(|_| self.service.measures().attempt(Outcome::NoInstances))?;
        self.tried.add(&endpoint);
        // What failed was connecting, so that is tried again: over a connection of before the failure nothing would be learned, and the
        // instance would go from trial to trial for as long as that connection lives.
        self.fresh |= is_trial;
        self.trip.attempts += 1;
        self.trip.generation = generation;
        self.trip.instance = Some(Arc::clone(&endpoint));
        Ok(endpoint)
    }
}

fn outcome(fault: &SendFault) -> Outcome {
    match fault {
        SendFault::NoInstances | SendFault::AllEjected => Outcome::NoInstances,
        SendFault::ConnectFailed => Outcome::ConnectFailed,
        SendFault::Reset => Outcome::Reset,
        SendFault::Protocol => Outcome::Protocol,
        SendFault::Timeout | SendFault::Deadline => Outcome::Timeout,
        SendFault::Overloaded => Outcome::Overloaded,
        SendFault::RequestBody(_) | SendFault::ClientStalled => Outcome::RequestBody,
    }
}
