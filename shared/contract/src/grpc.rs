//! The deadline of a gRPC call, as its client writes it in `grpc-timeout`.
//!
//! In: the head of a request, or the time left. Out: the time, or the field. Refuses: a field that stands twice or is not of the form that gRPC
//! over HTTP/2 prescribes ("Timeout": up to eight digits and a unit). Never: reads the field of a request that is no gRPC call.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::deadline::digits;
use crate::grpc_answer::is_grpc;

/// The field in which a gRPC client tells how long it waits.
pub static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The number before the unit has at most so many digits.
const DIGITS_MAX: usize = 8;

/// One more than the largest number that fits.
const NUMBER_END: u128 = 100_000_000;

/// How long the client of a gRPC call waits; `None` for any other request, and where it does not say so lawfully.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&TIMEOUT)?;
    if !is_grpc(headers) || headers.get_all(&TIMEOUT).iter().nth(1).is_some() {
        return None;
    }
    parse(value.as_bytes())
}

/// The field that tells `left`, rounded down.
#[must_use]
pub fn header(left: Duration) -> HeaderValue {
    let (number, unit) = [(left.as_micros(), b'u'), (left.as_millis(), b'm'), (u128::from(left.as_secs()), b'S')]
        .into_iter()
        .find(|(number, _)| *number < NUMBER_END)
        .unwrap_or((NUMBER_END - 1, b'S'));
    // Written from its end.
    let (mut text, mut start, mut rest) = ([unit; DIGITS_MAX + 1], DIGITS_MAX, number);
    loop {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || start == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[start..]).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, number) = value.split_last()?;
    let number = digits(number, DIGITS_MAX)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use http::header::CONTENT_TYPE;

    use super::*;

    fn call(kind: &'static str, timeouts: &[&'static str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for timeout in timeouts {
            headers.append(&TIMEOUT, HeaderValue::from_static(timeout));
        }
        timeout(&headers)
    }

    #[test]
    fn a_call_tells_its_time_in_any_unit_and_nobody_else_does() {
        for (text, wanted) in [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("40m", 40), ("5000u", 5), ("6000000n", 6), ("0m", 0)] {
            assert_eq!(call("application/grpc+proto", &[text]), Some(Duration::from_millis(wanted)), "{text}");
        }
        for wrong in ["", "S", "1", "1s", "-1S", "123456789m", "1 S", "1.5S"] {
            assert_eq!(call("application/grpc", &[wrong]), None, "{wrong}");
        }
        assert_eq!(call("application/grpc", &["1S", "2S"]), None);
        for other in ["application/json", "application/grpcx", "application/grpc-web"] {
            assert_eq!(call(other, &["1S"]), None, "{other}");
        }
        assert_eq!(call("application/grpc", &[]), None);
    }

    proptest! {
        #[test]
        fn what_is_told_is_lawful_and_never_more(left_us in 0u64..1 << 60) {
            let left = Duration::from_micros(left_us);
            let told = parse(header(left).as_bytes()).unwrap();
            prop_assert!(told <= left);
            prop_assert!(left - told <= left / 1_000_000 || told >= Duration::from_secs(99_999) );
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "[0-9]{0,10}[HMSmun]?") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }
    }
}
