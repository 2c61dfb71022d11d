//! The ceilings of an HTTP/2 head, which the guard has seen only packed.
//!
//! In: a head as hyper read it, and the ceilings of its connection. Out: the fault that the same head would have met on HTTP/1.1. Never: another
//! measure than there; what one tier lets in the next one reads as HTTP/1.1, and a head that it refuses costs a connection of the link.

use http::header;
use http::{HeaderMap, Method, Uri};

use crate::guard::fault::GuardFault;
use crate::guard::line::GuardLine;

/// `: ` and CRLF.
const FIELD_BYTES: usize = 4;

/// What is wrong with the size of a head; heads of HTTP/1 have been measured before.
pub(crate) fn fault(line: &GuardLine, method: &Method, target: &Uri, fields: &HeaderMap) -> Option<GuardFault> {
    let limits = line.unread()?;
    let target_bytes = target.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > limits.target_bytes_max {
        return Some(GuardFault::TargetTooLong);
    }
    // Cookies may come crumbled, and go on as one (RFC 9113 §8.2.3).
    let crumbs = fields.get_all(header::COOKIE).iter().count();
    if fields.len() - crumbs.saturating_sub(1) > limits.headers_max {
        return Some(GuardFault::TooManyHeaders);
    }
    let head_bytes = method.as_str().len() + target_bytes + target.authority().map_or(0, |authority| authority.as_str().len());
    let field_bytes = |(name, value): (&header::HeaderName, &header::HeaderValue)| name.as_str().len() + value.len() + FIELD_BYTES;
    let bytes = head_bytes + fields.iter().map(field_bytes).sum::<usize>();
    (bytes > limits.head_bytes_max).then_some(GuardFault::HeadTooLarge)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::guard::limits::GuardLimits;

    fn line() -> GuardLine {
        let line = GuardLine::default();
        line.leave_unread(GuardLimits { head_bytes_max: 1000, headers_max: 10, target_bytes_max: 100, ..GuardLimits::default() });
        line
    }

    fn judged(line: &GuardLine, target: &str, fields: &[(&'static str, usize)]) -> Option<GuardFault> {
        let mut map = HeaderMap::new();
        for &(name, bytes) in fields {
            map.append(name, HeaderValue::from_str(&"x".repeat(bytes)).unwrap());
        }
        fault(line, &Method::GET, &target.parse().unwrap(), &map)
    }

    #[test]
    fn each_ceiling_holds_at_its_last_byte() {
        let line = line();
        let target = |bytes: usize| format!("https://a/{}", "x".repeat(bytes - 1));
        assert_eq!(judged(&line, &target(100), &[]), None);
        assert_eq!(judged(&line, &target(101), &[]), Some(GuardFault::TargetTooLong));
        // `GET`, `/`, `a`, and a field of 1 + 4 bytes beside its value.
        assert_eq!(judged(&line, "https://a/", &[("x", 990)]), None);
        assert_eq!(judged(&line, "https://a/", &[("x", 991)]), Some(GuardFault::HeadTooLarge));
        assert_eq!(judged(&line, "https://a/", &[("x", 1); 10]), None);
        assert_eq!(judged(&line, "https://a/", &[("x", 1); 11]), Some(GuardFault::TooManyHeaders));
        assert_eq!(judged(&line, "https://a/", &[("cookie", 1); 40]), None, "crumbs are one field");
    }

    #[test]
    fn heads_that_the_guard_has_read_are_not_measured_again() {
        assert_eq!(judged(&GuardLine::default(), "https://a/", &[("x", 1); 1000]), None);
    }
}
