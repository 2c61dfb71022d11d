//! The instance whose turn it is, each as often as its share in every round.
//!
//! In: a level, a turn that counts up by one for every pick in the process. Out: one instance, or none when that one is no good and the draws found no open one.
//! Never: a burst for a heavy instance.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::pick::view::{DRAWS, View};
use crate::stable_hash::mixed;

/// The one whose turn it is, or one drawn by the shares where that one is no good: the next in turn would have to bear the whole share of an
/// unwell neighbour.
pub(crate) fn pick<'a>(view: &View<'a, '_>, turn: usize) -> Option<&'a Arc<Endpoint>> {
    let mut spared = None;
    let shares = view.level.shares();
    let mut number = mixed(turn as u64);
    for draw in 0..DRAWS {
        let place = if draw == 0 { shares.in_turn(turn) } else { shares.at_random(number) };
        if let Some(endpoint) = view.at(place).filter(|endpoint| view.is_open(endpoint)) {
            if view.takes(endpoint, number) {
                return Some(endpoint);
            }
            spared.get_or_insert(endpoint);
        }
        number = mixed(number);
    }
    spared
}
