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
    assert_eq!(breaker.ask(&PLAN, 1_000, false), Say::Go);
    assert_eq!(many(&breaker, 1_500, 1, true), Change::Opened);
    assert_eq!(breaker.ask(&PLAN, 1_600, false), Say::Wait(4_900));
    assert_eq!(breaker.shut(6_499, false), Some(1));
    let Say::Try(claim) = breaker.ask(&PLAN, 6_500, false) else { panic!("one tries") };
    assert_eq!(breaker.ask(&PLAN, 6_500, false), Say::Wait(5_000), "and no other one");
    assert_eq!(breaker.tried(&PLAN, claim, 6_600, Some(false)), Change::Closed);
    assert_eq!(breaker.ask(&PLAN, 6_600, false), Say::Go);
    assert_eq!(many(&breaker, 6_700, 19, true), Change::None, "what was before does not count");
}

#[test]
fn a_bad_trial_opens_it_again_and_one_that_says_nothing_lets_the_next_one_try() {
    let breaker = opened(0);
    let Say::Try(claim) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, claim, 5_100, Some(true)), Change::Opened);
    assert_eq!(breaker.ask(&PLAN, 10_099, false), Say::Wait(1));
    let Say::Try(claim) = breaker.ask(&PLAN, 10_100, false) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, claim, 10_200, None), Change::None);
    assert!(matches!(breaker.ask(&PLAN, 10_200, false), Say::Try(_)));
    assert!(!breaker.is_closed());
}

#[test]
fn a_trial_that_is_not_heard_of_is_followed_by_another_one_and_counts_still() {
    let breaker = opened(0);
    let Say::Try(slow) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
    assert_eq!(breaker.ask(&PLAN, 9_999, false), Say::Wait(1));
    let Say::Try(next) = breaker.ask(&PLAN, 10_000, false) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, slow, 10_001, Some(false)), Change::Closed, "it takes its time, and is well");
    assert_eq!(breaker.tried(&PLAN, next, 10_002, Some(true)), Change::None, "that is over");
    assert!(breaker.is_closed());
}

#[test]
fn a_service_that_takes_longer_than_the_pause_to_answer_closes_it() {
    let breaker = opened(0);
    let latency = 3 * PLAN.open.as_millis() as u64;
    let mut trials = std::collections::VecDeque::new();
    for now in (5_000..60_000).step_by(100) {
        if let Say::Try(claim) = breaker.ask(&PLAN, now, false) {
            trials.push_back((now + latency, claim));
        }
        if trials.front().is_some_and(|(due, _)| *due <= now) {
            let (_, claim) = trials.pop_front().expect("it is there");
            assert_eq!(breaker.tried(&PLAN, claim, now, Some(false)), Change::Closed);
            assert_eq!(now, 5_000 + latency, "the first one to answer closes it");
            return;
        }
    }
    panic!("it never closed");
}

#[test]
fn a_trial_of_before_the_last_opening_says_nothing_any_more() {
    let breaker = opened(0);
    let Say::Try(old) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
    let Say::Try(bad) = breaker.ask(&PLAN, 10_000, false) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, bad, 10_100, Some(true)), Change::Opened);
    assert_eq!(breaker.tried(&PLAN, old, 10_200, Some(false)), Change::None);
    assert_eq!(breaker.tried(&PLAN, old, 10_200, Some(true)), Change::None);
    assert_eq!(breaker.ask(&PLAN, 10_300, false), Say::Wait(4_800), "nothing has changed");
}

#[test]
fn one_that_loses_the_race_to_close_it_clears_no_counts() {
    let breaker = opened(0);
    let Say::Try(slow) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
    let Say::Try(next) = breaker.ask(&PLAN, 10_000, false) else { panic!("one tries") };
    assert_eq!(breaker.tried(&PLAN, slow, 10_001, Some(false)), Change::Closed);
    assert_eq!(many(&breaker, 10_002, 19, true), Change::None);
    assert_eq!(breaker.tried(&PLAN, next, 10_003, Some(false)), Change::None);
    assert_eq!(many(&breaker, 10_004, 1, true), Change::Opened, "the nineteen count");
}

#[test]
fn a_request_whose_body_streams_leaves_the_trial_to_others_for_a_second() {
    let breaker = opened(0);
    assert_eq!(breaker.ask(&PLAN, 5_000, true), Say::Wait(1_000));
    assert_eq!(breaker.shut(5_999, true), Some(1));
    assert!(matches!(breaker.ask(&PLAN, 6_000, true), Say::Try(_)), "where nobody else comes");
    let breaker = opened(0);
    assert!(matches!(breaker.ask(&PLAN, 5_500, false), Say::Try(_)));
}

#[test]
fn one_that_is_taken_out_forgets_everything() {
    let breaker = opened(0);
    let Say::Try(claim) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
    assert!(breaker.reset(5_100) && !breaker.reset(5_100));
    assert_eq!(breaker.tried(&PLAN, claim, 5_200, Some(true)), Change::None);
    assert_eq!(many(&breaker, 5_200, 19, true), Change::None);
    assert!(breaker.is_closed());
}

#[test]
fn requests_of_the_outage_do_not_open_it_again() {
    let breaker = opened(0);
    let Say::Try(claim) = breaker.ask(&PLAN, 5_000, false) else { panic!("one tries") };
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
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| matches!(breaker.ask(&PLAN, 5_000, false), Say::Try(_))).count()))
            .collect();
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
