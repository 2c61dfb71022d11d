//! Hands the request to tier 2 and takes its answer.
//!
//! In: `Exchange<Asserted>`. Out: the answer of tier 2, its Trail read into the docket and taken out.
//! Refuses: `Link`; `Limit` when the request body grew over its ceiling, broke off or stood still on the way.
//! Never: repeats what tier 2 has answered; lets a reserved field through to the client, or a field that tells what a service was built with.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::trail::Trail;
use contract::{grpc, headers};
use http::{Response, StatusCode, header};
use upstream::errand::Errand;
use upstream::fault::SendFault;
use upstream::pool::Pools;
use upstream::send;
use upstream::service::Service;
use upstream::trip::Trip;
use wire::body::Body;
use wire::exchange::Exchange;
use wire::{hop_by_hop, seen, upgrade};

use crate::docket::Docket;
use crate::facts::Asserted;
use crate::refusal::Refusal;

/// Sends a request over the link.
///
/// # Errors
/// No replica of tier 2 gave an answer, or the request body went over its ceiling.
pub async fn send(
    pools: &Rc<Pools>,
    link: &Arc<Service>,
    timeout: Duration,
    exchange: Exchange<Asserted>,
    docket: &mut Docket,
) -> Result<Response<Body>, Refusal> {
    let Exchange { mut request, known } = exchange;
    let wanted = known.arrived().upgrade().cloned();
    let client = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
    // Tier 2 must read what this tier read; nobody between the two may make it another request.
    let seen = contract::seen::header(&seen::digest(&request));
    let map = request.headers_mut();
    map.insert(headers::SEEN.clone(), seen);
    map.insert(headers::ASSERTION.clone(), known.assertion().clone());
    if let Some(credential) = known.relay() {
        map.insert(header::AUTHORIZATION, credential.clone());
    }
    if let Some(protocol) = wanted {
        upgrade::name(map, protocol);
    }

    let begun = Instant::now();
    // A gRPC client tells how long it waits, counted from when its call arrived; it may be less than ours, and never more.
    let ends = grpc::timeout(request.headers()).map(|within| known.arrived().stamp().at + within);
    let errand = Errand { ends, tells_attempt: true, ..Errand::until(begun + timeout) };
    let mut trip = Trip::default();
    let answer = send::send(pools, link, request, errand, &mut trip).await;
    docket.tier2 = Some(begun.elapsed());
    docket.link_attempts = trip.attempts;
    docket.replica = trip.instance.clone();
    let mut response = answer.map_err(|fault| match fault.of_client(&known.arrived().connection().line) {
        Some(reason) => Refusal::Limit(reason),
        None => Refusal::Link(fault),
    })?;

    docket.trail = response.headers().get(&headers::TRAIL).and_then(|value| Trail::parse(value.as_bytes()));
    let granted = hop_by_hop::strip(response.headers_mut());
    headers::remove_where(response.headers_mut(), |name| headers::is_reserved(name) || headers::tells_software(name));
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (Some(client), Some(protocol)) = (client, granted) else {
            return Err(Refusal::Link(SendFault::Protocol));
        };
        docket.tunnel = Some((client, hyper::upgrade::on(&mut response)));
        upgrade::name(response.headers_mut(), protocol);
        *response.body_mut() = Body::Empty;
    }
    Ok(response)
}
