//! The corridor of security-gw: every room in the order in which a request meets it.
//!
//! A room left out or exchanged does not compile, because each demands the fact that the one before proved. `rule::find` demands `Arrived`:
//!
//! ```
//! use security_gw::{docket::Docket, facts::Ruled, refusal::Refusal, rule::{self, table::Rules}};
//! use wire::{arrived::Arrived, exchange::Exchange};
//! fn right(rules: &Rules, arrived: Exchange<Arrived>, docket: &mut Docket) -> Result<Exchange<Ruled>, Refusal> {
//!     rule::find(rules, arrived, docket)
//! }
//! ```
//!
//! Without `door`, there is only a request:
//!
//! ```compile_fail,E0308
//! use security_gw::{docket::Docket, facts::Ruled, refusal::Refusal, rule::{self, table::Rules}};
//! use wire::{body::Body, exchange::Exchange};
//! fn door_left_out(rules: &Rules, request: http::Request<Body>, docket: &mut Docket) -> Result<Exchange<Ruled>, Refusal> {
//!     rule::find(rules, Exchange::new(request, ()), docket)
//! }
//! ```
//!
//! `admit` demands `Ruled`:
//!
//! ```
//! use security_gw::{docket::Docket, facts::{Admitted, Ruled}, limits, refusal::Refusal};
//! use wire::{exchange::Exchange, limits::Limits};
//! fn right(ceilings: &Limits, ruled: Exchange<Ruled>, docket: &mut Docket) -> Result<Exchange<Admitted>, Refusal> {
//!     limits::admit(ceilings, ruled, docket)
//! }
//! ```
//!
//! Without `rule`, a request has only `Arrived`:
//!
//! ```compile_fail,E0308
//! use security_gw::{docket::Docket, facts::Admitted, limits, refusal::Refusal};
//! use wire::{arrived::Arrived, exchange::Exchange, limits::Limits};
//! fn rule_left_out(ceilings: &Limits, arrived: Exchange<Arrived>, docket: &mut Docket) -> Result<Exchange<Admitted>, Refusal> {
//!     limits::admit(ceilings, arrived, docket)
//! }
//! ```
//!
//! `identify` demands `Admitted`:
//!
//! ```
//! use security_gw::{authenticate::Authenticate, docket::Docket, facts::{Admitted, Identified}, refusal::Refusal};
//! use identity::cache::TokenCache;
//! use wire::exchange::Exchange;
//! async fn right(room: &Authenticate, cache: &TokenCache, admitted: Exchange<Admitted>, docket: &mut Docket) -> Result<Exchange<Identified>, Refusal> {
//!     room.identify(cache, admitted, 0, docket).await
//! }
//! ```
//!
//! Without `limits`, a request has only `Ruled`:
//!
//! ```compile_fail,E0308
//! use security_gw::{authenticate::Authenticate, docket::Docket, facts::{Identified, Ruled}, refusal::Refusal};
//! use identity::cache::TokenCache;
//! use wire::exchange::Exchange;
//! async fn limits_left_out(room: &Authenticate, cache: &TokenCache, ruled: Exchange<Ruled>, docket: &mut Docket) -> Result<Exchange<Identified>, Refusal> {
//!     room.identify(cache, ruled, 0, docket).await
//! }
//! ```
//!
//! `sign` demands `Identified`:
//!
//! ```
//! use security_gw::{assert, facts::{Asserted, Identified}, refusal::Refusal};
//! use std::sync::Arc;
//! use contract::assertion::Signer;
//! use identity::signed::SignedCache;
//! use wire::exchange::Exchange;
//! fn right(signer: &Arc<Signer>, cache: &SignedCache<Signer>, identified: Exchange<Identified>) -> Result<Exchange<Asserted>, Refusal> {
//!     assert::sign(signer, cache, identified, 0)
//! }
//! ```
//!
//! Without `authenticate`, a request has only `Admitted`:
//!
//! ```compile_fail,E0308
//! use security_gw::{assert, facts::{Admitted, Asserted}, refusal::Refusal};
//! use std::sync::Arc;
//! use contract::assertion::Signer;
//! use identity::signed::SignedCache;
//! use wire::exchange::Exchange;
//! fn authenticate_left_out(signer: &Arc<Signer>, cache: &SignedCache<Signer>, admitted: Exchange<Admitted>) -> Result<Exchange<Asserted>, Refusal> {
//!     assert::sign(signer, cache, admitted, 0)
//! }
//! ```
//!
//! `forward` demands `Asserted`:
//!
//! ```
//! use std::{rc::Rc, sync::Arc, time::Duration};
//! use security_gw::{docket::Docket, facts::Asserted, forward, refusal::Refusal};
//! use upstream::{pool::Pools, service::Service};
//! use wire::{body::Body, exchange::Exchange};
//! async fn right(pools: &Rc<Pools>, link: &Arc<Service>, asserted: Exchange<Asserted>, docket: &mut Docket) -> Result<http::Response<Body>, Refusal> {
//!     forward::send(pools, link, Duration::MAX, asserted, docket).await
//! }
//! ```
//!
//! Without `assert`, a request has only `Identified`:
//!
//! ```compile_fail,E0308
//! use std::{rc::Rc, sync::Arc, time::Duration};
//! use security_gw::{docket::Docket, facts::Identified, forward, refusal::Refusal};
//! use upstream::{pool::Pools, service::Service};
//! use wire::{body::Body, exchange::Exchange};
//! async fn assert_left_out(pools: &Rc<Pools>, link: &Arc<Service>, identified: Exchange<Identified>, docket: &mut Docket) -> Result<http::Response<Body>, Refusal> {
//!     forward::send(pools, link, Duration::MAX, identified, docket).await
//! }
//! ```
//!
//! A fact can be read by everybody:
//!
//! ```
//! use wire::arrived::Arrived;
//! fn read(admitted: &security_gw::facts::Admitted) -> &Arrived {
//!     admitted.arrived()
//! }
//! ```
//!
//! And nobody outside the rooms can make one up:
//!
//! ```compile_fail,E0624
//! fn forged(ruled: security_gw::facts::Ruled) -> security_gw::facts::Admitted {
//!     security_gw::facts::Admitted::new(ruled)
//! }
//! ```

