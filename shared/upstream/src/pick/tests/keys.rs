//! Where keys belong, what moves them, and what bounds the load.

use proptest::prelude::*;

use super::*;

fn owner(set: &EndpointSet, key: u64, now_ms: u64) -> String {
    let picked = choose(set, &plan(Balance::ConsistentHash), || 0, numbers(key), keyed(key, now_ms)).expect("one");
    picked.name().to_owned()
}

#[test]
fn a_key_stays_and_one_instance_more_moves_its_part() {
    let ten = set(&[0; 10]);
    let eleven = EndpointSet::after(&ten, (0..11).map(|number| found(number, 0, 0)).collect()).expect("a change");
    eleven.tabulate();
    let (mut moved, mut to_another) = (0, 0);
    for key in 0..10_000 {
        let (before, after) = (owner(&ten, key, 1), owner(&eleven, key, 1));
        assert_eq!(before, owner(&ten, key, 2));
        moved += usize::from(before != after);
        to_another += usize::from(before != after && after != "127.0.0.1:11");
    }
    assert!((700..1_100).contains(&moved), "{moved} of 10,000 move when the eleventh comes");
    assert!(to_another < 200, "{to_another} move between those that stay");
}

#[test]
fn only_the_keys_of_an_unwell_instance_move_and_they_come_back() {
    let set = set(&[0; 5]);
    let before: Vec<String> = (0..2_000).map(|key| owner(&set, key, 1)).collect();
    set.endpoints()[2].connect_failed(10, 10);
    set.recount(10);
    let bad = set.endpoints()[2].name();
    let mut heirs = std::collections::BTreeSet::new();
    for (key, before) in (0..).zip(&before) {
        let now = owner(&set, key, 10);
        if before == bad {
            heirs.insert(now);
        } else {
            assert_eq!(*before, now);
        }
    }
    assert_eq!(heirs.len(), 4, "all others share what it had");
    set.endpoints()[2].connected();
    set.recount(20);
    assert!((0..2_000).all(|key| owner(&set, key, 20) == before[key as usize]));
}

#[test]
fn the_bound_of_those_that_are_left_is_their_part_of_what_is_left() {
    let set = set(&[80, 10, 10]);
    set.endpoints()[0].connect_failed(10, 10);
    set.recount(10);
    // One that the heavy instance does not have anyway.
    let key = (0..).find(|key| owner(&set, *key, 10) == set.endpoints()[1].name()).expect("a key");
    let begin = |place: usize, requests: usize| (0..requests).for_each(|_| set.endpoints()[place].begin());
    begin(1, 5);
    begin(2, 4);
    let at = |in_flight| {
        let asked = Asked { in_flight, ..keyed(key, 10) };
        place(&set, choose(&set, &plan(Balance::ConsistentHash), || 0, numbers(1), asked).expect("one"))
    };
    assert_eq!(at(9), 1, "5 of 9: the bound is 125 % of half of 10");
    begin(1, 3);
    assert_eq!(at(11), 2, "8 of 11: the bound is 125 % of half of 12, rounded up");
}

#[test]
fn without_a_key_the_less_busy_one_is_picked() {
    let set = set(&[0; 2]);
    (0..5).for_each(|_| set.endpoints()[0].begin());
    let mut random = numbers(9);
    let idle = (0..1_000).filter(|_| {
        let picked = choose(&set, &plan(Balance::ConsistentHash), || 0, &mut random, Asked { in_flight: 5, ..fresh(1) });
        place(&set, picked.expect("one")) == 1
    });
    assert!(idle.count() > 980);
}

#[test]
fn without_tables_nothing_is_lost() {
    let bare = EndpointSet::after(&EndpointSet::default(), vec![found(1, 0, 0), found(2, 0, 0)]).expect("a change");
    assert!(choose(&bare, &plan(Balance::ConsistentHash), || 0, numbers(1), keyed(1, 1)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Requests come and go, most of them with one key; no instance ever has more than its bound, counted with the request that comes.
    #[test]
    fn the_bound_is_never_exceeded(
        weights in proptest::collection::vec(1_u16..20, 2..9),
        load_max_percent in 100_u32..300,
        seed in any::<u64>(),
        keys in 1_u64..4,
    ) {
        let set = set(&weights);
        let mut plan = plan(Balance::ConsistentHash);
        if let Some(hash) = plan.hash.as_mut() {
            hash.load_max_percent = load_max_percent;
        }
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        // One instance alone has no shares that differ, and equal weights are shares of one.
        let equal = weights.iter().all(|weight| *weight == weights[0]);
        let part = |place: usize| if equal { (1, weights.len() as u64) } else { (u64::from(weights[place]), total) };
        let mut random = numbers(seed);
        let mut flying: Vec<usize> = Vec::new();
        for _ in 0..2_000 {
            if !flying.is_empty() && random() % 100 < 45 {
                let ended = flying.swap_remove(random() as usize % flying.len());
                set.endpoints()[ended].end();
                continue;
            }
            let asked = Asked { in_flight: flying.len() as u64, ..keyed(random() % keys, 1) };
            let place = place(&set, choose(&set, &plan, || 0, &mut random, asked).expect("one"));
            set.endpoints()[place].begin();
            flying.push(place);
            let (share, of) = part(place);
            let bound = (u64::from(load_max_percent) * flying.len() as u64 * share).div_ceil(100 * of);
            prop_assert!(u64::from(set.endpoints()[place].in_flight()) <= bound, "{} over {bound}", set.endpoints()[place].in_flight());
        }
    }
}
