//! Whether this caller may do this.
//!
//! In: `Exchange<Routed>`. Out: `Exchange<Permitted>`.
//! Refuses: `AuthenticationRequired`, `NotPermitted`, each with the id of the decision.
//! Never: permits by default; a route that says nothing does not pass `check`.

pub mod config;

use wire::exchange::Exchange;

use crate::decision::Decisions;
use crate::facts::{Permitted, Routed};
use crate::refusal::Refusal;
use crate::requirement::Denied;

/// Decides on the caller of a routed request.
///
/// # Errors
/// The caller is anonymous on a route that is not public, or lacks what the route demands.
pub fn decide(decisions: &Decisions, exchange: Exchange<Routed>) -> Result<Exchange<Permitted>, Refusal> {
    let decision = decisions.next();
    match exchange.known.route().requirement.decide(exchange.known.caller()) {
        Ok(()) => Ok(exchange.learn(|routed| Permitted::new(routed, decision))),
        Err(Denied::Anonymous) => Err(Refusal::AuthenticationRequired { route: exchange.known.route().clone(), decision }),
        Err(Denied::Lacking) => Err(Refusal::NotPermitted { route: exchange.known.route().clone(), decision }),
    }
}
