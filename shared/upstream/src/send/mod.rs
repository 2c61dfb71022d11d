//! Sends one request to one instance of a service, and to another one where that is lawful.
//!
//! In: a request whose `Host` is set. Out: the response, its body tied to the connection. Refuses: to repeat what may have had an effect.
//!
//! When a request may be repeated. Nothing was written: always, and at once (the connection could not be made, or hyper gave the request back, which
//! it does only when it had not begun to serialise it). Something may have been written: only when the method is idempotent (RFC 9110 §9.2.2), the
//! body is at hand, the connection ended without the head of a response or the service's `per_try` has passed, and the service's retry budget has
//! one left; and after a pause, so that those who failed together do not come back together. Never otherwise; never after another timeout, for the
//! instance may be at work; never after an answer, whatever it says. Another instance is preferred.
//! How it is framed on the wire: `outgoing`.

mod attempt;
mod journey;
mod tell;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use wire::body::Body;

use crate::errand::Errand;
use crate::fault::SendFault;
use crate::guard::{self, Admitted};
use crate::moment;
use crate::outgoing::{prepare, streams};
use crate::patience::Patience;
use crate::pick::tried::Tried;
use crate::pool::Pools;
use crate::send::journey::Journey;
use crate::service::Service;
use crate::trip::Trip;

/// Sends `request` to an instance of `service` and waits for the head of the response, at most until the errand's deadline.
///
/// A body that streams moves the deadline: it rests while the client is waited for, and what it left at the call counts anew from each
/// frame that the instance took. A client that sends nothing for the service's `upload_idle` ends the request.
///
/// The caller has taken hyper's `OnUpgrade` of its own side out of the request before: extensions do not travel. A `101` is answered only to a
/// request with an `upgrade` field, and `hyper::upgrade::on(&mut response)` then gives the instance's side. `trip` is filled in any case.
///
/// # Errors
/// One [`SendFault`], after all attempts that were lawful and inside the service's `attempts_max` and the errand's.
pub async fn send(
    pools: &Rc<Pools>,
    service: &Arc<Service>,
    request: Request<Body>,
    errand: Errand,
    trip: &mut Trip,
) -> Result<Response<Body>, SendFault> {
    let begun = Instant::now();
    let patience = Patience::new(begun, &errand, service.plan());
    let request = prepare(request);
    let Admitted { pass, witness, queued } = match guard::admit(service, &patience, streams(&request)).await {
        Ok(admitted) => admitted,
        Err(fault) => {
            trip.queued = begun.elapsed();
            service.measures().attempt(journey::outcome(&fault));
            return Err(fault);
        }
    };
    trip.queued = queued;
    service.budget().deposit(service.plan().retries.budget, moment::now_ms());
    let mut journey = Journey {
        pools,
        service,
        patience,
        attempts_max: service.plan().retries.attempts_max.min(errand.attempts_max.unwrap_or(u32::MAX)),
        affinity: errand.affinity,
        tells_attempt: errand.tells_attempt,
        pass: Some(pass),
        trip,
        tried: Tried::default(),
        fresh: false,
        sent_before: 0,
    };
    let sent = journey.run(request).await;
    witness.hear(&sent, journey.patience.is_excused());
    trip.upstream = begun.elapsed().saturating_sub(queued);
    if sent.is_ok() {
        service.measures().duration.observe_duration(trip.upstream);
    }
    sent
}

#[cfg(test)]
#[path = "../send_tests/mod.rs"]
mod tests;
