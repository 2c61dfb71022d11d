//! The corridor of routing-gw: every room in the order in which a request meets it.
//!
//! A room left out or exchanged does not compile, because each demands the fact that the one before proved. `verify` demands `Arrived`:
//!
//! ```
//! use std::sync::Arc;
//! use contract::assertion::Verifier;
//! use routing_gw::{facts::Vouched, refusal::Refusal, vouch::{self, VouchCache}};
//! use wire::{arrived::Arrived, exchange::Exchange};
//! fn right(verifier: &Arc<Verifier>, cache: &VouchCache, arrived: Exchange<Arrived>) -> Result<Exchange<Vouched>, Refusal> {
//!     vouch::verify(verifier, cache, arrived, 0)
//! }
//! ```
//!
//! Without `door`, there is only a request:
//!
//! ```compile_fail,E0308
//! use std::sync::Arc;
//! use contract::assertion::Verifier;
//! use routing_gw::{facts::Vouched, refusal::Refusal, vouch::{self, VouchCache}};
//! use wire::{body::Body, exchange::Exchange};
//! fn door_left_out(verifier: &Arc<Verifier>, cache: &VouchCache, request: http::Request<Body>) -> Result<Exchange<Vouched>, Refusal> {
//!     vouch::verify(verifier, cache, Exchange::new(request, ()), 0)
//! }
//! ```
//!
//! `Routes::find` demands `Vouched`:
//!
//! ```
//! use routing_gw::{facts::{Routed, Vouched}, refusal::Refusal, route::Routes};
//! use wire::exchange::Exchange;
//! fn right(routes: &Routes, vouched: Exchange<Vouched>) -> Result<Exchange<Routed>, Refusal> {
//!     routes.find(vouched)
//! }
//! ```
//!
//! Without `vouch`, a request has only `Arrived`:
//!
//! ```compile_fail,E0308
//! use routing_gw::{facts::Routed, refusal::Refusal, route::Routes};
//! use wire::{arrived::Arrived, exchange::Exchange};
//! fn vouch_left_out(routes: &Routes, arrived: Exchange<Arrived>) -> Result<Exchange<Routed>, Refusal> {
//!     routes.find(arrived)
//! }
//! ```
//!
//! `decide` demands `Routed`:
//!
//! ```
//! use routing_gw::{authorize, decision::Decisions, facts::{Permitted, Routed}, refusal::Refusal};
//! use wire::exchange::Exchange;
//! fn right(decisions: &Decisions, routed: Exchange<Routed>) -> Result<Exchange<Permitted>, Refusal> {
//!     authorize::decide(decisions, routed)
//! }
//! ```
//!
//! Without `route`, a request has only `Vouched`:
//!
//! ```compile_fail,E0308
//! use routing_gw::{authorize, decision::Decisions, facts::{Permitted, Vouched}, refusal::Refusal};
//! use wire::exchange::Exchange;
//! fn route_left_out(decisions: &Decisions, vouched: Exchange<Vouched>) -> Result<Exchange<Permitted>, Refusal> {
//!     authorize::decide(decisions, vouched)
//! }
//! ```
//!
//! `introduce` demands `Permitted`:
//!
//! ```
//! use contract::identity_token::IdentitySigner;
//! use identity::signed::SignedCache;
//! use routing_gw::{facts::{Introduced, Permitted}, introduce, refusal::Refusal};
//! use wire::exchange::Exchange;
//! fn right(cache: &SignedCache<IdentitySigner>, permitted: Exchange<Permitted>) -> Result<Exchange<Introduced>, Refusal> {
//!     introduce::sign(cache, permitted, 0)
//! }
//! ```
//!
//! Without `authorize`, a request has only `Routed`:
//!
//! ```compile_fail,E0308
//! use contract::identity_token::IdentitySigner;
//! use identity::signed::SignedCache;
//! use routing_gw::{facts::{Introduced, Routed}, introduce, refusal::Refusal};
//! use wire::exchange::Exchange;
//! fn authorize_left_out(cache: &SignedCache<IdentitySigner>, routed: Exchange<Routed>) -> Result<Exchange<Introduced>, Refusal> {
//!     introduce::sign(cache, routed, 0)
//! }
//! ```
//!
//! `forward` demands `Introduced`:
//!
//! ```
//! use std::rc::Rc;
//! use contract::trail::Trail;
//! use routing_gw::{facts::Introduced, forward, refusal::Refusal};
//! use upstream::pool::Pools;
//! use wire::{body::Body, exchange::Exchange};
//! async fn right(pools: &Rc<Pools>, introduced: Exchange<Introduced>, trail: &mut Trail) -> Result<http::Response<Body>, Refusal> {
//!     forward::send(pools, introduced, trail).await
//! }
//! ```
//!
//! Without `introduce`, a request has only `Permitted`:
//!
//! ```compile_fail,E0308
//! use std::rc::Rc;
//! use contract::trail::Trail;
//! use routing_gw::{facts::Permitted, forward, refusal::Refusal};
//! use upstream::pool::Pools;
//! use wire::{body::Body, exchange::Exchange};
//! async fn introduce_left_out(pools: &Rc<Pools>, permitted: Exchange<Permitted>, trail: &mut Trail) -> Result<http::Response<Body>, Refusal> {
//!     forward::send(pools, permitted, trail).await
//! }
//! ```
//!
//! A fact can be read by everybody:
//!
//! ```
//! use contract::caller::Caller;
//! fn read(permitted: &routing_gw::facts::Permitted) -> &Caller {
//!     permitted.caller()
//! }
//! ```
//!
//! And nobody outside the rooms can make one up:
//!
//! ```compile_fail,E0624
//! use std::sync::Arc;
//! use contract::caller::Caller;
//! fn forged(arrived: wire::arrived::Arrived, caller: Arc<Caller>) -> routing_gw::facts::Vouched {
//!     routing_gw::facts::Vouched::new(arrived, caller)
//! }
//! ```

