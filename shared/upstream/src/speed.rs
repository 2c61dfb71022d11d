//! How fast an instance answers lately: a peak-sensitive, exponentially weighted moving average, as in Finagle and linkerd.
//!
//! In: how long attempts took and how they ended. Out: the time that a request there is expected to take. A slower answer counts at once and in
//! full, faster ones over [`DECAY_MS`]; what fails quickly counts as [`FAILED`], or an instance that refuses everything would look like the
//! fastest of all and draw all requests. What is not heard of is forgotten at the same pace, so that a slow one is tried again.
//! Never: a lock, or a clock of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::observed::{Observed, What};

/// In so many milliseconds an old observation loses all but 1/e of its weight.
pub(crate) const DECAY_MS: f64 = 10_000.0;

/// What an instance that has answered nothing yet is expected to take.
pub(crate) const INITIAL: Duration = Duration::from_millis(30);

/// What a failure counts as at least.
pub(crate) const FAILED: Duration = Duration::from_secs(5);

/// The longest time that an instance can ask for by a pushback.
pub(crate) const PUSHBACK_MAX: Duration = Duration::from_secs(300);

/// The expectation of one instance: microseconds in the upper half, the millisecond of the last change in the lower one; 0 when nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Speed(AtomicU64);

impl Speed {
    /// Takes in how an attempt ended. What says that the instance is overloaded or out of order counts as a failure, however fast it came.
    pub(crate) fn observe(&self, observed: &Observed) {
        let Observed { now_ms, took, what, .. } = *observed;
        match what {
            What::Answered { status, pushback } if is_failure(status) => self.failed(took, pushback, now_ms),
            What::Answered { .. } => self.answered(took, now_ms),
            What::ConnectFailed | What::Reset | What::Protocol | What::Timeout => self.failed(took, None, now_ms),
        }
    }

    /// An attempt was answered in `took`.
    pub(crate) fn answered(&self, took: Duration, now_ms: u64) {
        let new_us = took.as_micros().min(u128::from(u32::MAX)) as f64;
        self.update(now_ms, |old_us, age_ms| {
            if new_us >= old_us {
                return new_us;
            }
            let kept = (-age_ms / DECAY_MS).exp();
            old_us * kept + new_us * (1.0 - kept)
        });
    }

    /// An attempt failed after `took`, or was refused for the time being; `pushback` is how long the instance wants to be left alone.
    pub(crate) fn failed(&self, took: Duration, pushback: Option<Duration>, now_ms: u64) {
        let counts_as = pushback.unwrap_or(FAILED).clamp(FAILED, PUSHBACK_MAX);
        self.answered(took.max(counts_as), now_ms);
    }

    /// The expected time in microseconds, above 0.
    pub(crate) fn expected_us(&self, now_ms: u64) -> f64 {
        let mut packed = self.0.load(Ordering::Relaxed);
        if packed == 0 {
            // The guess is forgotten like an observation from the first time that somebody asks.
            packed = pack(INITIAL.as_micros() as f64, now_ms);
            if let Err(known) = self.0.compare_exchange(0, packed, Ordering::Relaxed, Ordering::Relaxed) {
                packed = known;
            }
        }
        let (us, age_ms) = unpack(packed, now_ms);
        (us * (-age_ms / DECAY_MS).exp()).max(1.0)
    }

    fn update(&self, now_ms: u64, next: impl Fn(f64, f64) -> f64) {
        let change = |packed| {
            let (us, age_ms) = if packed == 0 { (0.0, 0.0) } else { unpack(packed, now_ms) };
            Some(pack(next(us, age_ms), now_ms))
        };
        // It never gives up: the closure always has an answer.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

/// 429 (RESOURCE_EXHAUSTED of gRPC too), and all of 5xx but 501: who cannot do a thing says so at once and in good health.
fn is_failure(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

fn pack(us: f64, now_ms: u64) -> u64 {
    // At least 1, so that something known is never 0.
    (us.clamp(1.0, f64::from(u32::MAX)) as u64) << 32 | now_ms & u64::from(u32::MAX)
}

/// The microseconds, and how many milliseconds ago they were written (within the 24 days that half of 32 bits can tell; a moment that seems to lie ahead is now).
fn unpack(packed: u64, now_ms: u64) -> (f64, f64) {
    let age = (now_ms as u32).wrapping_sub(packed as u32);
    ((packed >> 32) as f64, f64::from(if age > u32::MAX / 2 { 0 } else { age }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_peak_counts_at_once_and_fades_over_the_decay() {
        let speed = Speed::default();
        speed.answered(5 * MS, 1);
        speed.answered(500 * MS, 2);
        assert!((speed.expected_us(2) - 500_000.0).abs() < 1.0);
        // One decay later a fast answer weighs 1 - 1/e.
        speed.answered(5 * MS, 10_002);
        let expected = 500_000.0 / std::f64::consts::E + 5_000.0 * (1.0 - 1.0 / std::f64::consts::E);
        assert!((speed.expected_us(10_002) - expected).abs() < 2.0, "{}", speed.expected_us(10_002));
    }

    #[test]
    fn what_is_not_heard_of_is_forgotten() {
        let speed = Speed::default();
        speed.answered(1_000 * MS, 1);
        let after = |ms: u64| speed.expected_us(1 + ms);
        assert!((after(10_000) - 1_000_000.0 / std::f64::consts::E).abs() < 10.0);
        assert!(after(100_000) < 100.0 && after(1_000_000) >= 1.0);
    }

    #[test]
    fn an_unknown_one_is_guessed_and_the_guess_fades() {
        let speed = Speed::default();
        assert!((speed.expected_us(77_000) - 30_000.0).abs() < 1.0);
        assert!((speed.expected_us(87_000) - 30_000.0 / std::f64::consts::E).abs() < 2.0);
        let observed = Speed::default();
        observed.answered(MS, 5);
        assert!((observed.expected_us(5) - 1_000.0).abs() < 1.0, "the first answer is all that is known");
    }

    #[test]
    fn fast_failures_look_slow_and_pushback_is_believed_up_to_a_ceiling() {
        for (pushback, seconds) in [(None, 5), (Some(1), 5), (Some(60), 60), (Some(86_400), 300)] {
            let speed = Speed::default();
            speed.failed(MS, pushback.map(Duration::from_secs), 9);
            assert!((speed.expected_us(9) - f64::from(seconds) * 1e6).abs() < 1.0, "{pushback:?}");
        }
        let slow = Speed::default();
        slow.failed(Duration::from_secs(8), None, 9);
        assert!((slow.expected_us(9) - 8e6).abs() < 1.0);
    }

    #[test]
    fn every_server_error_but_501_is_a_failure_and_so_is_429() {
        for status in 100..600 {
            let speed = Speed::default();
            let status = StatusCode::from_u16(status).expect("a status");
            let what = What::Answered { status, pushback: None };
            speed.observe(&Observed { begun_ms: 8, now_ms: 9, took: MS, what });
            let is_failure = status == 429 || status.as_u16() >= 500 && status != 501;
            assert_eq!(speed.expected_us(9) > 1e6, is_failure, "{status}");
        }
    }

    #[test]
    fn the_clock_may_wrap_and_may_be_read_late() {
        let speed = Speed::default();
        let end = u64::from(u32::MAX);
        speed.answered(10 * MS, end);
        assert!((speed.expected_us(end + 10_000) - 10_000.0 / std::f64::consts::E).abs() < 2.0);
        assert!((speed.expected_us(end - 3) - 10_000.0).abs() < 1.0, "a moment that was read earlier elsewhere");
    }
}
