//! The retry budget against a ledger that remembers everything.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;

fn plan(percent: u32, per_second_min: u32) -> BudgetPlan {
    BudgetPlan { percent, per_second_min }
}

#[test]
fn the_reserve_is_there_without_any_request_and_comes_back_with_the_window() {
    let budget = Budget::default();
    let plan = plan(20, 10);
    for _ in 0..100 {
        assert!(budget.withdraw(plan, 5_000));
    }
    assert!(!budget.withdraw(plan, 5_000));
    assert!(!budget.withdraw(plan, 14_999), "the window is ten seconds");
    assert!(budget.withdraw(plan, 15_000));
}

#[test]
fn every_fifth_request_may_be_repeated_and_no_more() {
    let budget = Budget::default();
    let plan = plan(20, 0);
    assert!(!budget.withdraw(plan, 1));
    let mut repeats = 0;
    for request in 0..1_000 {
        budget.deposit(plan, request);
        repeats += usize::from(budget.withdraw(plan, request));
    }
    assert_eq!(repeats, 200);
}

#[test]
fn a_budget_of_nothing_allows_nothing() {
    let budget = Budget::default();
    budget.deposit(plan(0, 0), 1);
    assert!(!budget.withdraw(plan(0, 0), 1));
}

#[test]
fn a_thread_with_an_older_clock_loses_no_booking() {
    let budget = Budget::default();
    let plan = plan(100, 0);
    budget.deposit(plan, 20_000);
    // The same slot, eleven seconds before: it goes to the later second rather than wiping it out.
    budget.deposit(plan, 9_000);
    assert!(budget.withdraw(plan, 20_000) && budget.withdraw(plan, 20_000) && !budget.withdraw(plan, 20_000));
}

#[test]
fn many_threads_never_overdraw_together() {
    let budget = Arc::new(Budget::default());
    let granted = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (budget, granted) = (Arc::clone(&budget), Arc::clone(&granted));
            std::thread::spawn(move || {
                for _ in 0..1_000 {
                    if budget.withdraw(plan(20, 10), 3_000) {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    // Two that wanted the last one at the same moment may both have gone without it; it is there for the next one.
    let rest = std::iter::repeat_with(|| budget.withdraw(plan(20, 10), 3_000)).take_while(|granted| *granted).count();
    assert_eq!(granted.load(Ordering::Relaxed) + rest, 100);
}

proptest! {
    #[test]
    fn it_grants_what_the_ledger_of_the_window_allows(
        percent in 0_u32..=100,
        per_second_min in 0_u32..=3,
        steps in proptest::collection::vec((0_u64..900, any::<bool>()), 1..400),
    ) {
        let (budget, plan) = (Budget::default(), plan(percent, per_second_min));
        let mut ledger: Vec<(u64, i64)> = Vec::new();
        let mut now_ms = 0;
        for (pause, is_repeat) in steps {
            now_ms += pause;
            if !is_repeat {
                budget.deposit(plan, now_ms);
                ledger.push((now_ms / 1_000, i64::from(percent)));
                continue;
            }
            let inside = ledger.iter().filter(|(at, _)| at + WINDOW_S > now_ms / 1_000).map(|(_, amount)| amount).sum::<i64>();
            let allowed = inside + i64::from(per_second_min) * 1_000 >= 100;
            prop_assert_eq!(budget.withdraw(plan, now_ms), allowed);
            if allowed {
                ledger.push((now_ms / 1_000, -100));
            }
        }
    }
}
