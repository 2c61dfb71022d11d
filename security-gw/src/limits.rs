//! How much at once, and how much in one body.
//!
//! In: `Exchange<Arrived>`. Out: `Exchange<Admitted>`.
//! Refuses: `Limit`, with `overloaded` or `body-too-large`.
//! Never: queues; beyond the ceiling the answer is immediate, so that a client can go elsewhere.

use wire::arrived::Arrived;
use wire::exchange::Exchange;
use wire::limits::Limits;

use crate::docket::Docket;
use crate::facts::Admitted;
use crate::refusal::Refusal;

/// Gives the request a place and its body a ceiling. The place goes into the docket, since it is held until the record is closed.
///
/// # Errors
/// No place is free, or the body says that it is too large.
pub fn admit(limits: &Limits, mut exchange: Exchange<Arrived>, docket: &mut Docket) -> Result<Exchange<Admitted>, Refusal> {
    let place = limits.admit(&mut exchange.request, &docket.body_in).map_err(Refusal::Limit)?;
    docket.place = Some(place);
    Ok(exchange.learn(Admitted::new))
}
