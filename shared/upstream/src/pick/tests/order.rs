//! Which instance is better than which: the whole truth table, and that what was tried comes last.

use proptest::prelude::*;

use super::*;
use crate::pick::tried::TRIED_MAX;
use crate::plan::health::{HealthPlan, ProbePlan};

#[test]
fn an_empty_set_has_nobody() {
    for picker in PICKERS {
        assert_eq!(choose(&EndpointSet::default(), &plan(picker), || 7, numbers(6), fresh(1)).err(), Some(PickFault::NoInstances));
    }
}

#[test]
fn those_that_are_all_equally_poor_take_turns_too() {
    let set = set(&[0; 3]);
    for endpoint in set.endpoints() {
        endpoint.connect_failed(5, 5);
    }
    let picked = |turn| place(&set, choose(&set, &plan(Balance::RoundRobin), || turn, numbers(1), fresh(6)).expect("one"));
    assert_eq!([0, 1, 2, 3].map(picked), [0, 1, 2, 0]);
}

#[test]
fn more_attempts_than_memory_forget_the_oldest() {
    let set = set(&[0; 10]);
    let mut tried = Tried::default();
    set.endpoints().iter().take(TRIED_MAX + 1).for_each(|endpoint| tried.add(endpoint));
    assert!(!tried.contains(&set.endpoints()[0]));
    assert!(tried.contains(&set.endpoints()[1]) && tried.contains(&set.endpoints()[TRIED_MAX]));
}