use std::rc::Rc;

use contract::reason::Reason;
use contract::{grpc_answer, headers};
use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use identity::published;
use wire::arrived::Stamp;
use wire::body::Body;
use wire::connection::{Connection, Protocol};

use crate::access_log;
use crate::docket::Docket;
use crate::refusal::{self, Refusal};
use crate::tier::Worker;
use crate::{assert, authority, forward, limits, redirect, rule};

/// Walks one request through the rooms; it always answers, and its record is written when the answer's body has ended.
pub async fn corridor(worker: Rc<Worker>, connection: Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
    let request = request.map(Body::from);
    let stamp = worker.gateway.door.stamp(&request, &connection, worker.clock.now_ms());
    // The record is opened before the first room, so that a refused, aborted or panicking request has its line too.
    let mut record = worker.access_log.open(&connection, &request, &stamp);
    let is_grpc = grpc_answer::is_grpc(request.headers());
    let mut response = match walk(&worker, &connection, request, stamp.clone(), record.docket()).await {
        Ok(response) => response,
        Err(refusal) => {
            record.docket().refused = Some(refusal.reason());
            record.docket().target_fault = refusal.target_fault();
            let answer = refusal.answer(&stamp);
            if is_grpc { grpc_answer::refusal(answer, refusal.reason()) } else { answer }
        }
    };
    if connection.protocol == Protocol::Http1 && record.docket().reason().is_some_and(refusal::is_ambiguous) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    record.docket().body_in.answered.set(true);
    // hyper takes the body out of an answer to HEAD in HTTP/1 alone; in HTTP/2 a client would break the stream off for it (RFC 9110 §9.3.2).
    if record.docket().method == Method::HEAD {
        *response.body_mut() = Body::Empty;
    }
    // The client can name its request to us, whatever became of it.
    response.headers_mut().insert(headers::REQUEST_ID.clone(), stamp.request_id.header());
    access_log::follow(record, response)
}

async fn walk(
    worker: &Worker,
    connection: &Rc<Connection>,
    request: Request<Body>,
    stamp: Stamp,
    docket: &mut Docket,
) -> Result<Response<Body>, Refusal> {
    let gateway = &worker.gateway;
    // First: nothing may read a header before it is scrubbed, nor a target before it is canonical.
    let arrived = gateway.door.enter(request, connection, stamp)?;
    // A listener that only redirects asks nobody who they are.
    if let Some(origin) = gateway.redirects.get(connection.listener).and_then(Option::as_deref) {
        return Ok(redirect::to(origin, arrived.request.uri()));
    }
    // Before anything is decided by the host: the connection must have been proved for it.
    authority::check(&gateway.any_authority, &arrived)?;
    // Nor does one that only publishes this tier's keys.
    let now = worker.clock.now_s();
    if gateway.publishes.get(connection.listener).is_some_and(|publishes| *publishes) {
        return published::answer(&gateway.published, &arrived.request, now).ok_or(Refusal::Door(Reason::NoRoute));
    }
    // Before anything else is asked of it: its rule says how large it may be and who may send it.
    let ruled = rule::find(&gateway.rules, arrived, docket)?;
    // Before any work that an outsider can make us do, and before a byte of the body is read.
    let admitted = limits::admit(&gateway.limits, ruled, docket)?;
    // Before anything is decided or sent: who is asking.
    let identified = gateway.authenticate.identify(&worker.tokens, admitted, now, docket).await?;
    // Only what was proved is signed.
    let asserted = assert::sign(&gateway.signer, &worker.assertions, identified, now)?;
    // Last: tier 2 decides whether the caller may.
    forward::send(&worker.pools, &gateway.link, gateway.link_timeout, asserted, docket).await
}
