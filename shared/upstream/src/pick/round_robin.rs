//! The instance whose turn it is, each as often as its share in every round.
//!
//! In: a level, a turn that counts up by one for every pick in the process. Out: one instance, or none when those of the next turns are no good.
//! Never: a burst for a heavy instance.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::pick::view::{DRAWS, View};
use crate::stable_hash::mixed;

/// The first open one from `turn` on.
pub(crate) fn pick<'a>(view: &View<'a, '_>, turn: usize) -> Option<&'a Arc<Endpoint>> {
    let mut spared = None;
    for step in 0..DRAWS.min(view.level.members().len()) {
        let turn = turn.wrapping_add(step);
        let Some(endpoint) = view.at(view.level.shares().in_turn(turn)).filter(|endpoint| view.is_open(endpoint)) else { continue };
        if view.takes(endpoint, mixed(turn as u64)) {
            return Some(endpoint);
        }
        spared.get_or_insert(endpoint);
    }
    spared
}
