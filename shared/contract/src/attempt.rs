//! Which attempt of tier 1 a request is, as tier 1 tells tier 2 in `x-gw-attempt`, so that the attempts of both do not multiply.
//!
//! In: a number, or the bytes of the header. Out: the header, or the number; and what it leaves of a tier's own attempts.
//! Refuses: what is no number from 1 to 99. Never: leaves no attempt at all.

use http::HeaderValue;

use crate::deadline::digits;

/// The highest number that is told.
pub const ATTEMPT_MAX: u32 = 99;

/// The value of `x-gw-attempt`: 1 for the first one.
#[must_use]
pub fn header(attempt: u32) -> HeaderValue {
    HeaderValue::from(attempt.clamp(1, ATTEMPT_MAX))
}

/// Reads the header back.
#[must_use]
pub fn parse(value: &[u8]) -> Option<u32> {
    digits(value, 2).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

/// What is left of `attempts_max` where the hop before is at its attempt `attempt`: at least one, for this one was lawful.
#[must_use]
pub fn left(attempts_max: u32, attempt: u32) -> u32 {
    attempts_max.saturating_sub(attempt.saturating_sub(1)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_attempt_of_tier_one_leaves_tier_two_one_less() {
        assert_eq!([1, 2, 3, 4, 99].map(|attempt| left(3, attempt)), [3, 2, 1, 1, 1]);
        for wrong in ["", "0", "00", "-1", "100", "1 ", "x"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_told_reads_back(attempt in 1..=ATTEMPT_MAX) {
            prop_assert_eq!(parse(header(attempt).as_bytes()), Some(attempt));
        }

        /// Over all attempts of tier 1 the attempts of tier 2 grow as a triangle at the most, and never as the product.
        #[test]
        fn attempts_over_both_tiers_are_bounded(first in 1u32..=8, second in 1u32..=8) {
            let all: u32 = (1..=first).map(|attempt| left(second, attempt)).sum();
            let triangle: u32 = (1..=second).rev().take(first as usize).sum();
            prop_assert_eq!(all, triangle + first.saturating_sub(second));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
