//! Pickers: distribution, order, levels, time, keys. Every number is drawn from a seed and every moment is written down.

mod distribution;
mod keys;
mod levels;
mod order;
mod simulation;

use super::*;
use crate::endpoint::Address;
use crate::endpoints::Found;
use crate::plan::balance::{HashOn, HashPlan};
use crate::stable_hash::mixed;

const PICKERS: [Balance; 5] = [Balance::LeastRequest, Balance::RoundRobin, Balance::Weighted, Balance::PeakEwma, Balance::ConsistentHash];

fn found(number: usize, weight: u16, priority: u16) -> Found {
    Found { address: Address::Tcp(([127, 0, 0, 1], 1 + number as u16).into()), host: None, weight, priority }
}

/// A first generation of instances with these weights and priorities.
fn levelled(instances: &[(u16, u16)]) -> EndpointSet {
    let found = instances.iter().enumerate().map(|(number, (weight, priority))| found(number, *weight, *priority));
    let set = EndpointSet::after(&EndpointSet::default(), found.collect()).expect("a first set is a change");
    set.tabulate();
    set
}

fn set(weights: &[u16]) -> EndpointSet {
    levelled(&weights.iter().map(|weight| (*weight, 0)).collect::<Vec<_>>())
}

fn plan(picker: Balance) -> BalancePlan {
    let hash = (picker == Balance::ConsistentHash).then_some(HashPlan { on: HashOn::Caller, load_max_percent: 125 });
    BalancePlan { hash, ..BalancePlan::of(picker) }
}

/// A request that has tried nothing, at a service without checks.
fn fresh(now_ms: u64) -> Asked<'static> {
    const NONE: &Tried = &Tried::NONE;
    Asked { tried: NONE, affinity: Affinity::default(), checked: false, may_try: true, in_flight: 0, now_ms }
}

/// The same with a key.
fn keyed(key: u64, now_ms: u64) -> Asked<'static> {
    Asked { affinity: Affinity { hash: Some(mixed(key)), ..Affinity::default() }, ..fresh(now_ms) }
}

/// SplitMix64, so that every run draws the same.
fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(1);
        mixed(seed)
    }
}

fn place(set: &EndpointSet, picked: &Arc<Endpoint>) -> usize {
    set.endpoints().iter().position(|one| Arc::ptr_eq(one, picked)).expect("picked from the set")
}

/// The part of 100,000 requests, each with a key of its own, that each instance gets.
fn shares(set: &EndpointSet, plan: &BalancePlan, now_ms: u64) -> Vec<f64> {
    const PICKS: usize = 100_000;
    let mut random = numbers(11);
    let mut counts = vec![0_usize; set.endpoints().len()];
    for turn in 0..PICKS {
        let picked = choose(set, plan, || turn, &mut random, keyed(turn as u64, now_ms)).expect("one");
        counts[place(set, picked)] += 1;
    }
    counts.into_iter().map(|count| count as f64 / PICKS as f64).collect()
}
