//! Pickers: distribution, exclusion, and that a pick costs the same among many.

use proptest::prelude::*;

use super::*;
use crate::endpoint::Address;
use crate::endpoints::Found;

fn set(weights: &[u16]) -> EndpointSet {
    let found = |(index, weight): (usize, &u16)| Found {
        address: Address::Tcp(([127, 0, 0, 1], 1 + index as u16).into()),
        host: None,
        weight: *weight,
    };
    EndpointSet::after(&EndpointSet::default(), weights.iter().enumerate().map(found).collect(), None).expect("a first set is a change")
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
    let shares = shares(100_000, &[0; 5], |set, turn| place(set, round_robin(set, turn, &Tried::default(), 1).expect("one")));
    assert!(shares.iter().all(|share| *share == 0.2), "{shares:?}");
}

#[test]
fn two_random_choices_are_even_among_idle_instances() {
    let mut random = numbers(1);
    let shares = shares(100_000, &[0; 5], |set, _| place(set, least_request(set, &mut random, &Tried::default(), 1).expect("one")));
    assert!(shares.iter().all(|share| (share - 0.2).abs() < 0.01), "{shares:?}");
}

#[test]
fn weights_show_in_both_ways_of_picking() {
    let weights = [10, 30, 60];
    let turns = shares(100_000, &weights, |set, turn| place(set, round_robin(set, turn, &Tried::default(), 1).expect("one")));
    assert_eq!(turns, [0.1, 0.3, 0.6]);
    // The comparison of two distinct idle instances favours the heavier one; the order and the rough size of the shares must hold.
    let mut random = numbers(2);
    let drawn = shares(100_000, &weights, |set, _| place(set, least_request(set, &mut random, &Tried::default(), 1).expect("one")));
    assert!(drawn[0] < drawn[1] && drawn[1] < drawn[2] && drawn[2] < 0.95, "{drawn:?}");
}

#[test]
fn a_busy_instance_is_left_to_its_work() {
    let set = set(&[0, 0]);
    set.endpoints()[0].begin();
    let mut random = numbers(3);
    for _ in 0..1_000 {
        let picked = least_request(&set, &mut random, &Tried::default(), 1).expect("one");
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
            &Tried::default(),
            2,
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
        assert_ne!(place(&set, round_robin(&set, turn, &Tried::default(), 11).expect("one")), 1);
        assert_ne!(place(&set, least_request(&set, &mut random, &Tried::default(), 11).expect("one")), 1);
    }
    for endpoint in set.endpoints() {
        endpoint.connect_failed(20, 20);
    }
    let mut seen = [0; 3];
    for turn in 0..300 {
        seen[place(&set, round_robin(&set, turn, &Tried::default(), 21).expect("panic mode"))] += 1;
        seen[place(&set, least_request(&set, &mut random, &Tried::default(), 21).expect("panic mode"))] += 1;
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn an_empty_set_has_nobody() {
    let set = EndpointSet::default();
    assert!(round_robin(&set, 7, &Tried::default(), 1).is_none());
    assert!(least_request(&set, numbers(6), &Tried::default(), 1).is_none());
}

#[test]
fn more_attempts_than_memory_forget_the_oldest() {
    let set = set(&[0; 10]);
    let mut tried = Tried::default();
    set.endpoints().iter().take(TRIED_MAX + 1).for_each(|endpoint| tried.add(endpoint));
    assert!(!tried.contains(&set.endpoints()[0]));
    assert!(tried.contains(&set.endpoints()[1]) && tried.contains(&set.endpoints()[TRIED_MAX]));
}

proptest! {
    #[test]
    fn a_tried_instance_is_never_picked_while_another_is_left(
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
        let left: Vec<&Arc<Endpoint>> = set.endpoints().iter().filter(|endpoint| !tried.contains(endpoint)).collect();
        let open = left.iter().any(|endpoint| !endpoint.is_avoided(6));
        for picked in [round_robin(&set, turn, &tried, 6), least_request(&set, numbers(seed), &tried, 6)] {
            let picked = picked.expect("a set that is not empty always gives one");
            prop_assert!(left.is_empty() || !tried.contains(picked));
            prop_assert!(!open || !picked.is_avoided(6));
        }
    }
}
