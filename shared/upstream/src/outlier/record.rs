//! What is held against one instance.
//!
//! In: what its attempts have shown, each with its times. Out: whether it is to be ejected or taken back; until when it is left alone.
//! Refuses: to count one event twice, to judge an ejected instance by what was begun before it was tried again. Never: does I/O; locks while the
//! instance does well.
//!
//! An ejection lasts `base`, doubled for each one before it, up to `max`. As long as the last one lasted, so long the instance must do well to
//! have one taken off. When an ejection is over, one idempotent request tries the instance; the others wait for how it goes.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::observed::{Observed, What};
use crate::outlier::cause::Cause;
use crate::outlier::latency::Times;
use crate::plan::outliers::OutliersPlan;

/// How long others wait for the request that tries an instance before another one does, in milliseconds.
const TRIAL_MS: u64 = 1_000;

/// Doublings beyond this are beyond every `max`.
const RISES_MAX: u32 = 24;

/// What an observation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    Nothing,
    /// The instance is to be ejected.
    Guilty(Cause),
    /// It was tried again, and fails still.
    Again(Cause),
    /// It was tried again, and does well.
    Well,
}

/// What is held against one instance.
#[derive(Debug, Default)]
pub(crate) struct Record {
    failures: AtomicU32,
    gateway_errors: AtomicU32,
    failed_at_ms: AtomicU64,
    /// When it was ejected; 0 while it is not.
    since_ms: AtomicU64,
    /// Until when it is left alone; 0 while it is not ejected.
    until_ms: AtomicU64,
    /// When it was first picked to be tried again since it was ejected; 0 while it was not.
    trial_ms: AtomicU64,
    cause: AtomicU8,
    times: Times,
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Past {
    ejections: u32,
    rises: u32,
    pause_ms: u64,
    returned_ms: Option<u64>,
    limit: Duration,
}

impl Record {
    /// Whether it is ejected, or was and has not shown yet that it is well.
    pub(crate) fn is_out(&self) -> bool {
        self.since_ms.load(Ordering::Relaxed) != 0
    }

    /// Whether it is to be left alone at `now_ms` by a request that `may_try` an instance whose ejection is over. One that may not waits a little
    /// longer for one that may.
    pub(crate) fn is_left_alone(&self, now_ms: u64, may_try: bool) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        until != 0 && now_ms < if may_try { until } else { until.saturating_add(TRIAL_MS) }
    }

    /// Why it is out, and until when ([`crate::moment`]); `None` while it is not.
    pub(crate) fn ejection(&self) -> Option<(Cause, u64)> {
        self.is_out().then(|| (Cause::from_number(self.cause.load(Ordering::Relaxed)), self.until_ms.load(Ordering::Relaxed)))
    }

