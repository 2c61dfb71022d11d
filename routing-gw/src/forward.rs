//! Hands the request to an instance of its service and takes the answer.
//!
//! In: `Exchange<Introduced>`. Out: the instance's answer without connection-scoped and reserved fields.
//! Refuses: `Upstream`, with the fault; `Limit` when the request body grew over its ceiling, broke off or stood still on the way.
//! Never: shows an instance the assertion or a header that a client forged; lets an instance write a reserved field.

use std::rc::Rc;
use std::time::{Duration, Instant};

use contract::trail::Trail;
use contract::{attempt, deadline, grpc, grpc_answer, headers};
use http::header::{HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::Value;
use upstream::cookies;
use upstream::errand::Errand;
use upstream::fault::SendFault;
use upstream::pool::Pools;
use upstream::send;
use upstream::trip::Trip;
use wire::body::Body;
use wire::exchange::Exchange;
use wire::hop_by_hop;
use wire::upgrade::{self, TUNNEL_IDLE_MAX};

use crate::facts::{Introduced, RouteFacts};
use crate::refusal::Refusal;

/// Bytes of one header about the caller at most; a longer claim is left out, because a cut one could mean something else. A caller then has
/// less than it was granted, never more.
const CLAIM_BYTES_MAX: usize = 4_096;

/// By so much less is told in whole milliseconds than there is.
const LEFT_ROUNDED: Duration = Duration::from_millis(1);

/// Sends a permitted request to its service.
///
/// # Errors
/// No instance gave an answer.
pub async fn send(pools: &Rc<Pools>, exchange: Exchange<Introduced>, trail: &mut Trail) -> Result<Response<Body>, Refusal> {
    let Exchange { mut request, known: introduced } = exchange;
    let known = introduced.permitted();
    let route = known.route();
    let wanted = known.arrived().upgrade().cloned();
    let client = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    let map = request.headers_mut();
    tell_caller(map, &introduced);
    if let Some(protocol) = wanted {
        upgrade::name(map, protocol);
    }

    let stamp = known.arrived().stamp();
    let now_s = stamp.at_ms / 1_000;
    let subject = Some(&*known.caller().subject).filter(|_| !known.caller().is_anonymous());
    let affinity = route.service.affinity(request.headers(), subject, stamp.client, now_s);
    cookies::remove(request.headers_mut(), &route.own_cookies);
    let errand = Errand { affinity, ..errand(request.headers_mut(), stamp.at, route) };
    let mut trip = Trip::default();
    let answer = send::send(pools, &route.service, request, errand, &mut trip).await;
    tell(trail, &trip);
    let mut response = answer.map_err(|fault| match fault.of_client(&known.arrived().connection().line) {
        Some(reason) => Refusal::Limit(reason),
        None => Refusal::Upstream(fault),
    })?;

    let granted = hop_by_hop::strip(response.headers_mut());
    headers::scrub(response.headers_mut());
    if let Some(cookie) = route.service.stick(&trip, affinity, now_s) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    // The link may be of HTTP/1.1.
    grpc_answer::announce_trailers(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(client), Some(protocol)) = (client, granted) else {
            return Err(Refusal::Upstream(SendFault::Protocol));
        };
        let instance = hyper::upgrade::on(&mut response);
        // The body holds the endpoint's place until the tunnel has ended.
        let held = std::mem::take(response.body_mut());
        let farewell = known.arrived().connection().farewell.clone();
        tokio::task::spawn_local(async move {
            if let Err(cause) = upgrade::join(client, instance, TUNNEL_IDLE_MAX, Rc::default(), farewell).await {
                tracing::debug!(%cause, "an upgraded connection broke");
            }
            drop(held);
        });
        upgrade::name(response.headers_mut(), protocol);
    }
    Ok(response)
}

/// How long this may take and how often it may be tried: what tier 1 has left of both, where that is less than our own. What tier 1 told is taken out.
fn errand(map: &mut HeaderMap, arrived: Instant, route: &RouteFacts) -> Errand {
    let left = map.remove(&headers::DEADLINE).and_then(|value| deadline::parse(value.as_bytes()));
    let attempt = map.remove(&headers::ATTEMPT).and_then(|value| attempt::parse(value.as_bytes()));
    let call = grpc::timeout(map);
    // Tier 1 counts the client's own time into what is left; where that is shorter, tier 1 was in a hurry and the client was not.
    let is_clients = |within: Duration| within < route.timeout && left.is_none_or(|left| within <= left + LEFT_ROUNDED);
    Errand {
        deadline: Some(arrived + left.map_or(route.timeout, |left| left.min(route.timeout))),
        ends: call.map(|within| arrived + within),
        is_hurried: call.is_some_and(is_clients),
        attempts_max: attempt.map(|attempt| attempt::left(route.service.plan().retries.attempts_max, attempt)),
        ..Errand::default()
    }
}

/// Tells the instance who is asking, in the documented headers.
fn tell_caller(map: &mut HeaderMap, introduced: &Introduced) {
    if let Some(identity) = introduced.identity() {
        map.insert(headers::IDENTITY.clone(), identity.clone());
    }
    let known = introduced.permitted();
    let caller = known.caller();
    if caller.is_anonymous() {
        return;
    }
    set(map, &headers::SUBJECT, &caller.subject);
    set(map, &headers::ISSUER, &caller.issuer);
    set(map, &headers::SCOPES, &caller.scopes.join(" "));
    for (name, claim) in &known.route().claim_headers {
        match caller.claim(claim) {
            Some(Value::String(text)) => set(map, name, text),
            Some(Value::Null) | None => {}
            Some(other) => set(map, name, &other.to_string()),
        }
    }
}

/// Sets a header in UTF-8, unless the text is too long for one, could break out of it, or would be read without the white space around it as
/// another one.
fn set(map: &mut HeaderMap, name: &HeaderName, text: &str) {
    if text.len() <= CLAIM_BYTES_MAX
        && text.trim_matches([' ', '\t']) == text
        && let Ok(value) = HeaderValue::from_bytes(text.as_bytes())
    {
        map.insert(name.clone(), value);
    }
}

/// Writes what became of the request into the Trail.
fn tell(trail: &mut Trail, trip: &Trip) {
    trail.attempts = trip.attempts;
    trail.generation = Some(trip.generation).filter(|generation| *generation > 0);
    trail.instance = trip.instance.as_ref().map(|endpoint| endpoint.name().to_owned());
    trail.queue_us = Some(trip.queued).filter(|queued| !queued.is_zero()).map(micros);
    trail.upstream_us = Some(micros(trip.upstream));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
