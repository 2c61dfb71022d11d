//! The less busy one of two instances drawn at random (Mitzenmacher, "The power of two choices", 2001), busy in proportion to its share.
//!
//! In: a level, random numbers. Out: one instance, or none when the draws found no open one. Never: compares more than two.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::pick::view::View;

/// Draws two and takes the less busy one; the first when they are even.
pub(crate) fn pick<'a>(view: &View<'a, '_>, random: &mut impl FnMut() -> u64) -> Option<&'a Arc<Endpoint>> {
    let first = view.draw(random, None)?;
    let second = view.draw(random, Some(first));
    view.at(second.filter(|second| is_less_busy(view, *second, first)).unwrap_or(first))
}

/// Whether one more request would load the first of them less, for its share. Two that are idle are even: they were drawn by their shares already.
pub(crate) fn is_less_busy(view: &View<'_, '_>, one: usize, other: usize) -> bool {
    let busy = |place: usize| u64::from(view.at(place).map_or(u32::MAX, |endpoint| endpoint.in_flight()));
    let (busy_one, busy_other) = (busy(one), busy(other));
    let shares = view.level.shares();
    (busy_one, busy_other) != (0, 0) && (busy_one + 1) * shares.share(other) < (busy_other + 1) * shares.share(one)
}