    /// Whether the request that tries it again is under way.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.trial_ms.load(Ordering::Relaxed) != 0
    }

    /// How often it was left alone so far, for whatever cause.
    pub(crate) fn ejections(&self) -> u32 {
        self.past().ejections
    }

    /// One more, for a cause that is kept elsewhere.
    pub(crate) fn count_ejection(&self) {
        self.past().ejections += 1;
    }

    /// How long its answers take.
    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// Claims the trial when an ejection is over; `true` for one request.
    pub(crate) fn claim_trial(&self, now_ms: u64) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        let is_over = until != 0 && until <= now_ms;
        let claimed = is_over && self.until_ms.compare_exchange(until, now_ms + TRIAL_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if claimed {
            // The first trial stays the mark: one that is followed by another before it has ended counts all the same.
            let _ = self.trial_ms.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        claimed
    }

    /// Takes in one attempt.
    pub(crate) fn take(&self, observed: &Observed, plan: &OutliersPlan) -> News {
        if self.is_out() {
            return self.tried(observed, plan);
        }
        match observed.what {
            What::Answered { status, .. } if is_gateway_error(status) => {
                clear(&self.failures);
                reached(&self.gateway_errors, plan.consecutive_gateway_errors, Cause::GatewayErrors)
            }
            What::Answered { status, .. } => {
                clear(&self.failures);
                // Whoever says that it is asked too much is neither broken nor well.
                if status != StatusCode::TOO_MANY_REQUESTS {
                    clear(&self.gateway_errors);
                    if plan.latency.is_some() {
                        self.times.add(observed.took);
                    }
                }
                News::Nothing
            }
            What::ConnectFailed | What::Reset if !self.is_news(observed) => News::Nothing,
            What::ConnectFailed | What::Reset | What::Protocol | What::Timeout => {
                reached(&self.failures, plan.consecutive_failures, Cause::Failures)
            }
        }
    }

    /// Whether a connection that broke is news: what broke a hundred requests that were under way counts once. What is not counted moves nothing,
    /// or requests that overlap would hide each other for ever.
    fn is_news(&self, observed: &Observed) -> bool {
        let next = |failed_at_ms| (failed_at_ms <= observed.begun_ms).then_some(observed.now_ms);
        self.failed_at_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// What was begun before the trial says what is known already.
    fn tried(&self, observed: &Observed, plan: &OutliersPlan) -> News {
        let trial = self.trial_ms.load(Ordering::Relaxed);
        if trial == 0 || observed.begun_ms < trial {
            return News::Nothing;
        }
        match observed.what {
            What::Answered { status: StatusCode::TOO_MANY_REQUESTS, .. } => News::Nothing,
            What::Answered { status, .. } if is_gateway_error(status) && plan.consecutive_gateway_errors > 0 => {
                News::Again(Cause::GatewayErrors)
            }
            What::Answered { .. } if self.is_too_slow(observed.took) => News::Again(Cause::Latency),
            What::Answered { .. } => News::Well,
            What::ConnectFailed | What::Reset | What::Protocol | What::Timeout => News::Again(Cause::Failures),
        }
    }

    fn is_too_slow(&self, took: Duration) -> bool {
        Cause::from_number(self.cause.load(Ordering::Relaxed)) == Cause::Latency && took > self.past().limit
    }

    /// Ejects it at `now_ms`, and says for how long. `limit` is what one answer may take for it to come back, where it was too slow.
    pub(crate) fn eject(&self, cause: Cause, now_ms: u64, limit: Option<Duration>, plan: &OutliersPlan) -> Duration {
        let mut past = self.past();
        if let Some(returned) = past.returned_ms.take()
            && let Some(steps) = now_ms.saturating_sub(returned).checked_div(past.pause_ms)
        {
            past.rises = past.rises.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        }
        let pause = plan.base.saturating_mul(1 << past.rises).min(plan.max);
        // What has reached the ceiling rises no further, so that the way down is no longer than the way up.
        if pause < plan.max {
            past.rises = (past.rises + 1).min(RISES_MAX);
        }
        past.pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1);
        past.ejections += 1;
        past.limit = limit.unwrap_or(past.limit);
        self.forget_counts();
        self.cause.store(cause as u8, Ordering::Relaxed);
        self.trial_ms.store(0, Ordering::Relaxed);
        self.until_ms.store(now_ms.saturating_add(past.pause_ms), Ordering::Relaxed);
        self.since_ms.store(now_ms, Ordering::Relaxed);
        pause
    }

    /// Takes it back at `now_ms`, and says how long it was out; `None` when somebody has done so already.
    pub(crate) fn take_back(&self, now_ms: u64) -> Option<Duration> {
        let mut past = self.past();
        let since = self.since_ms.swap(0, Ordering::Relaxed);
        if since == 0 {
            return None;
        }
        self.until_ms.store(0, Ordering::Relaxed);
        self.trial_ms.store(0, Ordering::Relaxed);
        self.forget_counts();
        past.returned_ms = Some(now_ms);
        Some(Duration::from_millis(now_ms.saturating_sub(since)))
    }

    /// Begins to count anew.
    pub(crate) fn forget_counts(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.gateway_errors.store(0, Ordering::Relaxed);
        self.times.clear();
    }

    /// Every fact is whole between two statements, so that a panic elsewhere does not spoil them.
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_gateway_error(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// A store only where there is something to clear: the cache line is shared by all workers.
fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

fn reached(count: &AtomicU32, threshold: u32, cause: Cause) -> News {
    if threshold > 0 && count.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= threshold { News::Guilty(cause) } else { News::Nothing }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
