//! Milliseconds since the process first asked, for ages and penalties that live in atomics.
//!
//! In: nothing. Out: a number that never goes back. Never: a time of day.

use std::sync::OnceLock;
use std::time::Instant;

static FIRST: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the first call in this process, counted from 1, so that 0 can mean "never".
#[must_use]
pub fn now_ms() -> u64 {
    of(Instant::now())
}

/// The same for a moment that was looked at already.
#[must_use]
pub fn of(moment: Instant) -> u64 {
    let since = moment.saturating_duration_since(*FIRST.get_or_init(|| moment));
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}
