//! Host and port as they may be written in `Host` and in an absolute-form target.
//!
//! In: the bytes of either. Out: lawful or not. It refuses much that RFC 3986 allows in a registered name (percent escapes, sub-delims,
//! nothing at all, an empty port): such names cannot be resolved, and the next reader may see another host in them.

use std::net::Ipv6Addr;

/// Bytes of a DNS name with a dot at its end, and the most that a bracketed address needs.
const HOST_BYTES_MAX: usize = 254;

/// Whether `text` is `host` or `host:port`: a DNS name (letters, digits, `-`, `_`, one dot at the end allowed), an IPv4 address, or an IPv6
/// address in brackets; the port 1 to 65535 in decimal digits.
pub(crate) fn is_lawful(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            return is_ipv6(&rest[..end]) && rest.get(end + 1..).is_some_and(|tail| tail.is_empty() || is_colon_port(tail));
        }
        _ => match text.iter().position(|&byte| byte == b':') {
            Some(colon) => text.split_at(colon),
            None => (text, &[][..]),
        },
    };
    is_name(host) && (port.is_empty() || is_colon_port(port))
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_colon_port(text: &[u8]) -> bool {
    let [b':', digits @ ..] = text else { return false };
    if digits.is_empty() || digits.len() > 5 {
        return false;
    }
    let mut port = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    (1..=65535).contains(&port)
}

fn is_name(host: &[u8]) -> bool {
    let host = match host {
        [name @ .., b'.'] => name,
        name => name,
    };
    if host.is_empty() || host.len() >= HOST_BYTES_MAX {
        return false;
    }
    // An empty label is a dot where a letter should be.
    let mut before = b'.';
    for &byte in host {
        let lawful = match byte {
            b'.' => before != b'.',
            _ => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
        };
        if !lawful {
            return false;
        }
        before = byte;
    }
    before != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lawful_ones() {
        for text in [
            "a",
            "example.com",
            "EXAMPLE.com.",
            "a_b.c-d:8443",
            "127.0.0.1",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:443",
            "[::ffff:1.2.3.4]:1",
        ] {
            assert!(is_lawful(text.as_bytes()), "{text}");
            assert!(http::Uri::try_from(format!("http://{text}/")).is_ok(), "{text}");
        }
    }

    #[test]
    fn unlawful_ones() {
        let long = "a".repeat(254);
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a:",
            "a:0",
            "a:65536",
            "a:000080",
            "a:8x",
            "a:+80",
            "a:80:80",
            "user@a",
            "a/b",
            "a b",
            "a,b",
            "%41",
            "é",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[]",
            "a..",
            "a\t",
            "a?b",
            "a#b",
            &long,
        ] {
            assert!(!is_lawful(text.as_bytes()), "{text}");
        }
    }
}
