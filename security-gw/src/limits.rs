//! How much at once, and how much in one body.
//!
//! In: `Exchange<Ruled>`. Out: `Exchange<Admitted>`.
//! Refuses: `Limit`, with `overloaded` or `body-too-large`.
//! Never: queues; beyond the ceiling the answer is immediate, so that a client can go elsewhere.

use wire::exchange::Exchange;
use wire::limits::Limits;

use crate::docket::Docket;
use crate::facts::{Admitted, Ruled};
use crate::refusal::Refusal;

/// Gives the request a place and its body a ceiling, before a byte of it is read. The place goes into the docket, since it is held until the record is closed.
///
/// # Errors
/// No place is free, or the body says that it is too large.
pub fn admit(limits: &Limits, mut exchange: Exchange<Ruled>, docket: &mut Docket) -> Result<Exchange<Admitted>, Refusal> {
    docket.place = Some(limits.place().map_err(Refusal::Limit)?);
    let (own_max, may_be_slow) = (exchange.known.rule().body_bytes_max, exchange.known.rule().slow_bodies);
    let line = &exchange.known.arrived().connection().line;
    limits.bound(&mut exchange.request, line, &docket.body_in, own_max, may_be_slow).map_err(Refusal::Limit)?;
    Ok(exchange.learn(Admitted::new))
}
