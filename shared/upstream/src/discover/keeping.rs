//! How long the last good answer is kept while there is no newer one: the failure table.
//!
//! In: how look-ups end, and the time. Out: when what is known must be given up, and why. Never: reads a clock.
//!
//! A name service that says for certain that there is nothing (NXDOMAIN, an empty answer) may be right: an address may soon belong to somebody else,
//! so what was known ends after `absent`. One that does not answer, or answers with a fault of its own, says nothing about the instances: what was
//! known stays, unless `unanswered` sets an end. Silence after a certain word does not unsay it.

use tokio::time::Instant;
use wire::resolver::families::Family;

use crate::discover::generation::Why;
use crate::plan::discover::TtlPlan;

/// Since when there is no good answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keeping {
    absent: Option<Instant>,
    silent: Option<Instant>,
    /// The family of addresses that alone is unanswered, and since when.
    half: Option<(Family, Instant)>,
}

impl Keeping {
    /// A look-up failed; `definite` when somebody said for certain that there is nothing.
    pub(crate) fn failed(&mut self, definite: bool, now: Instant) {
        if definite {
            self.absent.get_or_insert(now);
            (self.silent, self.half) = (None, None);
        } else {
            self.silent.get_or_insert(now);
        }
    }

    /// A look-up was answered for all but this family; whether what is known of that one must be given up by `ttl`.
    pub(crate) fn half_answered(&mut self, family: Family, ttl: &TtlPlan, now: Instant) -> bool {
        let since = self.half.filter(|(known, _)| *known == family).map(|(_, since)| since);
        // Whoever was silent before as a whole goes on being silent of this family.
        let since = since.or(self.silent).unwrap_or(now);
        *self = Self { half: Some((family, since)), ..Self::default() };
        ttl.unanswered.is_some_and(|limit| now >= since + limit)
    }

    /// When what is known must be given up by `ttl`, and why.
    pub(crate) fn end(&self, ttl: &TtlPlan) -> Option<(Instant, Why)> {
        let absent = self.absent.map(|since| (since + ttl.absent, Why::AbsentOver));
        let silent = self.silent.zip(ttl.unanswered).map(|(since, limit)| (since + limit, Why::UnansweredOver));
        [absent, silent].into_iter().flatten().min_by_key(|(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ttl(unanswered: Option<u64>) -> TtlPlan {
        TtlPlan { min: s(1), max: s(5), hold: s(5), absent: s(60), unanswered: unanswered.map(s) }
    }

    #[test]
    fn a_certain_no_has_an_end_and_silence_has_none_unless_one_is_set() {
        let begin = Instant::now();
        let mut keeping = Keeping::default();
        keeping.failed(false, begin);
        assert_eq!(keeping.end(&ttl(None)), None);
        assert_eq!(keeping.end(&ttl(Some(9))), Some((begin + s(9), Why::UnansweredOver)));
        // Silence goes on counting from its beginning.
        keeping.failed(false, begin + s(5));
        assert_eq!(keeping.end(&ttl(Some(9))), Some((begin + s(9), Why::UnansweredOver)));
        keeping.failed(true, begin + s(7));
        assert_eq!(keeping.end(&ttl(Some(9))), Some((begin + s(67), Why::AbsentOver)), "an answer ends the silence");
        keeping.failed(true, begin + s(20));
        keeping.failed(false, begin + s(30));
        assert_eq!(keeping.end(&ttl(None)), Some((begin + s(67), Why::AbsentOver)), "silence does not unsay it");
        assert_eq!(keeping.end(&ttl(Some(1))), Some((begin + s(31), Why::UnansweredOver)));
    }
}
