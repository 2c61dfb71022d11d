//! The one canonical form of a request target, held by both tiers.
//!
//! In: path and query as the client wrote them (origin form, or `*`). Out: yes, or why not. Refuses whatever two readers could read in two
//! ways: what a router matches must be what an instance serves. Never: rewrites; a target is forwarded as it came, or not at all.

use crate::reason::Reason;

/// The longest target that is read, in bytes.
pub const TARGET_BYTES_MAX: usize = 8192;

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// Longer than `TARGET_BYTES_MAX`.
    #[error("the target is too long")]
    TooLong,
    /// Neither a path nor a lawful `*`.
    #[error("the target does not begin with a slash")]
    NotAPath,
    /// `.` or `..` as a segment, also percent-encoded, also with parameters (`..;x`).
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`, which some servers fold and others do not.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// A control character, a space, a backslash, a raw `#` or a byte beyond ASCII.
    #[error("the target has a byte that must not stand there")]
    Byte,
    /// A `%` without two hexadecimal digits.
    #[error("the target has a malformed percent-escape")]
    Escape,
    /// An escape of a character that changes the meaning when decoded, or that needs none.
    #[error("the path has a percent-escape that must not stand there")]
    Encoded,
    /// The decoded path is not UTF-8 (overlong forms included).
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
}

impl TargetFault {
    /// The refusal that the client gets.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::TooLong => Reason::TargetTooLong,
            Self::NotAPath | Self::DotSegment | Self::EmptySegment | Self::Byte | Self::Escape | Self::Encoded | Self::NotUtf8 => {
                Reason::TargetNotCanonical
            }
        }
    }
}

/// Whether `target`, a path with or without a query, stands in canonical form.
///
/// `allow_encoded_slash` admits `%2F` in a path, as some services use it in ids; it then separates segments like `/` in every check here.
/// `asterisk` admits `*` alone, which is lawful for OPTIONS only (RFC 9112 §3.2.4).
///
/// # Errors
/// The first fault found.
pub fn check(target: &str, allow_encoded_slash: bool, asterisk: bool) -> Result<(), TargetFault> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(TargetFault::TooLong);
    }
    if target == "*" && asterisk {
        return Ok(());
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    check_path(path, allow_encoded_slash)?;
    query.map_or(Ok(()), check_query)
}

/// One pass over the path, which decodes as it goes and looks at each segment as it ends.
fn check_path(path: &str, allow_encoded_slash: bool) -> Result<(), TargetFault> {
    let Some(rest) = path.strip_prefix('/') else { return Err(TargetFault::NotAPath) };
    let mut bytes = rest.as_bytes();
    let mut segment = Segment::default();
    let mut utf8 = Utf8::default();
    while let Some((&byte, after)) = bytes.split_first() {
        let (decoded, after, escaped) =
            if byte == b'%' { escape(after).map(|(decoded, after)| (decoded, after, true))? } else { (byte, after, false) };
        bytes = after;
        if escaped {
            if !(may_be_escaped(decoded) || decoded == b'/' && allow_encoded_slash) {
                return Err(TargetFault::Encoded);
            }
        } else if !is_path_byte(decoded) {
            return Err(TargetFault::Byte);
        }
        if !utf8.takes(decoded) {
            return Err(TargetFault::NotUtf8);
        }
        if decoded == b'/' {
            segment.end(false)?;
            segment = Segment::default();
        } else {
            segment.add(decoded);
        }
    }
    if !utf8.is_whole() {
        return Err(TargetFault::NotUtf8);
    }
    segment.end(true)
}

/// A query is opaque here; it must only be spelled as RFC 3986 has it, with the few bytes more that browsers send.
fn check_query(query: &str) -> Result<(), TargetFault> {
    let mut bytes = query.as_bytes();
    while let Some((&byte, after)) = bytes.split_first() {
        bytes = match byte {
            b'%' => escape(after)?.1,
            b'#' => return Err(TargetFault::Byte),
            0x21..=0x7e => after,
            _ => return Err(TargetFault::Byte),
        };
    }
    Ok(())
}

