//! Pickers: distribution, exclusion, and that a pick costs the same among many.

use proptest::prelude::*;

use super::*;
use crate::endpoint::Address;
use crate::endpoints::Found;
use crate::plan::health::{HealthPlan, ProbePlan};

fn set(weights: &[u16]) -> EndpointSet {
    let found = |(index, weight): (usize, &u16)| Found {
        address: Address::Tcp(([127, 0, 0, 1], 1 + index as u16).into()),
        host: None,
        weight: *weight,
        priority: 0,
    };
    EndpointSet::after(&EndpointSet::default(), weights.iter().enumerate().map(found).collect()).expect("a first set is a change")
}

/// A request that has tried nothing, at a service without checks.
fn fresh(now_ms: u64) -> Asked<'static> {
    const NONE: &Tried = &Tried { ids: [0; TRIED_MAX], len: 0 };
    Asked { tried: NONE, checked: false, may_try: true, now_ms }
}

/// SplitMix64, so that every run draws the same.
fn numbers(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn place(set: &EndpointSet, picked: &Arc<Endpoint>) -> usize {
    set.endpoints().iter().position(|one| Arc::ptr_eq(one, picked)).expect("picked from the set")
}

fn shares(picks: usize, weights: &[u16], mut pick: impl FnMut(&EndpointSet, usize) -> usize) -> Vec<f64> {
    let set = set(weights);
    let mut counts = vec![0_usize; weights.len()];
    for turn in 0..picks {
        counts[pick(&set, turn)] += 1;
    }
    counts.into_iter().map(|count| count as f64 / picks as f64).collect()
}

#[test]
fn round_robin_is_exactly_even() {
    let shares = shares(100_000, &[0; 5], |set, turn| place(set, round_robin(set, turn, fresh(1)).expect("one")));
    assert!(shares.iter().all(|share| *share == 0.2), "{shares:?}");
}

#[test]
fn two_random_choices_are_even_among_idle_instances() {
    let mut random = numbers(1);
    let shares = shares(100_000, &[0; 5], |set, _| place(set, least_request(set, &mut random, fresh(1)).expect("one")));
    assert!(shares.iter().all(|share| (share - 0.2).abs() < 0.01), "{shares:?}");
}

#[test]
fn weights_show_in_both_ways_of_picking() {
    let weights = [10, 30, 60];
    let turns = shares(100_000, &weights, |set, turn| place(set, round_robin(set, turn, fresh(1)).expect("one")));
    assert_eq!(turns, [0.1, 0.3, 0.6]);
    // The comparison of two distinct idle instances favours the heavier one; the order and the rough size of the shares must hold.
    let mut random = numbers(2);
    let drawn = shares(100_000, &weights, |set, _| place(set, least_request(set, &mut random, fresh(1)).expect("one")));
    assert!(drawn[0] < drawn[1] && drawn[1] < drawn[2] && drawn[2] < 0.95, "{drawn:?}");
}

#[test]
fn a_busy_instance_is_left_to_its_work() {
    let set = set(&[0, 0]);
    set.endpoints()[0].begin();
    let mut random = numbers(3);
    for _ in 0..1_000 {
        let picked = least_request(&set, &mut random, fresh(1)).expect("one");
        // Eight draws of two places miss one of them once in 128 times; then the busy one may be all that was seen.
        if place(&set, picked) == 0 {
            set.endpoints()[0].begin();
        } else {
            set.endpoints()[1].begin();
        }
    }
    let loads: Vec<u32> = set.endpoints().iter().map(|endpoint| endpoint.in_flight()).collect();
    assert!(loads[0].abs_diff(loads[1]) <= 30, "{loads:?}");
}

#[test]
fn many_instances_stay_cheap() {
    let set = set(&[0; 1_000]);
    for endpoint in set.endpoints().iter().take(100) {
        endpoint.connect_failed(1, 1);
    }
    let mut draws = 0_u64;
    let mut random = numbers(4);
    for _ in 0..100_000 {
        let picked = least_request(
            &set,
            || {
                draws += 1;
                random()
            },
            fresh(2),
        )
        .expect("one");
        assert!(!picked.is_avoided(2));
    }
    // Two draws and a little more per pick, however many instances there are.
    assert!(draws < 250_000, "{draws}");
}

#[test]
fn an_avoided_instance_is_left_alone_until_all_are() {
    let set = set(&[0; 3]);
    let mut random = numbers(5);
    set.endpoints()[1].connect_failed(10, 10);
    for turn in 0..1_000 {
        assert_ne!(place(&set, round_robin(&set, turn, fresh(11)).expect("one")), 1);
        assert_ne!(place(&set, least_request(&set, &mut random, fresh(11)).expect("one")), 1);
    }
    for endpoint in set.endpoints() {
        endpoint.connect_failed(20, 20);
    }
    let mut seen = [0; 3];
    for turn in 0..300 {
        seen[place(&set, round_robin(&set, turn, fresh(21)).expect("panic mode"))] += 1;
        seen[place(&set, least_request(&set, &mut random, fresh(21)).expect("panic mode"))] += 1;
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn an_empty_set_has_nobody() {
    let set = EndpointSet::default();
    assert!(round_robin(&set, 7, fresh(1)).is_none());
    assert!(least_request(&set, numbers(6), fresh(1)).is_none());
}

#[test]
fn more_attempts_than_memory_forget_the_oldest() {
    let set = set(&[0; 10]);
    let mut tried = Tried::default();
    set.endpoints().iter().take(TRIED_MAX + 1).for_each(|endpoint| tried.add(endpoint));
    assert!(!tried.contains(&set.endpoints()[0]));
    assert!(tried.contains(&set.endpoints()[1]) && tried.contains(&set.endpoints()[TRIED_MAX]));
}

/// What can be known of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Healthy,
    Draining,
    NotReady,
    Unhealthy,
    /// Well by its checks, but connections to it fail.
    Avoided,
    Foreign,
}

use Known::{Avoided, Draining, Foreign, Healthy, NotReady, Nothing, Unhealthy};

const KNOWN: [Known; 7] = [Nothing, Healthy, Draining, NotReady, Unhealthy, Avoided, Foreign];

/// The whole truth, best first: what is known of an instance and whether the request has tried it. What stands in one line is as good. What does
/// not stand here is never picked.
const ORDER_CHECKED: [&[(Known, bool)]; 8] = [
    &[(Healthy, false)],
    &[(Nothing, false)],
    &[(Draining, false)],
    &[(Healthy, true)],
    &[(Nothing, true)],
    &[(Draining, true)],
    &[(NotReady, false), (Unhealthy, false), (Avoided, false)],
    &[(NotReady, true), (Unhealthy, true), (Avoided, true)],
];

/// The same where nothing is checked: what is not known is taken for good.
const ORDER_UNCHECKED: [&[(Known, bool)]; 6] = [
    &[(Healthy, false), (Nothing, false)],
    &[(Draining, false)],
    &[(Healthy, true), (Nothing, true)],
    &[(Draining, true)],
    &[(NotReady, false), (Unhealthy, false), (Avoided, false)],
    &[(NotReady, true), (Unhealthy, true), (Avoided, true)],
];

fn make(endpoint: &Endpoint, known: Known) {
    const PLAN: HealthPlan = HealthPlan {
        probe: ProbePlan::Link,
        every: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(1),
        unhealthy_threshold: 1,
        healthy_threshold: 1,
    };
    let word = contract::health::Word {
        tier: "routing-gw".into(),
        treaty: if known == Foreign { u64::from(contract::TREATY) + 2 } else { u64::from(contract::TREATY) },
        build: "1".into(),
        generation: 1,
        draining: known == Draining,
        ready: known != NotReady,
        workers: 1,
    };
    match known {
        Nothing => {}
        Unhealthy => drop(endpoint.checked().learn(Err("timeout"), &PLAN, 1)),
        Healthy | Draining | NotReady | Avoided | Foreign => drop(endpoint.checked().learn(Ok(Some(word)), &PLAN, 1)),
    }
    if known == Avoided {
        endpoint.connect_failed(5, 5);
    }
}

#[test]
fn every_combination_is_picked_by_the_table() {
    let kinds: Vec<(Known, bool)> = KNOWN.iter().flat_map(|known| [(*known, false), (*known, true)]).collect();
    let count = kinds.len();
    let mut random = numbers(7);
    for (checked, order) in [(true, &ORDER_CHECKED[..]), (false, &ORDER_UNCHECKED[..])] {
        let place_in_order = |state: &(Known, bool)| order.iter().position(|line| line.contains(state));
        for number in 0..count.pow(3) {
            let states = [number, number / count, number / count / count].map(|digit| kinds[digit % count]);
            let set = set(&[0; 3]);
            let mut tried = Tried::default();
            for (endpoint, (known, is_tried)) in set.endpoints().iter().zip(states) {
                make(endpoint, known);
                if is_tried {
                    tried.add(endpoint);
                }
            }
            let best = states.iter().filter_map(place_in_order).min();
            let asked = Asked { tried: &tried, checked, may_try: true, now_ms: 6 };
            for turn in 0..3 {
                for picked in [round_robin(&set, turn, asked), least_request(&set, &mut random, asked)] {
                    let picked = picked.map(|picked| states[place(&set, picked)]);
                    assert_eq!(picked.as_ref().and_then(place_in_order), best, "{picked:?} of {states:?}, checked: {checked}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_tried_instance_is_never_picked_while_a_good_one_is_left(
        weights in proptest::collection::vec(0_u16..200, 1..12),
        tried_bits in any::<u16>(),
        avoided_bits in any::<u16>(),
        turn in any::<usize>(),
        seed in any::<u64>(),
    ) {
        let set = set(&weights);
        let mut tried = Tried::default();
        for (index, endpoint) in set.endpoints().iter().enumerate() {
            if tried_bits >> index & 1 == 1 && tried_bits.count_ones() as usize <= TRIED_MAX {
                tried.add(endpoint);
            }
            if avoided_bits >> index & 1 == 1 {
                endpoint.connect_failed(5, 5);
            }
        }
        let good = |endpoint: &&Arc<Endpoint>| !endpoint.is_avoided(6);
        let any_good = set.endpoints().iter().any(|endpoint| good(&endpoint));
        let alike = |endpoint: &&Arc<Endpoint>| good(endpoint) == any_good;
        let left = set.endpoints().iter().filter(alike).any(|endpoint| !tried.contains(endpoint));
        let asked = Asked { tried: &tried, checked: false, may_try: true, now_ms: 6 };
        for picked in [round_robin(&set, turn, asked), least_request(&set, numbers(seed), asked)] {
            let picked = picked.expect("a set that is not empty always gives one");
            prop_assert_eq!(good(&picked), any_good);
            prop_assert!(!left || !tried.contains(picked));
        }
    }
}
