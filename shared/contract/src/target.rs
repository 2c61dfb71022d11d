//! The one canonical form of a request target, held by both tiers, and the readings that servers have of it.
//!
//! In: path and query as the client wrote them (origin form, or `*`). Out: yes and what to mind in it, or why not; and what a rule or a route
//! says of the path under every reading. Refuses whatever two readers could read in two ways: what a router matches must be what an instance
//! serves. Never: rewrites; a target is forwarded as it came, or not at all.
//!
//! # One path, several readings
//! Escapes are decoded before a rule or a route is asked, so `/a%40b` is `/a@b` and `%c3%a9` is `%C3%A9`. Two things are left that servers
//! read differently, and [`agree`] asks under each reading:
//! - *Parameters* (`/admin;x`): servers of the servlet family cut them off, others keep them. Only what both find is found.
//! - *Encoded slashes* (`/a%2Fb`): one segment to some, two to others. Whoever is found must allow them, and must take the path too when they
//!   separate segments, unless then nobody takes it: nothing is reached that the decoded form would not reach under the same terms.

use std::borrow::Cow;

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
    /// `%2F` where neither the rule nor the route, or only one of them, allows it.
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// The decoded path is not UTF-8 (overlong forms included).
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
    /// Parameters or encoded slashes with which it is another rule or route than without.
    #[error("the path is one thing to some servers and another to others")]
    TwoReadings,
}

impl TargetFault {
    /// The refusal that the client gets.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::TooLong => Reason::TargetTooLong,
            Self::NotAPath
            | Self::DotSegment
            | Self::EmptySegment
            | Self::Byte
            | Self::Escape
            | Self::Encoded
            | Self::EncodedSlash
            | Self::NotUtf8
            | Self::TwoReadings => Reason::TargetNotCanonical,
        }
    }

    /// The one word for it in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NotAPath => "not-a-path",
            Self::DotSegment => "dot-segment",
            Self::EmptySegment => "empty-segment",
            Self::Byte => "byte",
            Self::Escape => "escape",
            Self::Encoded => "encoded",
            Self::EncodedSlash => "encoded-slash",
            Self::NotUtf8 => "not-utf-8",
            Self::TwoReadings => "two-readings",
        }
    }
}

/// What a canonical path has in it that must be minded where it is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Percent-escapes of any kind.
    pub escapes: bool,
    /// `%2F`: who finds a rule or route must ask whether it allows them.
    pub encoded_slashes: bool,
    /// A raw `;`.
    pub parameters: bool,
}

/// Whether `target`, a path with or without a query, stands in canonical form, and what is to be minded in it.
///
/// An encoded slash separates segments in every check here, and is told in the shape: whether it may stand there, a rule and a route decide.
/// `asterisk` admits `*` alone, which is lawful for OPTIONS only (RFC 9112 §3.2.4).
///
/// # Errors
/// The first fault found.
pub fn check(target: &str, asterisk: bool) -> Result<Shape, TargetFault> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(TargetFault::TooLong);
    }
    if target == "*" && asterisk {
        return Ok(Shape::default());
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let shape = check_path(path)?;
    query.map_or(Ok(()), check_query)?;
    Ok(shape)
}

/// The path of a rule or route as it is matched: decoded. What [`agree`] could never find under every reading is refused.
///
/// # Errors
/// The path is not canonical, or has an encoded slash or parameters; a query makes it no path.
pub fn pattern(path: &str) -> Result<String, TargetFault> {
    if path.contains('?') {
        return Err(TargetFault::Byte);
    }
    let shape = check(path, false)?;
    if shape.encoded_slashes {
        return Err(TargetFault::EncodedSlash);
    }
    if shape.parameters {
        return Err(TargetFault::TwoReadings);
    }
    Ok(read(path, Slashes::Data, Parameters::Kept).into_owned())
}

