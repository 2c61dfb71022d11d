//! How much time a request has left, as one hop tells the next in `x-gw-deadline-ms`.
//!
//! In: the time left, or the bytes of the header. Out: the header, or the time. Refuses: what is no plain decimal number of milliseconds up to a
//! day. Never: an absolute time, because two clocks never agree.

use std::time::Duration;

use http::HeaderValue;

/// The longest time that is told, in milliseconds: a day.
pub const LEFT_MS_MAX: u64 = 86_400_000;

/// Digits of [`LEFT_MS_MAX`].
const DIGITS_MAX: usize = 8;

/// The value of `x-gw-deadline-ms`: whole milliseconds, rounded down, so that nobody is told more than there is.
#[must_use]
pub fn header(left: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(LEFT_MS_MAX))
}

/// Reads the header back; `None` where it tells nothing that could be meant.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Duration> {
    digits(value, DIGITS_MAX).filter(|left| *left <= LEFT_MS_MAX).map(Duration::from_millis)
}

/// A number of at most so many digits, and nothing else.
pub(crate) fn digits(value: &[u8], digits_max: usize) -> Option<u64> {
    if value.is_empty() || value.len() > digits_max || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_of_milliseconds_tells_nothing() {
        for wrong in ["", "-1", "+1", "1.5", "1s", " 1", "86400001", "000000000", "999999999999999999999"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(parse(b"0"), Some(Duration::ZERO));
        assert_eq!(parse(b"86400000"), Some(Duration::from_hours(24)));
    }

    proptest! {
        #[test]
        fn what_is_told_reads_back_and_is_never_more(left_us: u64) {
            let left = Duration::from_micros(left_us);
            let told = parse(header(left).as_bytes()).unwrap();
            prop_assert!(told <= left);
            prop_assert!(left - told < Duration::from_millis(1) || told == Duration::from_millis(LEFT_MS_MAX));
        }

        #[test]
        fn no_bytes_panic_and_none_tell_more_than_a_day(bytes: Vec<u8>, text in "[0-9]{0,12}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                prop_assert!(parse(bytes).is_none_or(|left| left <= Duration::from_millis(LEFT_MS_MAX)));
            }
        }
    }
}
