//! One level as one request sees it: which of its instances are open to it, and what a draw gives.
//!
//! In: a level, what is known of the request, random numbers. Out: places of open instances. Never: walks over the level.

use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint, RAMP_WHOLE};
use crate::health::verdict::Rank;
use crate::levels::Level;
use crate::pick::Asked;
use crate::pick::rank::{rank, rank_in_panic};

/// Draws before the level is searched from a random place: enough that a level with few bad ones is never searched.
pub(crate) const DRAWS: usize = 8;

/// A level as one request sees it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, 't> {
    pub(crate) level: &'a Level,
    pub(crate) asked: Asked<'t>,
    pub(crate) slow_start: Duration,
    pub(crate) is_panic: bool,
}

impl<'a> View<'a, '_> {
    /// The instance at `place`.
    pub(crate) fn at(&self, place: usize) -> Option<&'a Arc<Endpoint>> {
        self.level.members().get(place)
    }

    /// How good an instance is; `None` for one that is never used.
    pub(crate) fn rank(&self, endpoint: &Endpoint) -> Option<Rank> {
        let rank = if self.is_panic { rank_in_panic } else { rank };
        rank(endpoint, &self.asked)
    }

    /// Whether an instance is well and was not tried.
    pub(crate) fn is_open(&self, endpoint: &Endpoint) -> bool {
        self.rank(endpoint) == Some(Rank::Good) && !self.asked.tried.contains(endpoint)
    }

    /// Whether an instance takes this draw: one that has come lately takes a part of them that rises to all.
    pub(crate) fn takes(&self, endpoint: &Endpoint, random: u64) -> bool {
        let ramp = endpoint.ramp(self.asked.now_ms, self.slow_start);
        // The low bits; the place was drawn by the high ones.
        ramp >= RAMP_WHOLE || random % RAMP_WHOLE < ramp
    }

    /// A place drawn in proportion to the shares whose instance is open, and which is not `other`.
    pub(crate) fn draw(&self, random: &mut impl FnMut() -> u64, other: Option<usize>) -> Option<usize> {
        let mut spared = None;
        for _ in 0..DRAWS {
            let number = random();
            let place = self.level.shares().at_random(number);
            let Some(endpoint) = self.at(place) else { continue };
            if other == Some(place) || !self.is_open(endpoint) {
                continue;
            }
            if self.takes(endpoint, number) {
                return Some(place);
            }
            spared.get_or_insert(place);
        }
        // Where nearly all have come lately there is nobody to spare them.
        spared
    }
}
