//! What is held against one instance, by times that the tests give.

use proptest::prelude::*;

use super::*;
use crate::plan::outliers::LatencyPlan;

const PLAN: OutliersPlan = OutliersPlan {
    consecutive_failures: 3,
    consecutive_gateway_errors: 2,
    latency: Some(LatencyPlan { factor: 5, floor: Duration::from_millis(100), samples_min: 5 }),
    base: Duration::from_secs(1),
    max: Duration::from_secs(8),
    share_max_percent: 50,
};

fn answered(status: u16) -> What {
    What::Answered { status: StatusCode::from_u16(status).expect("status"), pushback: None }
}

/// An attempt that took `took_ms` and ended at `now_ms`.
fn seen(what: What, now_ms: u64, took_ms: u64) -> Observed {
    Observed { begun_ms: now_ms - took_ms, now_ms, took: Duration::from_millis(took_ms), what }
}

/// Attempts one after the other, each a second after the one before.
fn course(attempts: &[What]) -> Vec<News> {
    let record = Record::default();
    let one = |(index, what): (usize, &What)| record.take(&seen(*what, 1_000 * (index as u64 + 1), 10), &PLAN);
    attempts.iter().enumerate().map(one).collect()
}

#[test]
fn so_many_in_a_row_and_no_fewer_eject() {
    use News::{Guilty, Nothing};
    for failure in [What::Reset, What::Timeout, What::Protocol, What::ConnectFailed] {
        assert_eq!(course(&[failure, failure, failure]), [Nothing, Nothing, Guilty(Cause::Failures)]);
        assert_eq!(course(&[failure, failure, answered(200), failure, failure]), [Nothing; 5], "an answer between");
    }
    for status in [502, 503, 504] {
        assert_eq!(course(&[answered(status), answered(status)]), [Nothing, Guilty(Cause::GatewayErrors)]);
        assert_eq!(course(&[answered(status), answered(200), answered(status)]), [Nothing; 3]);
    }
    // What is no gateway's error is the application's, and 429 is no fault at all; it does not wipe out one either.
    assert_eq!(course(&[answered(500), answered(500), answered(500), answered(500)]), [Nothing; 4]);
    assert_eq!(course(&[answered(429), answered(429), answered(429)]), [Nothing; 3]);
    assert_eq!(course(&[answered(503), answered(429), answered(503)]), [Nothing, Nothing, Guilty(Cause::GatewayErrors)]);
}

#[test]
fn zero_means_never() {
    let plan = OutliersPlan { consecutive_failures: 0, consecutive_gateway_errors: 0, ..PLAN };
    let record = Record::default();
    for now in 1..50 {
        assert_eq!(record.take(&seen(What::Timeout, now * 100, 10), &plan), News::Nothing);
        assert_eq!(record.take(&seen(answered(503), now * 100, 10), &plan), News::Nothing);
    }
}

#[test]
fn what_broke_many_requests_at_once_counts_once() {
    let record = Record::default();
    for late in 0..100 {
        let reset = Observed { begun_ms: 50, now_ms: 60 + late, took: Duration::from_millis(10), what: What::Reset };
        assert_eq!(record.take(&reset, &PLAN), News::Nothing);
    }
    assert_eq!(record.take(&seen(What::Reset, 500, 10), &PLAN), News::Nothing, "the second");
    assert_eq!(record.take(&seen(What::Reset, 900, 10), &PLAN), News::Guilty(Cause::Failures), "the third");
}

#[test]
fn breaks_that_overlap_without_end_count_once_for_each_time_that_they_take() {
    let record = Record::default();
    // One every 20 ms, each 100 ms long: there is always one under way when another one breaks.
    let breaks = (0..11).map(|number| record.take(&seen(What::Reset, 1_100 + number * 20, 100), &PLAN));
    let news: Vec<News> = breaks.collect();
    assert!(news[..10].iter().all(|one| *one == News::Nothing), "{news:?}");
    assert_eq!(news[10], News::Guilty(Cause::Failures), "the third after 200 ms");
}

#[test]
fn a_trial_counts_also_when_the_next_one_is_claimed_before_it_has_ended() {
    for (what, wanted) in [(answered(200), News::Well), (What::Timeout, News::Again(Cause::Failures))] {
        let record = Record::default();
        record.eject(Cause::Failures, 1_000, None, &PLAN);
        assert!(record.claim_trial(2_000) && record.claim_trial(2_000 + TRIAL_MS));
        assert_eq!(record.take(&seen(what, 4_500, 2_501), &PLAN), News::Nothing, "begun before the first trial");
        assert_eq!(record.take(&seen(what, 4_500, 2_500), &PLAN), wanted, "the first trial, after the second was claimed");
        record.eject(Cause::Failures, 4_500, None, &PLAN);
        assert!(!record.is_on_trial());
    }
}

