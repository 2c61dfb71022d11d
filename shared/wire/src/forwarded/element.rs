//! One element of `Forwarded` (RFC 7239 §4): who asked whom, as one proxy wrote it.
//!
//! In: a line of the field. Out: its elements from the right, each read whole or not at all. Never: lets a quote that a client left open reach
//! into what a proxy wrote behind it; for that the line is taken apart from its right end, which the last proxy wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use bytes::Bytes;

/// What a proxy says of the request that it got. Parameters that we do not know are read over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// `for=`: who asked it.
    pub client: Option<Bytes>,
    /// `proto=`: the scheme it was asked by.
    pub proto: Option<Bytes>,
    /// `host=`: the host it was asked for.
    pub host: Option<Bytes>,
    by: bool,
}

impl Element {
    /// Reads `[ pair ] *( ";" [ pair ] )`; `None` when anything in it is not of the grammar, or a parameter stands twice.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut element = Self::default();
        let mut rest = text.trim_ascii();
        while !rest.is_empty() {
            if let [b';', behind @ ..] = rest {
                rest = behind;
                continue;
            }
            let equals = rest.iter().position(|byte| *byte == b'=')?;
            let (name, behind) = (rest.get(..equals)?, rest.get(equals + 1..)?);
            let (value, behind) = value(behind)?;
            if !is_token(name) || !matches!(behind, [] | [b';', ..]) {
                return None;
            }
            rest = behind;
            let twice = if name.eq_ignore_ascii_case(b"for") {
                element.client.replace(value).is_some()
            } else if name.eq_ignore_ascii_case(b"proto") {
                element.proto.replace(value).is_some()
            } else if name.eq_ignore_ascii_case(b"host") {
                element.host.replace(value).is_some()
            } else {
                name.eq_ignore_ascii_case(b"by") && std::mem::replace(&mut element.by, true)
            };
            if twice {
                return None;
            }
        }
        Some(element)
    }

    /// The address of who asked; `None` for `unknown`, an obfuscated identifier, and what is no node (§6).
    pub(super) fn address(&self) -> Option<IpAddr> {
        let node = self.client.as_deref()?;
        let (name, port) = match node {
            [b'[', rest @ ..] => {
                let end = rest.iter().position(|byte| *byte == b']')?;
                (rest.get(..end)?, rest.get(end + 1..)?)
            }
            _ => node.split_at(node.iter().position(|byte| *byte == b':').unwrap_or(node.len())),
        };
        if !matches!(port, []) && !is_colon_port(port) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        let address =
            if node.starts_with(b"[") { IpAddr::V6(name.parse::<Ipv6Addr>().ok()?) } else { IpAddr::V4(name.parse::<Ipv4Addr>().ok()?) };
        Some(address.to_canonical())
    }
}

/// `:` and up to five digits, or an obfuscated port.
fn is_colon_port(text: &[u8]) -> bool {
    match text {
        [b':', b'_', rest @ ..] => !rest.is_empty() && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)),
        [b':', digits @ ..] => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// A token or a quoted string at the front of a text, and what stands behind it.
fn value(text: &[u8]) -> Option<(Bytes, &[u8])> {
    let [b'"', quoted @ ..] = text else {
        let end = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        return (!token.is_empty()).then(|| (Bytes::copy_from_slice(token), behind));
    };
    let mut out = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((out.into(), bytes.as_slice())),
            b'\\' => out.push(*bytes.next()?),
            byte => out.push(*byte),
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a line, the last one first. A comma within quotes separates nothing; from the right, quotes pair as the last proxy wrote them.
pub(super) fn from_the_right(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let left = rest?;
        let mut quoted = false;
        let mut at = left.len();
        while let Some(before) = at.checked_sub(1) {
            match left.get(before) {
                Some(b'"') if !(quoted && is_escaped(left, before)) => quoted = !quoted,
                Some(b',') if !quoted => {
                    rest = left.get(..before);
                    return left.get(at..);
                }
                _ => {}
            }
            at = before;
        }
        rest = None;
        Some(left)
    })
}

/// Whether an odd number of backslashes stands before a place.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text.iter().take(at).rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// An address as proxies write it into `X-Forwarded-For`: bare, in brackets, or with a port.
pub(super) fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bracketed = || bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok()).map(IpAddr::V6);
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(bracketed)
        .or_else(|| hop.parse::<SocketAddrV4>().ok().map(|address| IpAddr::V4(*address.ip())))
        .or_else(|| hop.parse::<SocketAddrV6>().ok().map(|address| IpAddr::V6(*address.ip())));
    address.map(|address| address.to_canonical())
}