fn escape(after: &[u8]) -> Result<(u8, &[u8]), TargetFault> {
    let Some((&[high, low], rest)) = after.split_first_chunk::<2>() else { return Err(TargetFault::Escape) };
    match (char::from(high).to_digit(16), char::from(low).to_digit(16)) {
        (Some(high), Some(low)) => Ok(((high << 4 | low) as u8, rest)),
        _ => Err(TargetFault::Escape),
    }
}

/// Raw bytes that may stand in a path: visible ASCII without those that servers read differently.
fn is_path_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'\\' | b'#')
}

/// Bytes that may come percent-encoded in a path.
///
/// Not those that mean something once decoded (separators, parameters, a second layer of escapes, controls), and not the unreserved ones, which
/// need no escape: `/%61dmin` would pass a router's `/admin` and be served by an instance as `/admin` (RFC 3986 §6.2.2.2).
fn may_be_escaped(byte: u8) -> bool {
    !(byte.is_ascii_control()
        || byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'\\' | b'.' | b';' | b'%' | b'?' | b'#' | b'-' | b'_' | b'~'))
}

/// What must be known of a segment when it ends: whether its name, without parameters, is empty or all dots.
#[derive(Default)]
struct Segment {
    name_bytes: usize,
    dots: usize,
    parameters: bool,
}

impl Segment {
    fn add(&mut self, byte: u8) {
        if self.parameters {
            return;
        }
        match byte {
            // Servers of the servlet family cut a segment here, so `..;` is `..` to them.
            b';' => self.parameters = true,
            b'.' => {
                self.dots += 1;
                self.name_bytes += 1;
            }
            _ => self.name_bytes += 1,
        }
    }

    fn end(&self, last: bool) -> Result<(), TargetFault> {
        if self.name_bytes == 0 && (!last || self.parameters) {
            return Err(TargetFault::EmptySegment);
        }
        if self.dots == self.name_bytes && (1..=2).contains(&self.dots) {
            return Err(TargetFault::DotSegment);
        }
        Ok(())
    }
}

/// Watches decoded bytes for lawful UTF-8 without keeping them.
#[derive(Default)]
struct Utf8 {
    pending: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes the next byte; false when no text can begin so.
    fn takes(&mut self, byte: u8) -> bool {
        if self.length == 0 && byte.is_ascii() {
            return true;
        }
        let Some(place) = self.pending.get_mut(self.length) else { return false };
        *place = byte;
        self.length += 1;
        match std::str::from_utf8(self.pending.get(..self.length).unwrap_or_default()) {
            Ok(_) => {
                self.length = 0;
                true
            }
            // Without a length the error says that more bytes could still make it right.
            Err(fault) => fault.error_len().is_none(),
        }
    }

    fn is_whole(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_targets_pass() {
        for target in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/d",
            "/...",
            "/.well-known/x",
            "/a..b/c",
            "/a;v=1/b",
            "/%C3%A9",
            "/%c3%a9",
            "/a%20b",
            "/a:b@c!$&'()*+,=~",
            "/?",
            "/a?b=c&d=%00%2F..//\\|^",
            "/a?x?y",
            "/%F0%9F%A6%80",
            "/a%2Cb",
        ] {
            assert_eq!(check(target, false, false), Ok(()), "{target}");
        }
        assert_eq!(check("*", false, true), Ok(()));
        assert_eq!(check("/a%2Fb", true, false), Ok(()));
    }