#[test]
fn ejections_double_up_to_a_ceiling_and_are_forgotten_step_by_step() {
    let record = Record::default();
    let mut now = 1_000;
    let pauses: Vec<u64> = (0..6)
        .map(|_| {
            let pause = record.eject(Cause::Failures, now, None, &PLAN).as_secs();
            assert!(record.is_left_alone(now + pause * 1_000 - 1, true) && !record.is_left_alone(now + pause * 1_000, true));
            now += pause * 1_000;
            pause
        })
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
    // Well for as long as the last ejection lasted: one step down; for three times as long: three.
    assert!(record.take_back(now).is_some());
    now += 8_000;
    assert_eq!(record.eject(Cause::Failures, now, None, &PLAN).as_secs(), 4);
    assert!(record.take_back(now).is_some());
    now += 3 * 4_000;
    assert_eq!(record.eject(Cause::Failures, now, None, &PLAN).as_secs(), 1);
    assert!(record.take_back(now).is_some());
    assert_eq!(record.eject(Cause::Failures, now + 1, None, &PLAN).as_secs(), 2, "no sooner back than out again");
    assert_eq!(record.ejections(), 9);
}

#[test]
fn one_request_that_may_be_repeated_tries_it_when_its_time_is_over() {
    let record = Record::default();
    record.eject(Cause::Failures, 1_000, None, &PLAN);
    assert!(!record.claim_trial(1_999), "not before");
    assert!(record.is_left_alone(2_500, false), "a request that may not be repeated waits a little longer");
    assert!(!record.is_left_alone(2_500, true));
    assert!(!record.is_left_alone(2_000 + TRIAL_MS, false), "but not for ever");
    assert!(record.claim_trial(2_500));
    assert!(!record.claim_trial(2_500), "one is enough");
    assert!(record.is_left_alone(2_501, true), "the others wait for how it goes");
    // What was begun before says what is known already, be it good or bad.
    assert_eq!(record.take(&seen(answered(200), 2_600, 500), &PLAN), News::Nothing);
    assert_eq!(record.take(&seen(What::Timeout, 2_600, 500), &PLAN), News::Nothing);
    assert_eq!(record.take(&seen(answered(429), 2_600, 100), &PLAN), News::Nothing, "neither broken nor well");
    assert_eq!(record.take(&seen(What::Timeout, 2_600, 100), &PLAN), News::Again(Cause::Failures));
    assert_eq!(record.take(&seen(answered(503), 2_600, 100), &PLAN), News::Again(Cause::GatewayErrors));
    assert_eq!(record.take(&seen(answered(200), 2_600, 100), &PLAN), News::Well);
    assert_eq!(record.take_back(2_600), Some(Duration::from_millis(1_600)));
    assert_eq!(record.take_back(2_600), None, "once");
    assert!(!record.is_out() && !record.is_left_alone(2_600, false) && !record.claim_trial(9_999));
    // A trial of which nothing was heard is followed by another one.
    record.eject(Cause::Failures, 3_000, None, &PLAN);
    assert!(record.claim_trial(5_000) && record.claim_trial(5_000 + TRIAL_MS));
}

#[test]
fn one_that_was_too_slow_comes_back_when_it_is_fast() {
    let record = Record::default();
    record.eject(Cause::Latency, 1_000, Some(Duration::from_millis(100)), &PLAN);
    assert!(record.claim_trial(2_000));
    assert_eq!(record.take(&seen(answered(200), 2_200, 101), &PLAN), News::Again(Cause::Latency));
    assert_eq!(record.take(&seen(answered(200), 2_100, 100), &PLAN), News::Well);
}

#[test]
fn counts_begin_anew_after_an_ejection() {
    let record = Record::default();
    for now in 1..3 {
        assert_eq!(record.take(&seen(What::Timeout, now * 1_000, 1), &PLAN), News::Nothing);
    }
    record.eject(Cause::Failures, 3_000, None, &PLAN);
    record.take_back(5_000);
    assert_eq!(record.take(&seen(What::Timeout, 6_000, 1), &PLAN), News::Nothing);
}

fn any_attempt() -> impl Strategy<Value = (What, u64)> {
    let what = prop_oneof![
        prop::sample::select(vec![200, 301, 404, 429, 500, 502, 503, 504]).prop_map(answered),
        prop::sample::select(vec![What::Reset, What::Timeout, What::Protocol, What::ConnectFailed]),
    ];
    (what, 1_u64..3_000)
}

proptest! {
    #[test]
    fn nobody_is_ejected_without_so_many_failures_since_the_last_good_answer(attempts in proptest::collection::vec(any_attempt(), 0..60)) {
        let record = Record::default();
        let (mut now, mut failures, mut gateway_errors) = (1_000, 0_u32, 0_u32);
        for (what, pause) in attempts {
            now += pause;
            let news = record.take(&seen(what, now, 0), &PLAN);
            match what {
                What::Answered { status, .. } if is_gateway_error(status) => (failures, gateway_errors) = (0, gateway_errors + 1),
                What::Answered { status, .. } if status == 429 => failures = 0,
                What::Answered { .. } => (failures, gateway_errors) = (0, 0),
                _ => failures += 1,
            }
            let guilty = failures >= PLAN.consecutive_failures || gateway_errors >= PLAN.consecutive_gateway_errors;
            prop_assert_eq!(guilty && !matches!(what, What::Answered { status, .. } if !is_gateway_error(status)), matches!(news, News::Guilty(_)) , "{:?}", what);
            if let News::Guilty(cause) = news {
                record.eject(cause, now, None, &PLAN);
                prop_assert!(record.is_left_alone(now, true) && record.is_left_alone(now, false));
                record.take_back(now);
                (failures, gateway_errors) = (0, 0);
            }
        }
    }
}
