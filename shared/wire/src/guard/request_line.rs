//! The first line of a request, read strictly (RFC 9112 §3).
//!
//! In: bytes that begin with the line. Out: what of it decides over framing, and its length; or that bytes are missing. It takes exactly
//! one SP between the parts, origin-form, absolute-form of http and https, `*` for OPTIONS, HTTP/1.0 and HTTP/1.1. It never judges what a
//! path means: that is `contract::target`'s, in the corridor, where a refusal has a path to be recorded with.

use std::ops::Range;

use crate::guard::authority;
use crate::guard::fault::GuardFault;
use crate::guard::octets::{is_path, is_query, token_end};

/// No method that exists is longer (the longest registered has 17).
const METHOD_BYTES_MAX: usize = 32;
/// Longer than any version: what begins there and does not end within is none.
const VERSION_BYTES_MAX: usize = 16;

/// A complete first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestLine {
    /// Bytes of the line with its CRLF.
    pub(crate) len: usize,
    /// HTTP/1.1; else HTTP/1.0.
    pub(crate) is_11: bool,
    /// Where the authority of an absolute-form target stands in the line.
    pub(crate) authority: Option<Range<usize>>,
}

/// Reads the line; `None` while it is lawful so far and not complete.
pub(crate) fn read(bytes: &[u8], target_bytes_max: usize) -> Result<Option<RequestLine>, GuardFault> {
    let method_end = token_end(bytes, 0);
    if method_end > METHOD_BYTES_MAX {
        return Err(GuardFault::MethodRefused);
    }
    match bytes.get(method_end) {
        Some(b' ') if method_end > 0 => {}
        Some(&byte) => return Err(misplaced(byte)),
        None => return Ok(None),
    }
    let method = &bytes[..method_end];
    check_method(method)?;

    let start = method_end + 1;
    let Some(end) = target_end(bytes, start, target_bytes_max)? else { return Ok(None) };
    let authority = check_target(method, &bytes[start..end])?.map(|range| range.start + start..range.end + start);

    let Some((is_11, len)) = version(bytes, end + 1)? else { return Ok(None) };
    Ok(Some(RequestLine { len, is_11, authority }))
}

fn check_method(method: &[u8]) -> Result<(), GuardFault> {
    match method {
        // A tunnel through a gateway that is no proxy; and the guard's own word, which no client may say.
        b"CONNECT" => Err(GuardFault::MethodRefused),
        _ if method == crate::guard::REFUSED_METHOD.as_bytes() => Err(GuardFault::MethodRefused),
        // The first word of HTTP/2's preface: the client did not negotiate what it speaks.
        b"PRI" => Err(GuardFault::VersionRefused),
        _ => Ok(()),
    }
}

/// Where the SP behind the target stands.
fn target_end(bytes: &[u8], start: usize, target_bytes_max: usize) -> Result<Option<usize>, GuardFault> {
    // One octet more than allowed is looked at, to tell a target of full length from one that is too long.
    let window = &bytes[start..bytes.len().min(start.saturating_add(target_bytes_max).saturating_add(1))];
    match window.iter().position(|byte| !(0x21..0x7f).contains(byte)) {
        Some(0) => Err(misplaced(window[0])),
        Some(len) if window[len] == b' ' => Ok(Some(start + len)),
        Some(len) => Err(misplaced(window[len])),
        None if window.len() > target_bytes_max => Err(GuardFault::TargetTooLong),
        None => Ok(None),
    }
}

fn misplaced(byte: u8) -> GuardFault {
    match byte {
        b'\n' => GuardFault::BareLf,
        b'\t' | b'\r' => GuardFault::RequestLineMalformed,
        0..0x20 | 0x7f => GuardFault::ControlCharacter,
        _ => GuardFault::RequestLineMalformed,
    }
}

/// Checks the form; the authority's place within `target`, where it has one.
fn check_target(method: &[u8], target: &[u8]) -> Result<Option<Range<usize>>, GuardFault> {
    if target.first() == Some(&b'/') {
        return check_path(target).map(|()| None);
    }
    if target == b"*" && method == b"OPTIONS" {
        return Ok(None);
    }
    let Some(scheme) = [b"http://".as_slice(), b"https://"].into_iter().find(|scheme| starts_with_ignoring_case(target, scheme)) else {
        return Err(GuardFault::RequestLineMalformed);
    };
    let start = scheme.len();
    let end = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).map_or(target.len(), |len| start + len);
    if !authority::is_lawful(&target[start..end]) {
        return Err(GuardFault::HostMalformed);
    }
    match target.get(end) {
        Some(b'/') => check_path(&target[end..])?,
        // Without a path it means `*` for OPTIONS and `/` for the rest; the first is told apart by nobody else, so it is refused.
        None if method != b"OPTIONS" => {}
        _ => return Err(GuardFault::RequestLineMalformed),
    }
    Ok(Some(start..end))
}

