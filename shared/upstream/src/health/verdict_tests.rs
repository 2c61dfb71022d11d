//! The truth table over all combinations.

use super::*;

const BOTH: [bool; 2] = [false, true];

fn all() -> Vec<Evidence> {
    let mut all = Vec::new();
    for standing in Standing::ALL {
        for held in BOTH {
            for checked in BOTH {
                all.extend(BOTH.map(|left_alone| Evidence { held, standing, checked, left_alone }));
            }
        }
    }
    all
}

/// The table as it stands above and in the README, written down a second time: what the checks say, then the ranks of one that is named, named
/// and left alone, held, held and left alone.
const TABLE: [(Standing, bool, [Option<Rank>; 4]); 12] = {
    use Rank::{Bad, BadHeld, Doubtful, DoubtfulHeld, Draining, Good, Held, Unchecked};
    const WELL: [Option<Rank>; 4] = [Some(Good), Some(Doubtful), Some(Held), Some(DoubtfulHeld)];
    const LEAVES: [Option<Rank>; 4] = [Some(Draining), Some(Doubtful), Some(Held), Some(DoubtfulHeld)];
    const NOT_READY: [Option<Rank>; 4] = [Some(Bad), Some(Bad), Some(BadHeld), Some(BadHeld)];
    const ILL: [Option<Rank>; 4] = [Some(Doubtful), Some(Bad), Some(DoubtfulHeld), Some(BadHeld)];
    [
        (Standing::Unknown, true, [Some(Unchecked), Some(Doubtful), Some(Held), Some(DoubtfulHeld)]),
        (Standing::Unknown, false, WELL),
        (Standing::Healthy, true, WELL),
        (Standing::Healthy, false, WELL),
        (Standing::Draining, true, LEAVES),
        (Standing::Draining, false, LEAVES),
        (Standing::NotReady, true, NOT_READY),
        (Standing::NotReady, false, NOT_READY),
        (Standing::Unhealthy, true, ILL),
        (Standing::Unhealthy, false, ILL),
        (Standing::Foreign, true, [None; 4]),
        (Standing::Foreign, false, [None; 4]),
    ]
};

#[test]
fn every_combination_is_in_the_table() {
    for evidence in all() {
        let line = TABLE.iter().find(|(standing, checked, _)| (*standing, *checked) == (evidence.standing, evidence.checked));
        let (_, _, ranks) = line.expect("every standing has its lines");
        assert_eq!(rank(evidence), ranks[usize::from(evidence.held) * 2 + usize::from(evidence.left_alone)], "{evidence:?}");
    }
}

#[test]
fn one_that_is_held_never_goes_before_one_that_is_named_and_as_well() {
    for evidence in all().into_iter().filter(|evidence| !evidence.held) {
        let (named, held) = (rank(evidence), rank(Evidence { held: true, ..evidence }));
        assert_eq!(named.is_none(), held.is_none());
        assert!(named.is_none() || named < held, "{evidence:?}");
    }
}

#[test]
fn a_witness_against_it_never_makes_it_better() {
    let health = |evidence: Evidence| match evidence.standing {
        Standing::Healthy => Some(0),
        Standing::Unknown => Some(if evidence.checked { 1 } else { 0 }),
        Standing::Draining => Some(2),
        Standing::Unhealthy => Some(3),
        Standing::NotReady => Some(4),
        Standing::Foreign => None,
    };
    for one in all() {
        for other in all() {
            let (Some(a), Some(b)) = (health(one), health(other)) else { continue };
            if a <= b && one.left_alone <= other.left_alone && one.held <= other.held {
                assert!(rank(one) <= rank(other), "{one:?} {other:?}");
            }
        }
    }
}

#[test]
fn one_witness_is_as_good_as_the_other_and_two_are_worse() {
    let named = |standing, left_alone| rank(Evidence { held: false, standing, checked: true, left_alone });
    assert_eq!(named(Standing::Healthy, true), named(Standing::Unhealthy, false));
    assert!(named(Standing::Healthy, true) < named(Standing::Unhealthy, true));
    let held = rank(Evidence { held: true, standing: Standing::Healthy, checked: true, left_alone: false });
    assert!(held < named(Standing::Healthy, true), "an instance that works goes before one that does not, also when its name is gone");
    assert!(held.is_some_and(|rank| !rank.is_poor()) && named(Standing::Unhealthy, false).is_some_and(Rank::is_poor));
}

#[test]
fn whoever_says_that_it_is_not_ready_comes_after_one_whose_checks_merely_fail() {
    for held in BOTH {
        let of = |standing, left_alone| rank(Evidence { held, standing, checked: true, left_alone });
        for left_alone in BOTH {
            assert!(of(Standing::Unhealthy, false) < of(Standing::NotReady, left_alone));
            assert!(of(Standing::Healthy, true) < of(Standing::NotReady, left_alone));
            assert!(of(Standing::Unhealthy, true) <= of(Standing::NotReady, left_alone));
        }
    }
}

#[test]
fn another_treaty_is_never_used_and_everything_else_is_in_the_end() {
    for evidence in all() {
        assert_eq!(rank(evidence).is_none(), evidence.standing == Standing::Foreign, "{evidence:?}");
    }
}
