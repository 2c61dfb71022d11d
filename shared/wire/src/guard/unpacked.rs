//! What an HTTP/2 head is asked once HPACK is unpacked: what the guard asks of an HTTP/1 head, where hyper asks less.
//!
//! In: a head as hyper read it, and the ceilings of its connection. Out: the reason why it is refused. Refuses: heads, targets and fields beyond
//! the ceilings, a second `Content-Length` (RFC 9112 §6.3), values that begin or end in white space (RFC 9113 §8.2.1), names that servers which fold
//! underscores take for those that frame a body, a scheme that is not the connection's. Never: another measure than on HTTP/1.1. The next tier reads what is let in here as that, and a head that its guard refuses costs
//! a connection of the link.

use contract::reason::Reason;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};

use crate::guard::line::GuardLine;

/// `: ` and CRLF.
const FIELD_BYTES: usize = 4;

/// Why a head is refused; heads of HTTP/1 were asked all this before.
pub(crate) fn refusal(line: &GuardLine, scheme: &str, method: &Method, target: &Uri, fields: &HeaderMap) -> Option<Reason> {
    let limits = line.unread()?;
    if target.scheme_str().is_some_and(|told| told != scheme) {
        return Some(Reason::FramingInvalid);
    }
    let target_bytes = target.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > limits.target_bytes_max {
        return Some(Reason::TargetTooLong);
    }
    // Cookies may come crumbled, and go on as one (RFC 9113 §8.2.3).
    let crumbs = fields.get_all(header::COOKIE).iter().count();
    if fields.len() - crumbs.saturating_sub(1) > limits.headers_max {
        return Some(Reason::HeadTooLarge);
    }
    let mut bytes = method.as_str().len() + target_bytes + target.authority().map_or(0, |authority| authority.as_str().len());
    for (name, value) in fields {
        bytes += name.as_str().len() + value.len() + FIELD_BYTES;
        if has_edges(value) || is_framing_folded(name) {
            return Some(Reason::FramingInvalid);
        }
    }
    if bytes > limits.head_bytes_max {
        return Some(Reason::HeadTooLarge);
    }
    is_repeated(fields, &header::CONTENT_LENGTH).then_some(Reason::FramingInvalid)
}

/// Whether HTTP/1.1 would cut something off the value.
fn has_edges(value: &HeaderValue) -> bool {
    let is_white = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    is_white(value.as_bytes().first()) || is_white(value.as_bytes().last())
}

/// `Content_Length` and `Transfer_Encoding`: the two that frame a body, to servers that count an underscore as a hyphen.
fn is_framing_folded(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content_length" | "transfer_encoding")
}

fn is_repeated(fields: &HeaderMap, name: &HeaderName) -> bool {
    fields.get_all(name).iter().nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::limits::GuardLimits;

    fn line() -> GuardLine {
        let line = GuardLine::default();
        line.leave_unread(GuardLimits { head_bytes_max: 1000, headers_max: 10, target_bytes_max: 100, ..GuardLimits::default() });
        line
    }

    fn judged(line: &GuardLine, target: &str, fields: &[(&'static str, &str)]) -> Option<Reason> {
        let mut map = HeaderMap::new();
        for &(name, value) in fields {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        refusal(line, "https", &Method::GET, &target.parse().unwrap(), &map)
    }

    #[test]
    fn each_ceiling_holds_at_its_last_byte() {
        let line = line();
        let target = |bytes: usize| format!("https://a/{}", "x".repeat(bytes - 1));
        assert_eq!(judged(&line, &target(100), &[]), None);
        assert_eq!(judged(&line, &target(101), &[]), Some(Reason::TargetTooLong));
        // `GET`, `/`, `a`, and a field of 1 + 4 bytes beside its value.
        assert_eq!(judged(&line, "https://a/", &[("x", &"x".repeat(990))]), None);
        assert_eq!(judged(&line, "https://a/", &[("x", &"x".repeat(991))]), Some(Reason::HeadTooLarge));
        assert_eq!(judged(&line, "https://a/", &[("x", "1"); 10]), None);
        assert_eq!(judged(&line, "https://a/", &[("x", "1"); 11]), Some(Reason::HeadTooLarge));
        assert_eq!(judged(&line, "https://a/", &[("cookie", "1"); 40]), None, "crumbs are one field");
    }

    #[test]
    fn what_http1_would_read_otherwise_is_refused() {
        let line = line();
        for value in [" x", "x ", "\tx", "x\t"] {
            assert_eq!(judged(&line, "https://a/", &[("x", value)]), Some(Reason::FramingInvalid), "{value:?}");
        }
        assert_eq!(judged(&line, "https://a/", &[("x", "x y"), ("y", "")]), None);
        assert_eq!(judged(&line, "https://a/", &[("content-length", "5"); 2]), Some(Reason::FramingInvalid));
        assert_eq!(judged(&line, "https://a/", &[("content-length", "5")]), None);
        for name in ["content_length", "transfer_encoding"] {
            assert_eq!(judged(&line, "https://a/", &[(name, "5")]), Some(Reason::FramingInvalid), "{name}");
        }
        assert_eq!(judged(&line, "https://a/", &[("content_type", "5"), ("content_lengths", "5")]), None);
        assert_eq!(judged(&line, "http://a/", &[]), Some(Reason::FramingInvalid));
        assert_eq!(judged(&line, "/", &[]), None);
    }

    #[test]
    fn heads_that_the_guard_has_read_are_not_asked_again() {
        assert_eq!(judged(&GuardLine::default(), "http://a/", &[("x", " "); 1000]), None);
    }
}
