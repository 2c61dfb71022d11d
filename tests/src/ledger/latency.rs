//! How long answers took, for people to read. Never asserted: a busy machine has its own.

use std::time::Duration;

use crate::ledger::entries::{Kind, Outcome, Sent};

/// Quantiles of the times from the first byte of a request to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How many.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Latency {
    /// Of GETs and POSTs without a wished delay that were answered, and that began while `during` says so.
    #[must_use]
    pub fn of(sent: &[Sent], during: impl Fn(Duration) -> bool) -> Self {
        let plain = |one: &Sent| matches!(one.kind, Kind::Get | Kind::Post) && one.delay.is_zero();
        let answered = |one: &Sent| matches!(one.outcome, Outcome::Answered(_)) && during(one.begun);
        Self::among(sent, |one| plain(one) && answered(one))
    }

    /// Of those that `chosen` says.
    #[must_use]
    pub fn among(sent: &[Sent], chosen: impl Fn(&Sent) -> bool) -> Self {
        let mut took: Vec<Duration> = sent.iter().filter(|one| chosen(one)).map(|one| one.ended - one.begun).collect();
        took.sort_unstable();
        // The smallest value that at least this part of all does not exceed.
        let quantile = |hundredths: usize| took.get((took.len() * hundredths).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
        Self { count: took.len(), p50: quantile(50), p99: quantile(99), max: took.last().copied().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_plain_answered_requests() {
        let sent = |ms: u64, outcome: Outcome, delay: u64| Sent {
            number: ms.to_string(),
            kind: Kind::Get,
            replica: 0,
            connection: String::new(),
            begun: Duration::from_millis(10),
            ended: Duration::from_millis(10 + ms),
            outcome,
            request_id: None,
            delay: Duration::from_millis(delay),
        };
        let mut all: Vec<_> = (1..=200).map(|ms| sent(ms, Outcome::Answered(200), 0)).collect();
        all.push(sent(9_000, Outcome::Answered(200), 5));
        all.push(sent(9_000, Outcome::Lost(String::new()), 0));
        let expected =
            Latency { count: 200, p50: Duration::from_millis(100), p99: Duration::from_millis(198), max: Duration::from_millis(200) };
        assert_eq!(Latency::of(&all, |_| true), expected);
        assert_eq!(Latency::of(&all, |_| false).count, 0);
    }
}
