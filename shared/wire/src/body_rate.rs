//! How slowly the body of a request may come.
//!
//! In: when a body has nothing to give, when it gives something, how many bytes it has given. Out: whether its client is too slow. Refuses: a body
//! that we have waited for longer than the grace and what its bytes earn, and one that is not whole in time. Never: blames a client for the time in
//! which nobody asked for more (back-pressure of an instance); a timer or a look at the clock for a body that is at hand when it is asked for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// What is asked of every request body until its answer begins; behind that the exchange may be a stream both ways, whose pauses have a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRate {
    /// Time that we wait for any body, taken together.
    pub grace: Duration,
    /// Every so many bytes earn one second more; 0 asks for no rate.
    pub bytes_per_second: u64,
    /// From the first wait to the last byte.
    pub whole: Duration,
}

impl BodyRate {
    /// Asks for the whole in its time, and for no rate.
    #[must_use]
    pub fn of_whole(self) -> Self {
        Self { bytes_per_second: 0, ..self }
    }
}

/// The client brought its request's body too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body came too slowly")]
pub struct TooSlow;

/// The clock of one body.
pub(crate) struct Pace {
    rate: BodyRate,
    /// When the first byte was waited for.
    begun: Option<Instant>,
    since: Option<Instant>,
    waited: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(rate: BodyRate) -> Self {
        Self { rate, begun: None, since: None, waited: Duration::ZERO, timer: None }
    }

    /// Something has come.
    pub(crate) fn came(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(since.elapsed());
        }
    }

    /// Nothing is there, and `bytes` have come so far: ready when that is too slow; else the task is woken when it becomes so.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>, bytes: u64) -> Poll<()> {
        // Whoever is asked again and still has nothing has been awaited since the first time, and the timer runs already.
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            let whole = self.begun.get_or_insert(now).checked_add(self.rate.whole);
            let slow = self.left(bytes).and_then(|left| now.checked_add(left));
            let Some(end) = [whole, slow].into_iter().flatten().min() else {
                // One that was set for fewer bytes would end a body that may take as long as it likes.
                self.timer = None;
                return Poll::Pending;
            };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(end),
                None => self.timer = Some(Box::pin(sleep_until(end))),
            }
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }

    /// How much longer such a body may be waited for; `None`: as long as it likes.
    fn left(&self, bytes: u64) -> Option<Duration> {
        let earned = bytes.saturating_mul(1000).checked_div(self.rate.bytes_per_second)?;
        Some(self.rate.grace.saturating_add(Duration::from_millis(earned)).saturating_sub(self.waited))
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("rate", &self.rate).field("waited", &self.waited).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const RATE: BodyRate = BodyRate { grace: Duration::from_secs(20), bytes_per_second: 240, whole: Duration::from_secs(3600) };

    /// Waits for so long, and tells whether that was too long.
    async fn wait(pace: &mut Pace, bytes: u64, seconds: u64) -> bool {
        let too_slow = timeout(Duration::from_secs(seconds), poll_fn(|cx| pace.poll_too_slow(cx, bytes))).await.is_ok();
        pace.came();
        too_slow
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_for_the_grace_and_bytes_earn_more() {
        assert!(wait(&mut Pace::new(RATE), 0, 21).await);
        assert!(!wait(&mut Pace::new(RATE), 0, 19).await);
        assert!(!wait(&mut Pace::new(RATE), 2400, 29).await, "ten seconds were earned");
        assert!(wait(&mut Pace::new(RATE), 2400, 31).await);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_add_up_and_the_time_between_them_does_not_count() {
        let mut pace = Pace::new(RATE);
        for bytes in 0..4 {
            assert!(!wait(&mut pace, bytes, 4).await);
            advance(Duration::from_secs(500)).await;
        }
        assert!(wait(&mut pace, 4, 5).await, "one byte in four seconds is no rate");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_set_for_fewer_bytes_is_forgotten() {
        let mut pace = Pace::new(BodyRate { grace: Duration::from_secs(20), bytes_per_second: 1, whole: Duration::MAX });
        assert!(!wait(&mut pace, 0, 19).await);
        pace.rate.bytes_per_second = 0;
        assert!(!wait(&mut pace, 1, 1000).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_has_its_time_whatever_the_rate() {
        let mut pace = Pace::new(BodyRate { bytes_per_second: 0, ..RATE });
        assert!(!wait(&mut pace, 0, 3000).await, "no rate is asked for");
        assert!(wait(&mut pace, 1 << 40, 601).await);
    }
}
