//! Whether a request was sent over a connection that was proved for its host.
//!
//! In: an arrived request, and the listeners that take any host. Out: nothing, or 421 `misdirected` (RFC 9110 §15.5.20). Lawful clients send requests for
//! several hosts over one HTTP/2 connection where its certificate covers them all (RFC 9113 §9.1.1), so that the certificate decides, and not
//! the name that was asked for by SNI. Refuses: a host that only another certificate covers, else whoever may connect under one name would reach what
//! is meant for another one. Never: judges a connection without TLS: nothing was proved there.

use contract::reason::Reason;
use http::header;
use wire::arrived::Arrived;
use wire::exchange::Exchange;

use crate::refusal::Refusal;

/// Checks the host; `any_authority` has a word for each listener.
///
/// # Errors
/// The request was misdirected.
pub fn check(any_authority: &[bool], arrived: &Exchange<Arrived>) -> Result<(), Refusal> {
    let connection = arrived.known.connection();
    let Some(tls) = &connection.tls else { return Ok(()) };
    if any_authority.get(connection.listener).copied().unwrap_or_default() {
        return Ok(());
    }
    match arrived.request.headers().get(header::HOST) {
        Some(host) if tls.served_for.covers(host.as_bytes()) => Ok(()),
        _ => Err(Refusal::Door(Reason::Misdirected)),
    }
}
