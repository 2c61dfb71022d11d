//! Requests that take time, on a clock that the test moves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::observed::{Observed, What};

/// One request per millisecond from `begin_ms` for `millis`; instance `n` answers as `answers` says. Gives how many requests each got.
fn run(set: &EndpointSet, picker: Balance, begin_ms: u64, millis: u64, answers: impl Fn(usize) -> (u64, StatusCode)) -> Vec<usize> {
    let (plan, mut random) = (plan(picker), numbers(begin_ms));
    let mut counts = vec![0; set.endpoints().len()];
    let mut under_way: BinaryHeap<Reverse<(u64, u64, usize)>> = BinaryHeap::new();
    for now_ms in begin_ms..begin_ms + millis {
        while let Some(Reverse((end_ms, begun_ms, place))) = under_way.pop_if_due(now_ms) {
            finish(set, place, begun_ms, end_ms, answers(place).1);
        }
        let asked = Asked { in_flight: under_way.len() as u64, ..fresh(now_ms) };
        let place = place(set, choose(set, &plan, || now_ms as usize, &mut random, asked).expect("one"));
        counts[place] += 1;
        set.endpoints()[place].begin();
        under_way.push(Reverse((now_ms + answers(place).0, now_ms, place)));
    }
    for Reverse((end_ms, begun_ms, place)) in under_way {
        finish(set, place, begun_ms, end_ms, answers(place).1);
    }
    counts
}

fn finish(set: &EndpointSet, place: usize, begun_ms: u64, now_ms: u64, status: StatusCode) {
    let endpoint = &set.endpoints()[place];
    endpoint.end();
    let what = What::Answered { status, pushback: None };
    endpoint.speed().observe(&Observed { begun_ms, now_ms, took: Duration::from_millis(now_ms - begun_ms), what });
}

trait PopIfDue {
    fn pop_if_due(&mut self, now_ms: u64) -> Option<Reverse<(u64, u64, usize)>>;
}

impl PopIfDue for BinaryHeap<Reverse<(u64, u64, usize)>> {
    fn pop_if_due(&mut self, now_ms: u64) -> Option<Reverse<(u64, u64, usize)>> {
        self.peek().is_some_and(|Reverse((end_ms, ..))| *end_ms <= now_ms).then(|| self.pop()).flatten()
    }
}

const OK: StatusCode = StatusCode::OK;

#[test]
fn a_slow_instance_is_drained_by_its_peaks_and_comes_back_when_it_is_fast_again() {
    let set = set(&[0; 5]);
    let even = run(&set, Balance::PeakEwma, 1_000, 10_000, |_| (10, OK));
    assert!(even.iter().all(|count| (1_400..2_600).contains(count)), "{even:?}");
    let slow = run(&set, Balance::PeakEwma, 11_000, 10_000, |place| (if place == 1 { 500 } else { 10 }, OK));
    assert!(slow[1] < 200, "a fiftieth of the speed, less than a tenth of its part: {slow:?}");
    run(&set, Balance::PeakEwma, 21_000, 60_000, |_| (10, OK));
    let again = run(&set, Balance::PeakEwma, 81_000, 10_000, |_| (10, OK));
    assert!(again[1] > 1_000, "{again:?}");
}

#[test]
fn an_instance_that_refuses_at_once_does_not_draw_the_requests() {
    for status in [429, 500, 502, 503, 504, 599] {
        let set = set(&[0; 5]);
        let status = StatusCode::from_u16(status).expect("a status");
        let counts = run(&set, Balance::PeakEwma, 1_000, 20_000, |place| if place == 3 { (0, status) } else { (20, OK) });
        assert!(counts[3] < 100, "{status}: {counts:?}");
    }
}

#[test]
fn an_instance_that_answers_nothing_gets_nothing_more() {
    for picker in [Balance::LeastRequest, Balance::PeakEwma] {
        let set = set(&[0; 5]);
        let counts = run(&set, picker, 1_000, 10_000, |place| (if place == 2 { 1_000_000 } else { 20 }, OK));
        assert!(counts[2] < 100, "{picker:?}: {counts:?}");
    }
}

#[test]
fn the_less_busy_of_two_keeps_all_evenly_busy() {
    for (picker, apart_max) in [(Balance::LeastRequest, 18), (Balance::Weighted, u32::MAX)] {
        let set = set(&[0; 20]);
        let mut random = numbers(5);
        let mut under_way: Vec<usize> = Vec::new();
        let mut worst = 0;
        for _ in 0..50_000 {
            if under_way.len() > 400 {
                let ended = under_way.swap_remove(random() as usize % under_way.len());
                set.endpoints()[ended].end();
            }
            let place = place(&set, choose(&set, &plan(picker), || 0, &mut random, fresh(1)).expect("one"));
            set.endpoints()[place].begin();
            under_way.push(place);
            let busy = || set.endpoints().iter().map(|endpoint| endpoint.in_flight());
            worst = worst.max(busy().max().unwrap_or(0) - busy().min().unwrap_or(0));
        }
        assert!(worst <= apart_max, "{picker:?}: {worst} apart");
        // Drawing by chance is what it is better than: the bound is one that can fail.
        assert!(picker == Balance::LeastRequest || worst > 24, "{picker:?}: {worst} apart");
    }
}

#[test]
fn a_heavy_instance_works_for_its_weight() {
    let set = set(&[1, 4]);
    let mut random = numbers(6);
    for _ in 0..1_000 {
        let picked = choose(&set, &plan(Balance::LeastRequest), || 0, &mut random, fresh(1)).expect("one");
        picked.begin();
    }
    let busy: Vec<u32> = set.endpoints().iter().map(|endpoint| endpoint.in_flight()).collect();
    assert!((180..=220).contains(&busy[0]), "{busy:?}");
}