/// What `find` says of a canonical path, once under every reading that servers have of it.
///
/// `find` is given the decoded path; an encoded slash that is data stands in it as `%2F`, which no pattern holds. Whoever is found must still be
/// asked whether it allows encoded slashes. A plain path is asked for once, and nothing is allocated for it.
///
/// # Errors
/// Two readings find different things.
pub fn agree<T: PartialEq>(path: &str, shape: Shape, find: impl Fn(&str) -> Option<T>) -> Result<Option<T>, TargetFault> {
    if shape == Shape::default() {
        return Ok(find(path));
    }
    let ask = |slashes, parameters| find(&read(path, slashes, parameters));
    let found = ask(Slashes::Data, Parameters::Kept);
    if shape.parameters && ask(Slashes::Data, Parameters::Cut) != found {
        return Err(TargetFault::TwoReadings);
    }
    if shape.encoded_slashes {
        let cut = if shape.parameters { &[Parameters::Kept, Parameters::Cut][..] } else { &[Parameters::Kept] };
        for parameters in cut {
            // Where nobody takes the decoded form, nobody's terms are passed by; whoever takes it must be the one that was found.
            let split = ask(Slashes::Separators, *parameters);
            if split.is_some() && split != found {
                return Err(TargetFault::TwoReadings);
            }
        }
    }
    Ok(found)
}

/// How a reading takes `%2F`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slashes {
    Data,
    Separators,
}

/// How a reading takes `;` and what follows it in a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameters {
    Kept,
    Cut,
}

/// A canonical path under one reading.
fn read(path: &str, slashes: Slashes, parameters: Parameters) -> Cow<'_, str> {
    if !path.contains('%') && (parameters == Parameters::Kept || !path.contains(';')) {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    let mut cutting = false;
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = if byte == b'%' { escape(after).ok() } else { None };
        let (byte, after, escaped) = decoded.map_or((byte, after, false), |(byte, after)| (byte, after, true));
        rest = after;
        let separates = byte == b'/' && (!escaped || slashes == Slashes::Separators);
        cutting = !separates && (cutting || (byte == b';' && parameters == Parameters::Cut));
        if cutting {
            continue;
        }
        if byte == b'/' && !separates {
            out.extend_from_slice(b"%2F");
        } else {
            out.push(byte);
        }
    }
    // A canonical path decodes to UTF-8, and no pattern takes an empty one.
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

