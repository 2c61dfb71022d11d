//! The one canonical form of a request target, held by both tiers.
//!
//! In: path and query as the client wrote them (origin form, or `*`). Out: yes and what is to be minded in it, or why not. Refuses whatever two
//! readers could read in two ways: what a router matches must be what an instance serves. What is left of two readings is found out where the path
//! is matched ([`readings`]). Never: rewrites; a target is forwarded as it came, or not at all.

pub mod readings;
#[cfg(test)]
mod tests;

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
    /// An escape of a character that changes the meaning when decoded.
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
/// Not those that mean something once decoded: separators, dots, parameters, a second layer of escapes, controls. Letters and the like need no
/// escape and may have one (RFC 3986 §6.2.2.2): rules and routes are matched decoded, so `/%61dmin` is `/admin` to them as to an instance.
fn may_be_escaped(byte: u8) -> bool {
    !(byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'.' | b';' | b'%' | b'?' | b'#'))
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
