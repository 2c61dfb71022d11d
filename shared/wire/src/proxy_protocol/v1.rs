//! Version 1: one line of text (§2.1), `PROXY TCP4 192.0.2.7 198.51.100.1 51234 443` and CRLF.
//!
//! In: the bytes so far, which begin with `PROXY `. Out: the source, or how many bytes are missing at least. Refuses: other transports, a second
//! space, numbers with signs or leading zeros, addresses of another family than was said, a line without an end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::proxy_protocol::{Parsed, ProxyFault, Told, V1_BYTES_MAX};

/// How it begins.
pub(crate) const PREFIX: &[u8] = b"PROXY ";

/// The shortest line: `PROXY UNKNOWN` and CRLF.
pub(crate) const LEAST: usize = 15;

/// Reads a line as far as it has come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let ended = match bytes {
        [line @ .., b'\r', b'\n'] => Some(line),
        _ => None,
    };
    let body = ended.unwrap_or(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    if body.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
        return Err(ProxyFault::Malformed);
    }
    if let Some(line) = ended {
        return line.strip_prefix(PREFIX).and_then(read).map(Parsed::Whole).ok_or(ProxyFault::Malformed);
    }
    // A CR is followed by its LF; otherwise both are to come.
    let more = if bytes.ends_with(b"\r") { 1 } else { 2 };
    if bytes.len() + more > V1_BYTES_MAX { Err(ProxyFault::TooLarge) } else { Ok(Parsed::More(more)) }
}

fn read(line: &[u8]) -> Option<Told> {
    let line = std::str::from_utf8(line).ok()?;
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(Told::Own);
    }
    let mut words = line.split(' ');
    let (ip, _): (IpAddr, IpAddr) = match words.next()? {
        "TCP4" => (address::<Ipv4Addr>(words.next()?)?, address::<Ipv4Addr>(words.next()?)?),
        "TCP6" => (address::<Ipv6Addr>(words.next()?)?, address::<Ipv6Addr>(words.next()?)?),
        _ => return None,
    };
    let (from, _) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(Told::Source(SocketAddr::new(ip, from)))
}

fn address<Ip: FromStr + Into<IpAddr>>(word: &str) -> Option<IpAddr> {
    word.parse::<Ip>().ok().map(Into::into)
}

/// 0 to 65535 without sign or leading zeros.
fn port(word: &str) -> Option<u16> {
    let lawful = word == "0" || (!word.starts_with('0') && word.bytes().all(|byte| byte.is_ascii_digit()));
    lawful.then(|| word.parse().ok()).flatten()
}