fn starts_with_ignoring_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn check_path(target: &[u8]) -> Result<(), GuardFault> {
    let path_end = target.iter().position(|&byte| !is_path(byte)).unwrap_or(target.len());
    match &target[path_end..] {
        [] => Ok(()),
        [b'?', query @ ..] if query.iter().all(|&byte| is_query(byte)) => Ok(()),
        _ => Err(GuardFault::RequestLineMalformed),
    }
}

/// The version and the length of the whole line.
fn version(bytes: &[u8], start: usize) -> Result<Option<(bool, usize)>, GuardFault> {
    let rest = &bytes[start..];
    let Some(len) = rest.iter().take(VERSION_BYTES_MAX).position(|byte| !(0x21..0x7f).contains(byte)) else {
        return if rest.len() >= VERSION_BYTES_MAX { Err(GuardFault::RequestLineMalformed) } else { Ok(None) };
    };
    match &rest[len..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Ok(None),
        [b'\r', ..] => return Err(GuardFault::BareCr),
        [byte, ..] => return Err(misplaced(*byte)),
        [] => return Ok(None),
    }
    let is_11 = match &rest[..len] {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', number @ ..]
            if number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') && !number.is_empty() =>
        {
            return Err(GuardFault::VersionRefused);
        }
        _ => return Err(GuardFault::RequestLineMalformed),
    };
    Ok(Some((is_11, start + len + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(line: &str) -> Result<Option<RequestLine>, GuardFault> {
        read(line.as_bytes(), 64)
    }

    #[test]
    fn lawful_forms() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "GET /a|b?{x}=^`\\ HTTP/1.0\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "get /x HTTP/1.1\r\n",
            "GET http://a:80/x?y HTTP/1.1\r\n",
            "GET HTTPS://[::1] HTTP/1.1\r\n",
            "M-SEARCH /? HTTP/1.1\r\n",
        ] {
            assert_eq!(verdict(line).unwrap().unwrap().len, line.len(), "{line}");
        }
        assert_eq!(verdict("GET http://a:80/x HTTP/1.1\r\n").unwrap().unwrap().authority, Some(11..15));
    }

    #[test]
    fn unlawful_forms() {
        use GuardFault::*;
        for (line, fault) in [
            ("GET  / HTTP/1.1\r\n", RequestLineMalformed),
            ("GET / HTTP/1.1 \r\n", RequestLineMalformed),
            ("GET /\r\n", RequestLineMalformed),
            ("GET / HTTP/1.1\n", BareLf),
            ("GET /\n", BareLf),
            ("GET / HTTP/1.1\rX", BareCr),
            ("\r\n", RequestLineMalformed),
            (" GET / HTTP/1.1\r\n", RequestLineMalformed),
            ("GET\t/ HTTP/1.1\r\n", RequestLineMalformed),
            ("G(T / HTTP/1.1\r\n", RequestLineMalformed),
            ("GET a HTTP/1.1\r\n", RequestLineMalformed),
            ("GET * HTTP/1.1\r\n", RequestLineMalformed),
            ("GET /# HTTP/1.1\r\n", RequestLineMalformed),
            ("GET /\u{e9} HTTP/1.1\r\n", RequestLineMalformed),
            ("GET /\0 HTTP/1.1\r\n", ControlCharacter),
            ("GET ftp://a/ HTTP/1.1\r\n", RequestLineMalformed),
            ("GET http:///x HTTP/1.1\r\n", HostMalformed),
            ("GET http://u@a/ HTTP/1.1\r\n", HostMalformed),
            ("GET http://a?x HTTP/1.1\r\n", RequestLineMalformed),
            ("OPTIONS http://a HTTP/1.1\r\n", RequestLineMalformed),
            ("CONNECT a:443 HTTP/1.1\r\n", MethodRefused),
            ("GWREFUSED / HTTP/1.1\r\n", MethodRefused),
            ("PRI * HTTP/2.0\r\n", VersionRefused),
            ("GET / HTTP/2.0\r\n", VersionRefused),
            ("GET / HTTP/1.01\r\n", VersionRefused),
            ("GET / http/1.1\r\n", RequestLineMalformed),
            ("GET / HTTP/\r\n", RequestLineMalformed),
            ("GET / HTTP/1.1xxxxxxxxxxxxxx", RequestLineMalformed),
        ] {
            assert_eq!(verdict(line), Err(fault), "{line:?}");
        }
        assert_eq!(verdict(&format!("{} / HTTP/1.1\r\n", "M".repeat(33))), Err(MethodRefused));
        assert_eq!(verdict(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(64))), Err(TargetTooLong));
        assert!(verdict(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(63))).unwrap().is_some());
    }

    #[test]
    fn a_part_of_a_lawful_line_is_no_fault() {
        let line = "OPTIONS http://a.b:1/x?y HTTP/1.1\r\n";
        for len in 0..line.len() {
            assert_eq!(verdict(&line[..len]), Ok(None), "{len}");
        }
    }
}
