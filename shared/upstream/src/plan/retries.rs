//! Attempts at other instances.

use std::time::Duration;

/// How often one request is tried, and how many requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriesPlan {
    /// The most attempts for one request; at least 1.
    pub attempts_max: u32,
    /// How many requests may be sent again although something of them may have reached an instance.
    pub budget: BudgetPlan,
    /// The pauses before repeats.
    pub backoff: BackoffPlan,
}

/// The pauses before repeats: a random time up to a bound that doubles with each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffPlan {
    /// The bound before the second attempt; zero for no pauses.
    pub base: Duration,
    /// The highest bound.
    pub max: Duration,
}

impl BackoffPlan {
    /// The pause after so many attempts (at least 1), by a random number: full jitter, so that those who failed together do not come back together.
    #[must_use]
    pub fn pause(&self, attempts: u32, random: u64) -> Duration {
        let bound = self.base.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(self.max);
        let bound = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(random % (bound + 1))
    }
}

/// What a retry budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetPlan {
    /// Repeats for a hundred requests of the window, 0 to 100.
    pub percent: u32,
    /// Repeats per second beside that, saved up over the window.
    pub per_second_min: u32,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_pause_is_longer_than_its_bound(base_ms in 0u64..10_000, max_ms in 0u64..10_000, attempts: u32, random: u64) {
            let plan = BackoffPlan { base: Duration::from_millis(base_ms), max: Duration::from_millis(max_ms) };
            let pause = plan.pause(attempts, random);
            prop_assert!(pause <= plan.max);
            prop_assert!(attempts > 1 || pause <= plan.base);
        }
    }

    #[test]
    fn the_bound_doubles_up_to_its_ceiling() {
        let plan = BackoffPlan { base: Duration::from_millis(25), max: Duration::from_millis(250) };
        let longest = |attempts| (0..300_001).map(|random| plan.pause(attempts, random)).max();
        assert_eq!([1, 2, 3, 4, 5].map(longest), [25, 50, 100, 200, 250].map(|bound| Some(Duration::from_millis(bound))));
    }
}