use std::rc::Rc;

use contract::reason::Reason;
use contract::trail::Trail;
use contract::{grpc_answer, headers};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use wire::arrived::Stamp;
use wire::body::Body;
use wire::connection::Connection;

use crate::account::Account;
use crate::refusal::Refusal;
use crate::tier::Worker;
use crate::{authorize, forward, introduce, vouch};

/// Walks one request through the rooms; it always answers, and the answer carries the Trail for tier 1's record.
pub async fn corridor(worker: Rc<Worker>, connection: Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
    // A listener that publishes keys faces services and strangers: nothing that only tier 1 may ask or say counts on it.
    if worker.gateway.publishes.get(connection.listener).is_some_and(|publishes| *publishes) {
        let gateway = &worker.gateway;
        let answer = match gateway.limits.place() {
            Ok(_place) => gateway.published(&request, worker.clock.now_s()).ok_or(Refusal::NoRoute),
            Err(full) => Err(Refusal::Limit(full)),
        };
        let mut answer = answer.unwrap_or_else(|refusal| refusal.answer(&gateway.door.stamp(&request, &connection, worker.clock.now_ms())));
        // hyper takes the body out of an answer to HEAD in HTTP/1 alone (RFC 9110 §9.3.2).
        if request.method() == Method::HEAD {
            *answer.body_mut() = Body::Empty;
        }
        return answer;
    }
    // Before everything: tier 1 asks how this tier does, and must be answered also when it is full. No client's request: tier 1 scrubs the header.
    if let Some(answer) = worker.gateway.health.answer(&request) {
        return answer;
    }
    let request = request.map(Body::from);
    let stamp = worker.gateway.door.stamp(&request, &connection, worker.clock.now_ms());
    // The account is opened before the first room, so that a refused or aborted request is counted too.
    let mut account = worker.gateway.accounts.open(&request, &stamp);
    let is_grpc = grpc_answer::is_grpc(request.headers());
    let mut trail = Trail::default();
    let mut response = match walk(&worker, &connection, request, stamp.clone(), &mut account, &mut trail).await {
        Ok(response) => response,
        Err(refusal) => {
            let reason = refusal.reason();
            if reason == Reason::SplitView {
                worker.gateway.split_views.alarm(&stamp, worker.clock.now_s());
            }
            account.refused = Some(reason);
            trail.reason = Some(reason);
            if let Some((route, decision)) = refusal.decision() {
                trail.route = Some(route.name.to_string());
                trail.decision = Some(decision.to_string());
            }
            let answer = refusal.answer(&stamp);
            if is_grpc { grpc_answer::refusal(answer, reason) } else { answer }
        }
    };
    account.body_in.answered.set(true);
    response.headers_mut().insert(headers::TRAIL.clone(), trail.encode());
    account.follow(response)
}

async fn walk(
    worker: &Worker,
    connection: &Rc<Connection>,
    request: Request<Body>,
    stamp: Stamp,
    account: &mut Account,
    trail: &mut Trail,
) -> Result<Response<Body>, Refusal> {
    let gateway = &worker.gateway;
    // First: tier 2 reads the target as tier 1 did, and refuses what tier 1 should have refused.
    let arrived = gateway.door.enter(request, connection, stamp)?;
    // Before any work; the place is held until the answer's body has ended.
    account.place = Some(gateway.limits.place().map_err(Refusal::Limit)?);
    // Before anything is told about routes: tier 1 alone is believed.
    let now = worker.clock.now_s();
    let verified = gateway.trusted.ask(|verifier| vouch::verify(verifier, &worker.vouches, arrived, now));
    let vouched = verified.ok_or(Refusal::KeysUnavailable)??;
    // What is asked for decides which policy speaks.
    let mut routed = gateway.routes.find(vouched)?;
    trail.route = Some(routed.known.route().name.to_string());
    // Before a byte of the body is read: its route says how large it may be.
    let (own_max, may_be_slow) = (routed.known.route().body_bytes_max, routed.known.route().slow_bodies);
    gateway.limits.bound(&mut routed.request, &connection.line, &account.body_in, own_max, may_be_slow).map_err(Refusal::Limit)?;
    // Deny by default, before an instance hears of it.
    let permitted = authorize::decide(&worker.decisions, routed)?;
    trail.decision = Some(permitted.known.decision().to_string());
    trail.service = Some(permitted.known.route().service.name().to_owned());
    // Only of a caller who may do this is a service told.
    let introduced = introduce::sign(&worker.identities, permitted, now)?;
    // Last: an instance answers.
    forward::send(&worker.pools, introduced, trail).await
}