#[test]
fn while_nothing_is_known_of_any_the_rule_picks_and_then_the_first_that_is_known() {
    let set = set(&[1, 2, 3]);
    for picker in PICKERS {
        let (mut one, mut other) = (numbers(4), numbers(4));
        for turn in 0..300 {
            let unchecked = choose(&set, &plan(picker), || turn, &mut one, keyed(turn as u64, 9)).expect("one");
            let checked = choose(&set, &plan(picker), || turn, &mut other, Asked { checked: true, ..keyed(turn as u64, 9) }).expect("one");
            assert!(Arc::ptr_eq(unchecked, checked), "{picker:?}");
        }
    }
    make(&set.endpoints()[1], Healthy);
    set.recount(10);
    for picker in PICKERS {
        let picked = choose(&set, &plan(picker), || 2, numbers(4), Asked { checked: true, ..keyed(7, 10) }).expect("one");
        assert_eq!(place(&set, picked), 1, "{picker:?}");
    }
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
const ORDER_CHECKED: [&[(Known, bool)]; 10] = [
    &[(Healthy, false)],
    &[(Nothing, false)],
    &[(Draining, false)],
    &[(Healthy, true)],
    &[(Nothing, true)],
    &[(Draining, true)],
    &[(Unhealthy, false), (Avoided, false)],
    &[(Unhealthy, true), (Avoided, true)],
    &[(NotReady, false)],
    &[(NotReady, true)],
];

/// The same where nothing is checked: what is not known is taken for good.
const ORDER_UNCHECKED: [&[(Known, bool)]; 8] = [
    &[(Healthy, false), (Nothing, false)],
    &[(Draining, false)],
    &[(Healthy, true), (Nothing, true)],
    &[(Draining, true)],
    &[(Unhealthy, false), (Avoided, false)],
    &[(Unhealthy, true), (Avoided, true)],
    &[(NotReady, false)],
    &[(NotReady, true)],
];

/// In panic, with checks: those that fail them are used like those that pass them.
const ORDER_PANIC: [&[(Known, bool)]; 10] = [
    &[(Healthy, false), (Unhealthy, false)],
    &[(Nothing, false)],
    &[(Draining, false)],
    &[(Healthy, true), (Unhealthy, true)],
    &[(Nothing, true)],
    &[(Draining, true)],
    &[(Avoided, false)],
    &[(Avoided, true)],
    &[(NotReady, false)],
    &[(NotReady, true)],
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

/// All that can be known of three instances, and which of them a request has tried.
fn every_combination(mut check: impl FnMut(&EndpointSet, [(Known, bool); 3], &Tried)) {
    let kinds: Vec<(Known, bool)> = KNOWN.iter().flat_map(|known| [(*known, false), (*known, true)]).collect();
    let count = kinds.len();
    for number in 0..count.pow(3) {
        let states = [number, number / count, number / count / count].map(|digit| kinds[digit % count]);
        let set = small(3);
        let mut tried = Tried::default();
        for (endpoint, (known, is_tried)) in set.endpoints().iter().zip(states) {
            make(endpoint, known);
            if is_tried {
                tried.add(endpoint);
            }
        }
        check(&set, states, &tried);
    }
}

/// Without tables, which would be built thousands of times.
fn small(count: usize) -> EndpointSet {
    EndpointSet::after(&EndpointSet::default(), (0..count).map(|number| found(number, 0, 0)).collect()).expect("a first set is a change")
}

const WITHOUT_TABLES: [Balance; 4] = [Balance::LeastRequest, Balance::RoundRobin, Balance::Weighted, Balance::PeakEwma];

fn best_of<'o>(order: &'o [&'o [(Known, bool)]], states: [(Known, bool); 3]) -> Option<&'o [(Known, bool)]> {
    order.iter().find(|line| states.iter().any(|state| line.contains(state))).copied()
}

#[test]
fn every_combination_is_picked_by_the_table() {
    let mut random = numbers(7);
    for (checked, order) in [(true, &ORDER_CHECKED[..]), (false, &ORDER_UNCHECKED[..])] {
        every_combination(|set, states, tried| {
            let best = best_of(order, states);
            let asked = Asked { tried, checked, ..fresh(6) };
            for picker in WITHOUT_TABLES {
                let plan = BalancePlan { panic_percent: 0, ..plan(picker) };
                let picked = choose(set, &plan, || 1, &mut random, asked).map(|picked| states[place(set, picked)]);
                let told = format!("{picker:?}: {picked:?} of {states:?}, checked: {checked}");
                match best {
                    None => assert_eq!(picked, Err(PickFault::NoInstances), "{told}"),
                    Some(line) if order[order.len() - 4..].contains(&line) => assert_eq!(picked, Err(PickFault::AllEjected), "{told}"),
                    Some(line) => assert!(picked.is_ok_and(|picked| line.contains(&picked)), "{told}"),
                }
            }
        });
    }
}

#[test]
fn below_the_threshold_failing_checks_are_doubted_and_nothing_else() {
    let mut random = numbers(8);
    every_combination(|set, states, tried| {
        // What they say of themselves is no reason to doubt what is said of the others.
        let willing = states.iter().filter(|(known, _)| !matches!(known, Draining | NotReady | Foreign)).count();
        let usable = states.iter().filter(|(known, _)| matches!(known, Nothing | Healthy)).count();
        let order = if usable > 0 && usable * 2 >= willing { &ORDER_CHECKED } else { &ORDER_PANIC };
        let best = best_of(order, states);
        let asked = Asked { tried, checked: true, ..fresh(6) };
        for picker in WITHOUT_TABLES {
            let picked = choose(set, &plan(picker), || 1, &mut random, asked).map(|picked| states[place(set, picked)]);
            let told = format!("{picker:?}: {picked:?} of {states:?}");
            match best {
                None => assert_eq!(picked, Err(PickFault::NoInstances), "{told}"),
                Some(line) => assert!(picked.is_ok_and(|picked| line.contains(&picked)), "{told}"),
            }
        }
    });
}

/// Ejects it for its answers at `now_ms`, for a second.
fn eject(endpoint: &Endpoint, now_ms: u64) {
    let second = std::time::Duration::from_secs(1);
    let plan = crate::plan::outliers::OutliersPlan {
        consecutive_failures: 1,
        consecutive_gateway_errors: 1,
        latency: None,
        base: second,
        max: second,
        share_max_percent: 100,
    };
    endpoint.record().eject(crate::outlier::cause::Cause::Failures, now_ms, None, &plan);
}

#[test]
fn those_that_leave_do_not_bring_back_whom_answers_have_ejected() {
    for own_word in [Draining, NotReady, Foreign] {
        let set = set(&[0; 5]);
        let states = [own_word, own_word, own_word, Healthy, Healthy];
        set.endpoints().iter().zip(states).for_each(|(endpoint, known)| make(endpoint, known));
        eject(&set.endpoints()[3], 5);
        set.recount(6);
        for picker in PICKERS {
            let (plan, mut random) = (plan(picker), numbers(9));
            for turn in 0..1_000 {
                let asked = Asked { checked: true, ..keyed(turn as u64, 6) };
                let picked = choose(&set, &plan, || turn, &mut random, asked).expect("one");
                assert_eq!(place(&set, picked), 4, "{picker:?}: one of two that say nothing against themselves is enough");
            }
        }
        // One of three is not.
        let beside = found(5, 0, 0);
        let set = EndpointSet::after(&set, set.found().iter().cloned().chain([beside]).collect()).expect("a change");
        set.tabulate();
        eject(&set.endpoints()[5], 5);
        set.recount(6);
        let back = (0..1_000).filter(|turn| {
            let picked = choose(&set, &plan(Balance::RoundRobin), || *turn, numbers(1), fresh(6)).expect("one");
            place(&set, picked) == 3
        });
        assert!(back.count() > 200, "{own_word:?}: that many are doubted");
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
        panic_percent in prop::sample::select(vec![0_u32, 50, 100]),
        picker in prop::sample::select(PICKERS.to_vec()),
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
        let good = |endpoint: &Arc<Endpoint>| !endpoint.is_avoided(6);
        let any_good = set.endpoints().iter().any(good);
        let left = set.endpoints().iter().filter(|endpoint| good(endpoint) == any_good).any(|endpoint| !tried.contains(endpoint));
        let plan = BalancePlan { panic_percent, ..plan(picker) };
        match choose(&set, &plan, || turn, numbers(seed), Asked { tried: &tried, ..keyed(seed, 6) }) {
            Ok(picked) => {
                prop_assert_eq!(good(picked), any_good);
                prop_assert!(!left || !tried.contains(picked));
            }
            Err(fault) => prop_assert!(!any_good && panic_percent == 0 && fault == PickFault::AllEjected),
        }
    }
}
