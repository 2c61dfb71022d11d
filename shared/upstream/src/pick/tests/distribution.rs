//! Who gets how many of 100,000 requests.

use std::time::Duration;

use super::*;

fn assert_near(shares: &[f64], wanted: &[f64], within: f64, what: &str) {
    assert!(shares.iter().zip(wanted).all(|(share, wanted)| (share - wanted).abs() <= within), "{what}: {shares:?}, not {wanted:?}");
}

#[test]
fn equal_instances_get_equal_parts() {
    for picker in PICKERS {
        let within = if picker == Balance::RoundRobin { 0.0 } else { 0.006 };
        assert_near(&shares(&set(&[0; 5]), &plan(picker), 1), &[0.2; 5], within, &format!("{picker:?}"));
    }
}

#[test]
fn weights_are_parts_whatever_the_picker() {
    for picker in PICKERS {
        let within = if picker == Balance::RoundRobin { 0.0 } else { 0.006 };
        assert_near(&shares(&set(&[10, 30, 60]), &plan(picker), 1), &[0.1, 0.3, 0.6], within, &format!("{picker:?}"));
    }
}

#[test]
fn weight_zero_beside_others_gets_next_to_nothing() {
    for picker in PICKERS {
        let shares = shares(&set(&[0, 10, 10]), &plan(picker), 1);
        assert!(shares[0] > 0.0 && shares[0] < 0.002, "{picker:?}: {shares:?}");
        assert_near(&shares[1..], &[0.5, 0.5], 0.006, &format!("{picker:?}"));
    }
}

#[test]
fn what_those_that_are_out_do_not_take_goes_to_all_others_by_their_weights() {
    for picker in PICKERS {
        for (weights, out, wanted) in [
            (
                &[0, 0, 0, 0, 0, 0, 0, 0][..],
                &[2_usize, 3][..],
                &[1.0 / 6.0, 1.0 / 6.0, 0.0, 0.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0][..],
            ),
            (&[10, 10, 20, 20, 40], &[1], &[1.0 / 9.0, 0.0, 2.0 / 9.0, 2.0 / 9.0, 4.0 / 9.0]),
        ] {
            let set = set(weights);
            for place in out {
                set.endpoints()[*place].connect_failed(5, 5);
            }
            set.recount(6);
            // Of a table, the slots behind those of one instance are not quite as many for each.
            let within = if picker == Balance::ConsistentHash { 0.025 } else { 0.01 };
            assert_near(&shares(&set, &plan(picker), 6), wanted, within, &format!("{picker:?}"));
        }
    }
}

#[test]
fn the_best_of_those_that_are_all_poor_are_used_by_weight_and_load() {
    for picker in PICKERS {
        // A long row of those that were ejected, so that whoever follows it would get all that a random start gives to them.
        let set = set(&[10, 10, 10, 10, 10, 10, 10, 30]);
        let plan = BalancePlan { panic_percent: 30, ..plan(picker) };
        let mut tried = Tried::default();
        for endpoint in set.endpoints() {
            endpoint.connect_failed(5, 5);
        }
        set.endpoints()[..6].iter().for_each(|endpoint| tried.add(endpoint));
        set.recount(6);
        let count = |turns: usize| {
            let (mut heavy, mut random) = (0, numbers(3));
            for turn in 0..turns {
                let asked = Asked { tried: &tried, ..keyed(turn as u64, 6) };
                let picked = choose(&set, &plan, || turn, &mut random, asked).expect("one");
                heavy += usize::from(place(&set, picked) == 7);
            }
            heavy
        };
        let heavy = count(10_000);
        assert!((7_300..7_700).contains(&heavy), "{picker:?}: {heavy} of 10,000 by three quarters of the weight");
        (0..1_000).for_each(|_| set.endpoints()[7].begin());
        let busy = count(10_000);
        assert!(picker == Balance::RoundRobin || busy < 6_000, "{picker:?}: {busy} of 10,000 although it is busy");
    }
}

#[test]
fn one_that_has_come_lately_gets_a_rising_part() {
    for picker in [Balance::LeastRequest, Balance::RoundRobin, Balance::Weighted, Balance::PeakEwma] {
        let plan = BalancePlan { slow_start: Duration::from_secs(10), ..plan(picker) };
        let set = set(&[0; 4]);
        set.endpoints()[2].began(5_000);
        let mut before = 0.0;
        for (age_ms, ramp) in [(0, 0.1), (2_500, 0.325), (5_000, 0.55), (7_500, 0.775), (10_000, 1.0)] {
            let share = shares(&set, &plan, 5_000 + age_ms)[2];
            // What it does not take is drawn anew.
            let wanted = ramp / (3.0 + ramp);
            assert!((share - wanted).abs() < 0.01, "{picker:?}: {share} after {age_ms} ms, not {wanted}");
            assert!(share > before, "{picker:?}: {share} after {age_ms} ms, {before} before");
            before = share;
        }
    }
}

#[test]
fn where_all_have_come_lately_nobody_is_spared() {
    for picker in PICKERS {
        let plan = BalancePlan { slow_start: Duration::from_secs(10), ..plan(picker) };
        let set = set(&[0; 5]);
        set.endpoints().iter().for_each(|endpoint| endpoint.began(5_000));
        assert_near(&shares(&set, &plan, 5_000), &[0.2; 5], 0.01, &format!("{picker:?}"));
    }
}

#[test]
fn many_instances_stay_cheap() {
    for picker in PICKERS {
        let set = set(&[0; 1_000]);
        for endpoint in set.endpoints().iter().take(100) {
            endpoint.connect_failed(1, 1);
        }
        let (mut draws, mut random) = (0_u64, numbers(4));
        for turn in 0..100_000 {
            let draw = || {
                draws += 1;
                random()
            };
            let picked = choose(&set, &plan(picker), || turn, draw, keyed(turn as u64, 2)).expect("one");
            assert!(!picked.is_avoided(2));
        }
        // Two draws and a little more per pick, however many instances there are.
        assert!(draws < 250_000, "{picker:?}: {draws}");
    }
}
