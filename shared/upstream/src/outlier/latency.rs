//! How long one instance takes to answer, and which one of several takes too long.
//!
//! In: the time of each answer. Out: a median over the last seconds, and those whose median stands out from the others'. Refuses: to judge by a
//! few answers, or an instance that has nobody beside it. Never: a lock; a judgement on the path of a request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::plan::outliers::LatencyPlan;

/// Four to an octave: a median is known to a fifth.
const PER_OCTAVE: u32 = 4;

/// From one millisecond, below which nobody is slow, over sixteen octaves to a minute.
const BUCKETS: usize = 64;

/// The upper end of the first bucket, in microseconds, as a power of two.
const FIRST_US_LOG2: u32 = 10;

/// The answers of the last seconds by how long they took.
#[derive(Debug)]
pub(crate) struct Times([AtomicU32; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl Times {
    /// One answer took `took`.
    pub(crate) fn add(&self, took: Duration) {
        if let Some(bucket) = self.0.get(bucket_of(took)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The median, rounded up to the end of its bucket; `None` of fewer than `samples_min` answers.
    pub(crate) fn median(&self, samples_min: u32) -> Option<Duration> {
        let counts: [u64; BUCKETS] = std::array::from_fn(|place| self.0.get(place).map_or(0, |one| u64::from(one.load(Ordering::Relaxed))));
        let all: u64 = counts.iter().sum();
        if all == 0 || all < u64::from(samples_min) {
            return None;
        }
        let mut below = 0;
        let middle = counts.iter().position(|count| {
            below += count;
            below * 2 >= all
        });
        middle.map(end_of)
    }

    /// Forgets an eighth of everything: called once a second, what is older than some ten seconds counts for little.
    pub(crate) fn fade(&self) {
        for bucket in &self.0 {
            // It never gives up: the closure always has an answer. What was cleared meanwhile stays at nothing.
            let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(count.div_ceil(8))));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for bucket in &self.0 {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

fn bucket_of(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let octave = us.checked_ilog2().unwrap_or(0);
    if octave < FIRST_US_LOG2 {
        return 0;
    }
    // The two bits after the first one say which quarter of the octave.
    let quarter = (us >> (octave - 2)) & 3;
    (((octave - FIRST_US_LOG2) * PER_OCTAVE) as usize + quarter as usize + 1).min(BUCKETS - 1)
}

/// The upper end of a bucket.
fn end_of(bucket: usize) -> Duration {
    let bucket = bucket as u32;
    let (octave, quarter) = (bucket / PER_OCTAVE, u64::from(bucket % PER_OCTAVE));
    let start = 1_u64 << (FIRST_US_LOG2 + octave);
    Duration::from_micros(start + start / u64::from(PER_OCTAVE) * quarter)
}

/// An instance whose answers take too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    /// Its place among those that were judged.
    pub(crate) place: usize,
    /// Its median.
    pub(crate) median: Duration,
    /// What it may take at most.
    pub(crate) limit: Duration,
}

/// Those of `medians` that stand out, the slowest first; `None` is one of which too little is known.
pub(crate) fn slow(medians: &[Option<Duration>], plan: &LatencyPlan) -> Vec<Slow> {
    let mut known: Vec<(Duration, usize)> = medians.iter().enumerate().filter_map(|(place, median)| Some(((*median)?, place))).collect();
    known.sort_unstable();
    let Some(others) = known.len().checked_sub(1).filter(|others| *others > 0) else { return Vec::new() };
    let stands_out = |(sorted, (median, place)): (usize, &(Duration, usize))| {
        // The middle one of the others: of two the slower one, so that two slow ones among three do not make the third one slow.
        let middle = others / 2;
        let (of_others, _) = known.get(if middle < sorted { middle } else { middle + 1 })?;
        let limit = plan.floor.max(of_others.saturating_mul(plan.factor));
        (*median > limit).then_some(Slow { place: *place, median: *median, limit })
    };
    known.iter().enumerate().rev().filter_map(stands_out).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAN: LatencyPlan = LatencyPlan { factor: 5, floor: Duration::from_millis(500), samples_min: 5 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_that_is_slow_beside_the_others_stands_out() {
        let places = |medians: &[u64]| {
            let medians: Vec<Option<Duration>> = medians.iter().map(|one| (*one > 0).then(|| ms(*one))).collect();
            slow(&medians, &PLAN).into_iter().map(|one| one.place).collect::<Vec<_>>()
        };
        assert_eq!(places(&[10, 10, 900]), [2]);
        assert_eq!(places(&[900, 10]), [0], "of two the slower one");
        assert_eq!(places(&[10, 2_000, 900, 10, 10]), [1, 2], "the slowest first");
        assert_eq!(places(&[10, 10, 499]), [0_usize; 0], "below the floor nobody is slow");
        assert_eq!(places(&[300, 300, 1_400]), [0_usize; 0], "not five times the others");
        assert_eq!(places(&[900]), [0_usize; 0], "nobody beside it");
        assert_eq!(places(&[900, 0, 0]), [0_usize; 0], "nobody is known beside it");
        assert_eq!(places(&[900, 950, 10]), [0_usize; 0], "most are as slow");
        assert_eq!(places(&[]), [0_usize; 0]);
        assert_eq!(slow(&[Some(ms(10)), Some(ms(120)), Some(ms(900))], &PLAN)[0].limit, ms(600));
    }

    #[test]
    fn a_median_needs_samples_and_forgets() {
        let times = Times::default();
        (0..4).for_each(|_| times.add(ms(100)));
        assert_eq!(times.median(5), None);
        times.add(ms(9_000));
        let median = times.median(5).expect("five");
        assert!(median >= ms(100) && median < ms(125), "{median:?}");
        (0..6).for_each(|_| times.add(ms(9_000)));
        assert!(times.median(5).expect("eleven") >= ms(9_000));
        for _ in 0..40 {
            times.fade();
        }
        assert_eq!(times.median(1), None, "nothing is left");
        times.add(ms(3));
        times.clear();
        assert_eq!(times.median(1), None);
    }

    #[test]
    fn what_is_cleared_while_it_fades_stays_cleared() {
        let times = Times::default();
        std::thread::scope(|scope| {
            let fading = scope.spawn(|| (0..20_000).for_each(|_| times.fade()));
            while !fading.is_finished() {
                times.add(ms(100));
                times.clear();
            }
        });
        times.clear();
        times.add(ms(100));
        // A count that had gone below zero would be a count of thousands of millions.
        assert!(times.0.iter().all(|bucket| bucket.load(Ordering::Relaxed) <= 1));
        assert_eq!(times.median(2), None);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_it_says(us in 1_u64..120_000_000) {
            let bucket = bucket_of(Duration::from_micros(us));
            prop_assert!(bucket < BUCKETS);
            if bucket < BUCKETS - 1 {
                prop_assert!(Duration::from_micros(us) <= end_of(bucket) + Duration::from_micros(1), "{:?}", end_of(bucket));
                prop_assert!(bucket == 0 || Duration::from_micros(us) >= end_of(bucket - 1), "{:?}", end_of(bucket - 1));
            }
        }

        #[test]
        fn fewer_than_half_stand_out(medians in proptest::collection::vec(1_u64..100_000, 2..40)) {
            let medians: Vec<Option<Duration>> = medians.into_iter().map(|one| Some(ms(one))).collect();
            prop_assert!(slow(&medians, &PLAN).len() * 2 <= medians.len());
        }
    }
}
