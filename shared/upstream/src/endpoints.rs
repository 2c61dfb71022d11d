//! The instances of a service at one moment: one numbered, immutable generation.
//!
//! In: what discovery found and the generation before. Out: a set that a pick reads without locks, by weight.
//! Never: changes after it was made; an instance named before and after keeps its `Endpoint` and so its counters.

use std::collections::HashMap;
use std::sync::Arc;

use crate::endpoint::{Address, Endpoint};
use crate::plan::discover::Entry;

/// The most instances of one service; what discovery names beyond them is left out, and said so.
pub const ENDPOINTS_MAX: usize = 1_024;

/// What an instance of weight 0 gets when others have a weight: a very small share (RFC 2782), this fraction of weight 1.
const SHARE_OF_ZERO: u64 = 100;

/// One instance as discovery found it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it listens.
    pub address: Address,
    /// The name that led there, without a final dot.
    pub host: Option<Box<str>>,
    /// Its share of the traffic against the others, as SRV gives it (0 to 65535); equal numbers mean equal shares.
    pub weight: u16,
    /// Which tier of failover it belongs to, as SRV gives it: the lowest number is used first.
    pub priority: u16,
}

impl From<&Entry> for Found {
    fn from(entry: &Entry) -> Self {
        Self { address: Address::Tcp(entry.address), host: None, weight: entry.weight, priority: entry.priority }
    }
}

/// One generation of the instances of a service.
#[derive(Debug, Default)]
pub struct EndpointSet {
    generation: u64,
    endpoints: Vec<Arc<Endpoint>>,
    found: Vec<Found>,
    /// Those of them that no answer names any more.
    held: Vec<Found>,
    /// The running sums of the shares; empty when all are equal.
    sums: Vec<u64>,
    /// Whether another way of discovery has found these, and this one has not answered yet.
    handed_down: bool,
    /// The step by which turns walk over the shares, so that a heavy instance does not get its share in one burst.
    stride: u64,
}