/// One pass over the path, which decodes as it goes and looks at each segment as it ends.
fn check_path(path: &str) -> Result<Shape, TargetFault> {
    let Some(rest) = path.strip_prefix('/') else { return Err(TargetFault::NotAPath) };
    let mut bytes = rest.as_bytes();
    let mut segment = Segment::default();
    let mut utf8 = Utf8::default();
    let mut shape = Shape::default();
    while let Some((&byte, after)) = bytes.split_first() {
        let (decoded, after, escaped) =
            if byte == b'%' { escape(after).map(|(decoded, after)| (decoded, after, true))? } else { (byte, after, false) };
        bytes = after;
        if escaped {
            shape.escapes = true;
            shape.encoded_slashes |= decoded == b'/';
            if !(may_be_escaped(decoded) || decoded == b'/') {
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
            shape.parameters |= segment.parameters;
            segment = Segment::default();
        } else {
            segment.add(decoded);
        }
    }
    if !utf8.is_whole() {
        return Err(TargetFault::NotUtf8);
    }
    segment.end(true)?;
    shape.parameters |= segment.parameters;
    Ok(shape)
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
            assert!(check(target, false).is_ok(), "{target}");
        }
        assert_eq!(check("*", true), Ok(Shape::default()));
        assert_eq!(check("/a?b%2F;", false), Ok(Shape::default()));
        assert_eq!(check("/a%2fb", false), Ok(Shape { escapes: true, encoded_slashes: true, parameters: false }));
        assert_eq!(check("/a;b/c", false), Ok(Shape { parameters: true, ..Shape::default() }));
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
            assert_eq!(check(target, false), Err(fault), "{target}");
        }
        assert_eq!(check(&format!("/{}", "a".repeat(TARGET_BYTES_MAX)), false), Err(F::TooLong));
    }

    #[test]
    fn an_allowed_encoded_slash_separates_segments_in_every_check() {
        for (target, fault) in [
            ("/a%2F..%2Fb", TargetFault::DotSegment),
            ("/a%2f%2Fb", TargetFault::EmptySegment),
            ("/%2Fa", TargetFault::EmptySegment),
            ("/a%2F.", TargetFault::DotSegment),
        ] {
            assert_eq!(check(target, false), Err(fault), "{target}");
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
        fn nothing_panics(target in any::<String>(), escapes: bool, encoded_slashes: bool, parameters: bool) {
            let shape = Shape { escapes, encoded_slashes, parameters };
            for target in [target.clone(), format!("/{target}")] {
                let _ = (check(&target, true), pattern(&target));
                let _ = agree(&target, shape, |path| (path.len() > 3).then_some(path.len()));
            }
        }

        /// What passes means the same before and after one more decoding: the same segments, none of them empty, dots or controls.
        #[test]
        fn what_passes_reads_the_same_once_decoded(path in "/([a-c./;%2eEfF5C0?#é \\\\]|%2[0-9a-fA-F]|%[0-9a-f]{2}|%C3%A9){0,12}") {
            if check(&path, false).is_ok_and(|shape| !shape.encoded_slashes) {
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
            prop_assert_eq!(check(&format!("/{}", segments.join("/")), false), Ok(Shape::default()));
        }

        /// A pattern reads back as itself, and once decoded there is nothing left to decode.
        #[test]
        fn a_pattern_is_read_once(path in ANY_PATH) {
            if let Ok(once) = pattern(&path) {
                prop_assert!(!once.contains('%'));
                prop_assert_eq!(pattern(&once.replace(' ', "%20").replace('\u{e9}', "%C3%A9")), Ok(once));
            }
        }

        /// Prefix and exact paths, the longest first, as tier 1 has them: what is found is what every reading of the path finds.
        #[test]
        fn no_reading_finds_anything_else(path in ANY_PATH, paths in proptest::collection::vec("/([abc]|[abc]/){0,4}", 1..5)) {
            let Ok(shape) = check(&path, false) else { return Ok(()) };
            let path = path.split('?').next().unwrap();
            let find = |path: &str| {
                let takes = |rule: &&String| if rule.ends_with('/') { path.starts_with(rule.as_str()) } else { path == rule.as_str() };
                paths.iter().filter(takes).max_by_key(|rule| rule.len()).cloned()
            };
            if let Ok(Some(found)) = agree(path, shape, find) {
                let decoded = String::from_utf8(decode(path)).unwrap();
                // The servlet family's two orders: parameters cut before, and after escapes are decoded.
                let cut = |path: &str| path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/");
                for reading in [decoded.clone(), cut(&decoded), String::from_utf8(decode(&cut(path))).unwrap()] {
                    prop_assert_eq!(find(&reading), Some(found.clone()), "{} as {}", path, reading);
                }
            }
        }
    }

    /// Escapes of all that has a second reading, in either case, and what stands around them.
    const ANY_PATH: &str = "/([abc.;@\u{e9}/]|%2[fF]|%40|%20|%C3%A9|%c3%a9){0,10}";

    #[test]
    fn what_has_two_readings_is_found_only_where_they_agree() {
        let find =
            |path: &str| ["/admin", "/files/"].into_iter().find(|rule| path == *rule || (rule.ends_with('/') && path.starts_with(rule)));
        let said = |path: &str| agree(path, check(path, false).unwrap(), |path| Some(find(path).unwrap_or("/")));
        let split = Err(TargetFault::TwoReadings);
        for (path, expected) in [
            ("/admin", Ok(Some("/admin"))),
            ("/admin;x", split),
            ("/admin;x/y", Ok(Some("/"))),
            ("/files/1;v=2", Ok(Some("/files/"))),
            ("/files;x/1", split),
            ("/files/a%2Fb", Ok(Some("/files/"))),
            ("/files%2Fb", split),
            ("/files;x%2Fb", split),
            ("/b%2Ffiles/", Ok(Some("/"))),
            ("/%C3%A9", Ok(Some("/"))),
        ] {
            assert_eq!(said(path), expected, "{path}");
        }
        // Where nobody takes the decoded form, it is the route's own word that counts.
        let one = |path: &str| (path.starts_with("/a/") && path.matches('/').count() == 2).then_some(());
        assert_eq!(agree("/a/x%2Fy", check("/a/x%2Fy", false).unwrap(), one), Ok(Some(())));
        assert_eq!(agree("/a%2Fx", check("/a%2Fx", false).unwrap(), one), split.map(|_: Option<&str>| Some(())));
    }

    #[test]
    fn a_pattern_is_matched_decoded_and_has_one_reading() {
        assert_eq!(pattern("/caf%c3%a9/%40"), Ok("/caf\u{e9}/@".to_owned()));
        for (path, fault) in [
            ("/a%2Fb", TargetFault::EncodedSlash),
            ("/a;v=1", TargetFault::TwoReadings),
            ("/a?b", TargetFault::Byte),
            ("a", TargetFault::NotAPath),
        ] {
            assert_eq!(pattern(path), Err(fault), "{path}");
        }
    }
}
