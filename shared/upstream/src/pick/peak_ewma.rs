//! The one of two instances drawn at random that is expected to be done first (peak EWMA of Finagle and linkerd).
//!
//! In: a level, random numbers. Out: one instance, or none when the draws found no open one. Never: learns; that is `speed`.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::pick::view::View;

/// Draws two and takes the one of the lower cost.
pub(crate) fn pick<'a>(view: &View<'a, '_>, random: &mut impl FnMut() -> u64) -> Option<&'a Arc<Endpoint>> {
    let first = view.draw(random, None)?;
    let second = view.draw(random, Some(first));
    view.at(second.filter(|second| cost(view, *second) < cost(view, first)).unwrap_or(first))
}

/// The expected time of an answer, times the requests that it would share the instance with. The shares decide who is drawn.
fn cost(view: &View<'_, '_>, place: usize) -> f64 {
    let Some(endpoint) = view.at(place) else { return f64::INFINITY };
    endpoint.speed().expected_us(view.asked.now_ms) * (f64::from(endpoint.in_flight()) + 1.0)
}