    #[test]
    fn each_other_form_is_refused_with_its_fault() {
        use TargetFault as F;
        for (target, fault) in [
            ("", F::NotAPath),
            ("a", F::NotAPath),
            ("*", F::NotAPath),
            ("?a", F::NotAPath),
            ("http://a/b", F::NotAPath),
            ("//", F::EmptySegment),
            ("//a", F::EmptySegment),
            ("/a//b", F::EmptySegment),
            ("/a/;x/b", F::EmptySegment),
            ("/;", F::EmptySegment),
            ("/.", F::DotSegment),
            ("/..", F::DotSegment),
            ("/a/./b", F::DotSegment),
            ("/a/../b", F::DotSegment),
            ("/a/..;/b", F::DotSegment),
            ("/a/..;x=1/b", F::DotSegment),
            ("/a/.?b", F::DotSegment),
            ("/%2e%2e/a", F::Encoded),
            ("/a/%2E/b", F::Encoded),
            ("/a%2Fb", F::Encoded),
            ("/a%5Cb", F::Encoded),
            ("/a%00b", F::Encoded),
            ("/a%0d%0ab", F::Encoded),
            ("/a%7Fb", F::Encoded),
            ("/a%3Bb", F::Encoded),
            ("/a%252e", F::Encoded),
            ("/a%3Fb", F::Encoded),
            ("/a%23b", F::Encoded),
            ("/%61dmin", F::Encoded),
            ("/a%7E", F::Encoded),
            ("/a\\b", F::Byte),
            ("/a#b", F::Byte),
            ("/a b", F::Byte),
            ("/a\tb", F::Byte),
            ("/a\u{7f}", F::Byte),
            ("/é", F::Byte),
            ("/a?b#c", F::Byte),
            ("/a?b c", F::Byte),
            ("/a?é", F::Byte),
            ("/a%", F::Escape),
            ("/a%2", F::Escape),
            ("/a%zz", F::Escape),
            ("/a%+1", F::Escape),
            ("/a?b%", F::Escape),
            ("/a?b%g0", F::Escape),
            ("/%C0%AF", F::NotUtf8),
            ("/%E0%80%AF", F::NotUtf8),
            ("/%FF", F::NotUtf8),
            ("/%C3", F::NotUtf8),
            ("/%C3/%A9", F::NotUtf8),
            ("/%ED%A0%80", F::NotUtf8),
        ] {
            assert_eq!(check(target, false, false), Err(fault), "{target}");
        }
        assert_eq!(check(&format!("/{}", "a".repeat(TARGET_BYTES_MAX)), false, false), Err(F::TooLong));
    }

    #[test]
    fn an_allowed_encoded_slash_separates_segments_in_every_check() {
        for (target, fault) in [
            ("/a%2F..%2Fb", TargetFault::DotSegment),
            ("/a%2f%2Fb", TargetFault::EmptySegment),
            ("/%2Fa", TargetFault::EmptySegment),
            ("/a%2F.", TargetFault::DotSegment),
        ] {
            assert_eq!(check(target, true, false), Err(fault), "{target}");
        }
    }

    #[test]
    fn the_client_learns_length_apart_from_form() {
        assert_eq!(TargetFault::TooLong.reason(), Reason::TargetTooLong);
        assert_eq!(TargetFault::DotSegment.reason(), Reason::TargetNotCanonical);
    }

    /// Decodes one layer, as an instance would.
    fn decode(path: &str) -> Vec<u8> {
        let mut bytes = path.as_bytes();
        let mut out = Vec::new();
        while let Some((&byte, after)) = bytes.split_first() {
            let (byte, after) = if byte == b'%' { escape(after).unwrap() } else { (byte, after) };
            out.push(byte);
            bytes = after;
        }
        out
    }

    proptest! {
        #[test]
        fn nothing_panics(target in any::<String>(), slash: bool, asterisk: bool) {
            let _ = check(&target, slash, asterisk);
            let _ = check(&format!("/{target}"), slash, asterisk);
        }

        /// What passes means the same before and after one more decoding: the same segments, none of them empty, dots or controls.
        #[test]
        fn what_passes_reads_the_same_once_decoded(path in "/([a-c./;%2eEfF5C0?#é \\\\]|%2[0-9a-fA-F]|%[0-9a-f]{2}|%C3%A9){0,12}") {
            if check(&path, false, false).is_ok() {
                let path = path.split('?').next().unwrap();
                let decoded = String::from_utf8(decode(path)).unwrap();
                prop_assert_eq!(path.matches('/').count(), decoded.matches('/').count());
                let segments: Vec<&str> = decoded.split('/').skip(1).map(|segment| segment.split(';').next().unwrap()).collect();
                for (at, segment) in segments.iter().enumerate() {
                    prop_assert!(*segment != "." && *segment != "..");
                    prop_assert!(!segment.is_empty() || at + 1 == segments.len());
                }
                prop_assert!(!decoded.contains(|c: char| c.is_ascii_control() || c == '\\' || c == '%'));
            }
        }

        #[test]
        fn plain_segments_always_pass(segments in proptest::collection::vec("[a-zA-Z0-9_~-]{1,8}", 1..6)) {
            prop_assert_eq!(check(&format!("/{}", segments.join("/")), false, false), Ok(()));
        }
    }
}
