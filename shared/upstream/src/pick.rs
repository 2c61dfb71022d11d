//! Which instance a request goes to: pure functions over one set of endpoints.
//!
//! In: the set, a turn or random numbers, what is known of the request, the time. Out: one endpoint, or none when the set is empty or nothing in
//! it speaks a treaty that is understood here. Never: loops over the set unless most of it is no good; picks a tried one while one that may answer
//! is left.
//!
//! Best first: by the truth table (`health::verdict`) those that nothing speaks against, the same of those that this request has tried; and last
//! the poor ones, which are left alone, fail their checks or say that they are not ready. A poor one's refusal would be final, so that a request is
//! rather sent again where it broke. When all are poor, all are used: what the checks say may be wrong, and must not take the whole service down.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::endpoints::EndpointSet;
use crate::health::standing::Standing;
use crate::health::verdict::{self, Evidence, Rank};

/// What a pick knows of a request and its service.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'t> {
    /// The instances that it has tried.
    pub tried: &'t Tried,
    /// Whether the service's instances are checked, so that one of which nothing is known yet waits for its first check.
    pub checked: bool,
    /// Whether it may try an instance whose ejection is over: it may be sent again, or is refused without harm.
    pub may_try: bool,
    /// The time ([`crate::moment`]).
    pub now_ms: u64,
}

/// How many instances one request remembers having tried; more attempts may repeat the oldest.
pub const TRIED_MAX: usize = 8;

/// Draws before the set is searched from a random place: enough that a set with few avoided ones is never searched.
const DRAWS: usize = 8;

/// The instances that one request has tried already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    ids: [u64; TRIED_MAX],
    len: usize,
}

impl Tried {
    /// Remembers `endpoint`, in place of the oldest when the list is full.
    pub fn add(&mut self, endpoint: &Endpoint) {
        self.ids[self.len % TRIED_MAX] = endpoint.id();
        self.len += 1;
    }

    /// Whether `endpoint` was tried.
    #[must_use]
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.ids[..self.len.min(TRIED_MAX)].contains(&endpoint.id())
    }
}

/// The instance whose turn it is. `turn` counts up by one for every pick in the process.
#[must_use]
pub fn round_robin<'a>(set: &'a EndpointSet, turn: usize, asked: Asked<'_>) -> Option<&'a Arc<Endpoint>> {
    let endpoints = set.endpoints();
    for step in 0..DRAWS.min(endpoints.len()) {
        let endpoint = endpoints.get(set.place_in_turn(turn.wrapping_add(step)))?;
        if is_open(endpoint, asked) {
            return Some(endpoint);
        }
    }
    search(endpoints, turn, asked)
}

/// The less busy one of two instances drawn at random (power of two choices), busy in proportion to its share.
#[must_use]
pub fn least_request<'a>(set: &'a EndpointSet, mut random: impl FnMut() -> u64, asked: Asked<'_>) -> Option<&'a Arc<Endpoint>> {
    let endpoints = set.endpoints();
    if endpoints.len() <= 1 {
        return endpoints.first().filter(|only| only.standing() != Standing::Foreign);
    }
    let mut first: Option<usize> = None;
    for _ in 0..DRAWS {
        let drawn = set.place_at_random(random());
        let Some(endpoint) = endpoints.get(drawn) else { continue };
        if first == Some(drawn) || !is_open(endpoint, asked) {
            continue;
        }
        let Some(held) = first else {
            first = Some(drawn);
            continue;
        };
        return endpoints.get(less_busy(set, held, drawn));
    }
    match first {
        Some(only) => endpoints.get(only),
        None => search(endpoints, random() as usize, asked),
    }
}

/// The place whose instance has fewer requests under way for its share; the first drawn when they are even.
fn less_busy(set: &EndpointSet, a: usize, b: usize) -> usize {
    let load = |place: usize| u64::from(set.endpoints().get(place).map_or(u32::MAX, |endpoint| endpoint.in_flight())) + 1;
    if load(b) * set.share(a) < load(a) * set.share(b) { b } else { a }
}

/// The best of all; among equals the next one from `start`.
fn search<'a>(endpoints: &'a [Arc<Endpoint>], start: usize, asked: Asked<'_>) -> Option<&'a Arc<Endpoint>> {
    let from = start % endpoints.len().max(1);
    let around = || endpoints.iter().skip(from).chain(endpoints.iter().take(from));
    let usable = around().filter_map(|endpoint| Some((endpoint, rank(endpoint, asked)?)));
    usable.min_by_key(|(endpoint, rank)| (rank.is_poor(), asked.tried.contains(endpoint), *rank)).map(|(endpoint, _)| endpoint)
}

/// `None` for one that is never used.
fn rank(endpoint: &Endpoint, asked: Asked<'_>) -> Option<Rank> {
    verdict::rank(Evidence {
        held: false,
        standing: endpoint.standing(),
        checked: asked.checked,
        left_alone: endpoint.is_left_alone(asked.now_ms, asked.may_try),
    })
}

fn is_open(endpoint: &Endpoint, asked: Asked<'_>) -> bool {
    rank(endpoint, asked) == Some(Rank::Good) && !asked.tried.contains(endpoint)
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
