//! The one place that reads wall time.
//!
//! In: nothing. Out: unix time in milliseconds or seconds. Never: measures durations (that is `std::time::Instant`), fails (a clock before
//! 1970 reads as 0, so that every credential is "not yet valid" and nothing is let in by a broken clock).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time, handed to whoever needs it, so that tests can set it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

/// Moves a manual [`Clock`].
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<AtomicU64>);

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `unix_ms` until its hand moves it.
    #[must_use]
    pub fn manual(unix_ms: u64) -> (Self, ClockHand) {
        let time = Arc::new(AtomicU64::new(unix_ms));
        (Self(Source::Manual(Arc::clone(&time))), ClockHand(time))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => system_ms(),
            Source::Manual(time) => time.load(Ordering::Acquire),
        }
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, the unit of JWT's `exp` and `iat` (RFC 7519 §2, NumericDate).
    #[must_use]
    pub fn now_s(&self) -> u64 {
        self.now_ms() / 1000
    }
}

impl ClockHand {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::AcqRel);
    }

    /// Sets the clock to `unix_ms`, forward or back.
    pub fn set(&self, unix_ms: u64) {
        self.0.store(unix_ms, Ordering::Release);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that the rule sends everyone to")]
fn system_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Clock;

    #[test]
    fn a_manual_clock_moves_only_by_its_hand() {
        let (clock, hand) = Clock::manual(1_500);
        assert_eq!((clock.now_ms(), clock.now_s()), (1_500, 1));
        hand.advance(Duration::from_millis(600));
        assert_eq!((clock.now_ms(), clock.now_s()), (2_100, 2));
        hand.set(10);
        assert_eq!(clock.clone().now_ms(), 10);
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        assert!(Clock::system().now_s() > 1_700_000_000);
    }
}
