//! Which tier of failover takes the requests.

use super::*;

/// Three instances of priority 0, two of priority 10.
fn tiers() -> EndpointSet {
    levelled(&[(1, 0), (1, 0), (1, 0), (1, 10), (1, 10)])
}

/// The priorities that 300 requests go to at `now_ms`.
fn priorities(set: &EndpointSet, panic_percent: u32, now_ms: u64) -> Vec<u16> {
    let mut seen = std::collections::BTreeSet::new();
    for picker in PICKERS {
        let (plan, mut random) = (BalancePlan { panic_percent, ..plan(picker) }, numbers(3));
        for turn in 0..300 {
            let picked = choose(set, &plan, || turn, &mut random, keyed(turn as u64, now_ms)).expect("one");
            seen.insert(set.found()[place(set, picked)].priority);
        }
    }
    seen.into_iter().collect()
}

fn fail(set: &EndpointSet, places: &[usize], now_ms: u64) {
    for place in places {
        set.endpoints()[*place].connect_failed(now_ms, now_ms);
    }
    set.recount(now_ms);
}

#[test]
fn the_backup_is_used_when_too_few_of_the_first_are_usable_and_no_longer() {
    let set = tiers();
    assert_eq!(priorities(&set, 50, 10), [0]);
    fail(&set, &[0], 20);
    assert_eq!(priorities(&set, 50, 20), [0], "two of three are enough");
    fail(&set, &[1], 30);
    assert_eq!(priorities(&set, 50, 30), [10], "one of three is not");
    assert_eq!(priorities(&set, 30, 30), [0], "where a third is enough it is");
    assert_eq!(priorities(&set, 0, 30), [0], "and the last one, where nothing is asked");
    set.endpoints()[0].connected();
    set.recount(40);
    assert_eq!(priorities(&set, 50, 40), [0], "back as soon as enough are usable");
}

#[test]
fn a_penalty_that_ends_by_itself_is_seen_without_an_event() {
    let set = tiers();
    fail(&set, &[0, 1, 2], 20);
    assert_eq!(priorities(&set, 50, 20), [10]);
    let over = 20 + crate::endpoint::AVOID_MS_FIRST + crate::levels::RECOUNT_MS;
    assert_eq!(priorities(&set, 50, over), [0]);
}

#[test]
fn where_all_levels_are_below_the_best_one_is_used() {
    let set = tiers();
    fail(&set, &[0, 1, 2, 3, 4], 20);
    assert_eq!(priorities(&set, 50, 20), [0], "nobody is better, so the first are tried");
    set.endpoints()[1].connected();
    set.recount(21);
    assert_eq!(priorities(&set, 50, 21), [0]);
    // One of two is not below half.
    set.endpoints()[4].connected();
    set.recount(22);
    assert_eq!(priorities(&set, 50, 22), [10]);
}

#[test]
fn a_repeat_goes_to_the_next_level_before_it_goes_to_the_same_instance() {
    let set = levelled(&[(1, 0), (1, 7)]);
    let mut tried = Tried::default();
    for wanted in [0, 1] {
        let asked = Asked { tried: &tried, ..fresh(1) };
        let picked = Arc::clone(choose(&set, &plan(Balance::LeastRequest), || 0, numbers(1), asked).expect("one"));
        assert_eq!(place(&set, &picked), wanted);
        tried.add(&picked);
    }
}

#[test]
fn only_the_levels_own_weights_count() {
    let set = levelled(&[(1, 0), (3, 0), (60_000, 5)]);
    let parts = shares(&set, &plan(Balance::Weighted), 1);
    assert!((parts[0] - 0.25).abs() < 0.005 && (parts[1] - 0.75).abs() < 0.005 && parts[2] == 0.0, "{parts:?}");
}

#[test]
fn an_instance_that_is_asked_for_is_picked_for_as_long_as_it_is_well() {
    let set = tiers();
    for (wanted, endpoint) in set.endpoints().iter().enumerate() {
        let affinity = Affinity { wanted: Some(endpoint.hash()), ..Affinity::default() };
        let pick = |tried: &Tried, now_ms| {
            let asked = Asked { tried, affinity, ..fresh(now_ms) };
            place(&set, choose(&set, &plan(Balance::RoundRobin), || wanted + 1, numbers(1), asked).expect("one"))
        };
        for picks in 0..100 {
            assert_eq!(pick(&Tried::default(), 1 + picks), wanted, "on a backup too");
        }
        let mut tried = Tried::default();
        tried.add(endpoint);
        assert_ne!(pick(&tried, 200), wanted);
        endpoint.connect_failed(300, 300);
        assert_ne!(pick(&Tried::default(), 300), wanted);
        endpoint.connected();
    }
    let unknown = Asked { affinity: Affinity { wanted: Some(1), ..Affinity::default() }, ..fresh(400) };
    assert!(choose(&set, &plan(Balance::LeastRequest), || 0, numbers(1), unknown).is_ok());
}