impl EndpointSet {
    /// Nothing yet, where `generation` is the last one of a former way of discovery.
    #[must_use]
    pub(crate) fn at(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// The same instances as if they were met for the first time, because they are reached in another way; the next generation.
    #[must_use]
    pub(crate) fn anew(&self) -> Self {
        let empty = Self::at(self.generation);
        let anew =
            if self.found.is_empty() { empty } else { Self::after_with(&empty, self.found.clone(), self.held.clone()).unwrap_or(empty) };
        Self { handed_down: self.handed_down, ..anew }
    }

    /// The very same instances for one more service, which has to let go of each in the end ([`Endpoint::leave`]).
    #[must_use]
    pub(crate) fn shared(&self) -> Self {
        self.endpoints.iter().for_each(|endpoint| endpoint.join());
        Self {
            generation: self.generation,
            endpoints: self.endpoints.clone(),
            found: self.found.clone(),
            held: self.held.clone(),
            sums: self.sums.clone(),
            handed_down: self.handed_down,
            stride: self.stride,
        }
    }

    /// The set as one that is in use until another way of discovery has answered for the first time.
    #[must_use]
    pub(crate) fn hand_down(self) -> Self {
        Self { handed_down: !self.endpoints.is_empty(), ..self }
    }

    /// Whether another way of discovery has found these, and the present one has not answered yet.
    #[must_use]
    pub fn is_handed_down(&self) -> bool {
        self.handed_down
    }

    /// The generation after `before`, or `None` when `found` names the same instances with the same shares. The first answer of a way of
    /// discovery makes a generation in any case.
    #[must_use]
    pub fn after(before: &Self, found: Vec<Found>) -> Option<Self> {
        Self::after_with(before, found, Vec::new())
    }

    /// As [`EndpointSet::after`], where no answer names `held` any more, which are in `found` too.
    #[must_use]
    pub fn after_with(before: &Self, mut found: Vec<Found>, mut held: Vec<Found>) -> Option<Self> {
        held.sort();
        found.sort();
        // One address counts once, even where two records lead to it.
        found.dedup_by(|next, kept| next.address == kept.address && next.host == kept.host);
        found.truncate(ENDPOINTS_MAX);
        if before.generation > 0 && !before.handed_down && before.found == found && before.held == held {
            return None;
        }
        let known: HashMap<(&Address, Option<&str>), &Arc<Endpoint>> =
            before.endpoints.iter().map(|endpoint| ((endpoint.address(), endpoint.host()), endpoint)).collect();
        let endpoints: Vec<Arc<Endpoint>> = found
            .iter()
            .map(|one| match known.get(&(&one.address, one.host.as_deref())) {
                Some(endpoint) => Arc::clone(endpoint),
                None => Arc::new(Endpoint::new(one.address.clone(), one.host.clone())),
            })
            .collect();
        let sums = sums(&found);
        let stride = stride(sums.last().copied().unwrap_or(0));
        Some(Self { generation: before.generation + 1, endpoints, found, held, sums, handed_down: false, stride })
    }

    /// The same under another number.
    #[must_use]
    pub(crate) fn numbered(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// What discovery says of each, in the order of the endpoints.
    #[must_use]
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// Those of them that no answer names any more.
    #[must_use]
    pub fn held(&self) -> &[Found] {
        &self.held
    }

    /// Counts the accepted changes from 1; 0 means that nothing was found yet.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The instances, ordered by address.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The endpoints of `self` that `next` no longer names.
    pub fn missing_in<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        let ids: std::collections::HashSet<u64> = next.endpoints.iter().map(|endpoint| endpoint.id()).collect();
        self.endpoints.iter().filter(move |endpoint| !ids.contains(&endpoint.id()))
    }

    /// The share of the instance at `index` against the others; at least 1.
    #[must_use]
    pub(crate) fn share(&self, index: usize) -> u64 {
        match self.sums.get(index) {
            Some(sum) => sum - if index == 0 { 0 } else { self.sums.get(index - 1).copied().unwrap_or(0) },
            None => 1,
        }
    }

    /// The place that a random number falls on, each in proportion to its share. The set must not be empty.
    #[must_use]
    pub(crate) fn place_at_random(&self, random: u64) -> usize {
        let scaled = |total: u64| ((u128::from(random) * u128::from(total)) >> 64) as u64;
        match self.sums.last() {
            None => scaled(self.endpoints.len() as u64) as usize,
            Some(total) => self.place_of(scaled(*total)),
        }
    }

    /// The place whose turn it is, each as often as its share in every full round. The set must not be empty.
    #[must_use]
    pub(crate) fn place_in_turn(&self, turn: usize) -> usize {
        match self.sums.last() {
            None => turn % self.endpoints.len().max(1),
            Some(total) => {
                let slot = (turn as u64 % total) as u128 * u128::from(self.stride) % u128::from(*total);
                self.place_of(slot as u64)
            }
        }
    }

    fn place_of(&self, slot: u64) -> usize {
        self.sums.partition_point(|sum| *sum <= slot)
    }
}

/// Running sums of the shares, or nothing when all instances have the same.
fn sums(found: &[Found]) -> Vec<u64> {
    let Some(first) = found.first() else { return Vec::new() };
    if found.iter().all(|one| one.weight == first.weight) {
        return Vec::new();
    }
    let zero = found.iter().any(|one| one.weight == 0);
    let mut sum = 0;
    found
        .iter()
        .map(|one| {
            sum += match (one.weight, zero) {
                (0, _) => 1,
                (weight, true) => u64::from(weight) * SHARE_OF_ZERO,
                (weight, false) => u64::from(weight),
            };
            sum
        })
        .collect()
}

/// A step near the golden section of `total` that has no factor in common with it, so that `total` steps visit every slot once.
fn stride(total: u64) -> u64 {
    let mut step = (total as f64 * 0.618_033_988_75) as u64;
    while step > 1 && gcd(step, total) != 1 {
        step -= 1;
    }
    step.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(port: u16, weight: u16) -> Found {
        Found { address: Address::Tcp(([127, 0, 0, 1], port).into()), host: None, weight, priority: 0 }
    }

    #[test]
    fn an_instance_that_stays_keeps_its_endpoint() {
        let first = EndpointSet::after(&EndpointSet::default(), vec![found(1, 1), found(2, 1)]).expect("first");
        let second = EndpointSet::after(&first, vec![found(3, 1), found(2, 1)]).expect("second");
        assert_eq!((first.generation(), second.generation()), (1, 2));
        assert!(Arc::ptr_eq(&first.endpoints()[1], &second.endpoints()[0]));
        let gone: Vec<_> = first.missing_in(&second).map(|endpoint| endpoint.name().to_owned()).collect();
        assert_eq!(gone, ["127.0.0.1:1"]);
    }

    #[test]
    fn the_same_answer_in_another_order_is_no_change() {
        let first = EndpointSet::after(&EndpointSet::default(), vec![found(1, 1), found(2, 1)]).expect("first");
        assert!(EndpointSet::after(&first, vec![found(2, 1), found(1, 1), found(1, 1)]).is_none());
        assert!(EndpointSet::after(&first, vec![found(2, 2), found(1, 1)]).is_some(), "another weight is a change");
    }

    #[test]
    fn turns_give_every_share_exactly_and_without_bursts() {
        let set = EndpointSet::after(&EndpointSet::default(), vec![found(1, 5), found(2, 1), found(3, 2)]).expect("set");
        let turns: Vec<usize> = (0..8).map(|turn| set.place_in_turn(turn)).collect();
        let count = |place| turns.iter().filter(|one| **one == place).count();
        assert_eq!((count(0), count(1), count(2)), (5, 1, 2));
        assert!(turns.windows(4).all(|four| four.iter().any(|one| *one != 0)), "{turns:?}");
        assert_eq!((set.share(0), set.share(1), set.share(2)), (5, 1, 2));
    }

    #[test]
    fn weight_zero_gets_little_but_not_nothing() {
        let set = EndpointSet::after(&EndpointSet::default(), vec![found(1, 0), found(2, 1)]).expect("set");
        let total = 101;
        let zero = (0..total).filter(|turn| set.place_in_turn(*turn) == 0).count();
        assert_eq!(zero, 1);
    }

    #[test]
    fn random_numbers_fall_inside_at_both_ends() {
        for weights in [[1, 1], [3, 9]] {
            let set = EndpointSet::after(&EndpointSet::default(), vec![found(1, weights[0]), found(2, weights[1])]).expect("set");
            assert_eq!(set.place_at_random(0), 0);
            assert_eq!(set.place_at_random(u64::MAX), 1);
        }
    }

    #[test]
    fn the_number_of_instances_has_a_ceiling() {
        let many = (1..=3_000).map(|port| found(port, 1)).collect();
        let set = EndpointSet::after(&EndpointSet::default(), many).expect("set");
        assert_eq!(set.endpoints().len(), ENDPOINTS_MAX);
    }
}
