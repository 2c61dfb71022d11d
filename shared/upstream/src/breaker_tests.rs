//! The breaker: when it opens, when it lets one try, and that it never opens for a part of a service.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PLAN: BreakerPlan = BreakerPlan {
    failure_percent: 80,
    requests_min: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    connections_only: false,
};

/// So many requests at `now_ms`, all of which end so.
fn many(breaker: &Breaker, now_ms: u64, count: usize, failed: bool) -> Change {
    (0..count).map(|_| breaker.ended(&PLAN, now_ms, now_ms, failed)).find(|change| *change != Change::None).unwrap_or(Change::None)
}

fn opened(now_ms: u64) -> Breaker {
    let breaker = Breaker::default();
    assert_eq!(many(&breaker, now_ms, 20, true), Change::Opened);
    breaker
}

#[test]
fn it_opens_when_nearly_all_fail_refuses_and_closes_after_a_good_trial() {
    let breaker = Breaker::default();
    assert_eq!(many(&breaker, 1_000, 19, true), Change::None, "too few to judge");
    assert_eq!(breaker.ask(&PLAN, 1_000), Say::Go);
    assert_eq!(many(&breaker, 1_500, 1, true), Change::Opened);
    assert_eq!(breaker.ask(&PLAN, 1_600), Say::Wait(4_900));
    assert_eq!(breaker.shut(6_499), Some(1));
    let Say::Try(claim) = breaker.ask(&PLAN, 6_500) else { panic!("one tries") };
    assert_eq!(breaker.ask(&PLAN, 6_500), Say::Wait(5_000), "and no other one");
    assert_eq!(breaker.tried(&PLAN, claim, 6_600, Some(false)), Change::Closed);
    assert_eq!(breaker.ask(&PLAN, 6_600), Say::Go);
    assert_eq!(many(&breaker, 6_700, 19, true), Change::None, "what was before does not count");
}

#[test]
fn a_bad_trial_opens_it_again_and_one_that_says_nothing_lets_the_next_one_try() {
    let breaker = opened(0);
    let Say::Try(claim) = breaker.ask(&PLAN, 5_000) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, claim, 5_100, Some(true)), Change::Opened);
    assert_eq!(breaker.ask(&PLAN, 10_099), Say::Wait(1));
    let Say::Try(claim) = breaker.ask(&PLAN, 10_100) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, claim, 10_200, None), Change::None);
    assert!(matches!(breaker.ask(&PLAN, 10_200), Say::Try(_)));
    assert!(!breaker.is_closed());
}

#[test]
fn a_trial_that_is_never_heard_of_again_is_followed_by_another_one() {
    let breaker = opened(0);
    let Say::Try(lost) = breaker.ask(&PLAN, 5_000) else { panic!("one tries") };
    assert_eq!(breaker.ask(&PLAN, 9_999), Say::Wait(1));
    let Say::Try(_) = breaker.ask(&PLAN, 10_000) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, lost, 10_001, Some(false)), Change::None, "its word counts no more");
    assert!(!breaker.is_closed());
}

#[test]
fn requests_of_the_outage_do_not_open_it_again() {
    let breaker = opened(0);
    let Say::Try(claim) = breaker.ask(&PLAN, 5_000) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, claim, 5_001, Some(false)), Change::Closed);
    for _ in 0..100 {
        assert_eq!(breaker.ended(&PLAN, 0, 5_002, true), Change::None);
    }
    assert!(breaker.is_closed());
}

#[test]
fn one_bad_instance_of_five_never_opens_it() {
    let breaker = Breaker::default();
    for number in 0..10_000u64 {
        assert_eq!(breaker.ended(&PLAN, number, number, number % 5 == 0), Change::None);
    }
}

#[test]
fn what_is_older_than_the_window_is_forgotten_also_under_another_window() {
    let breaker = Breaker::default();
    assert_eq!(many(&breaker, 0, 100, false), Change::None);
    assert_eq!(many(&breaker, 9_000, 30, true), Change::None, "of the last ten seconds not nearly all have failed");
    assert_eq!(many(&breaker, 11_000, 1, true), Change::Opened);
    let breaker = Breaker::default();
    let short = BreakerPlan { window: Duration::from_secs(1), ..PLAN };
    for _ in 0..1_000 {
        assert_eq!(breaker.ended(&short, 500_000, 500_000, false), Change::None);
    }
    assert_eq!(many(&breaker, 500_000, 20, true), Change::Opened, "pieces of another length are none of these");
}

#[test]
fn on_many_threads_one_tries() {
    let breaker = opened(0);
    let tries: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..1_000).filter(|_| matches!(breaker.ask(&PLAN, 5_000), Say::Try(_))).count())).collect();
        threads.into_iter().map(|thread| thread.join().expect("thread")).sum()
    });
    assert_eq!(tries, 1);
}

proptest! {
    /// It opens exactly when the requests of the window say so, whatever they are.
    #[test]
    fn it_opens_when_the_window_says_so(ends in prop::collection::vec((0u64..400, any::<bool>()), 1..200)) {
        let (breaker, mut now, mut known) = (Breaker::default(), 20_000u64, Vec::new());
        for (pause, failed) in ends {
            now += pause;
            known.push((now / 1_000, failed));
            let counted: Vec<bool> = known.iter().filter(|(piece, _)| piece + 10 > now / 1_000).map(|(_, failed)| *failed).collect();
            let failures = counted.iter().filter(|failed| **failed).count();
            let wanted = failed && counted.len() >= 20 && failures * 100 >= counted.len() * 80;
            let change = breaker.ended(&PLAN, now, now, failed);
            prop_assert_eq!(change == Change::Opened, wanted);
            if wanted {
                break;
            }
        }
    }
}
