//! Headers as proxies write them, and as nobody should.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("it fits");
    [v2::SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat()
}

/// A lawful header that tells `from`, with `tail` behind its addresses where the version has a place for it.
fn written(from: SocketAddr, version: u8, tail: &[u8]) -> Vec<u8> {
    match (from, version) {
        (SocketAddr::V4(from), 1) => format!("PROXY TCP4 {} 198.51.100.1 {} 443\r\n", from.ip(), from.port()).into_bytes(),
        (SocketAddr::V6(from), 1) => format!("PROXY TCP6 {} 2001:db8::1 {} 443\r\n", from.ip(), from.port()).into_bytes(),
        (SocketAddr::V4(from), _) => {
            let ports = [from.port().to_be_bytes(), [1, 187]].concat();
            v2(0x21, 0x11, &[&from.ip().octets()[..], &[198, 51, 100, 1], &ports, tail].concat())
        }
        (SocketAddr::V6(from), _) => {
            let ports = [from.port().to_be_bytes(), [1, 187]].concat();
            v2(0x21, 0x21, &[&from.ip().octets()[..], &[0; 16], &ports, tail].concat())
        }
    }
}

/// Feeds what the parser asks for, and no byte more; what it says in the end, and how many bytes it took.
fn fed(bytes: &[u8]) -> (Result<Option<Told>, ProxyFault>, usize) {
    let mut taken = 0;
    loop {
        match parse(&bytes[..taken]) {
            Err(fault) => return (Err(fault), taken),
            Ok(Parsed::Whole(told)) => return (Ok(Some(told)), taken),
            Ok(Parsed::More(more)) => {
                assert!(more > 0);
                if taken == bytes.len() {
                    return (Ok(None), taken);
                }
                taken = (taken + more).min(bytes.len());
            }
        }
    }
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((Ipv4Addr::from(ip), port)));
    let v6 = (any::<u128>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((Ipv6Addr::from(ip), port)));
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn lawful_headers_are_read_to_their_last_byte(
        from in address(), version in 1..=2u8, tail in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut header = written(from, version, &tail);
        let length = header.len();
        header.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        let (told, taken) = fed(&header);
        prop_assert_eq!(told.expect("lawful"), Some(Told::Source(from)));
        prop_assert_eq!(taken, length, "nothing behind it was taken");
    }

    #[test]
    fn what_is_cut_short_asks_for_more(from in address(), version in 1..=2u8, cut in 0.0..1.0f64) {
        let header = written(from, version, &[]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let cut = (header.len() as f64 * cut) as usize;
        prop_assert_eq!(fed(&header[..cut]).0.expect("lawful so far"), None);
    }

    #[test]
    fn any_bytes_are_told_or_refused_within_the_ceiling(
        start in 0..3usize, bytes in proptest::collection::vec(any::<u8>(), 0..5000), text in "[ -~]{0,120}",
    ) {
        let bytes = match start {
            0 => bytes,
            1 => [v2::SIGNATURE, &bytes].concat(),
            _ => [v1::PREFIX, text.as_bytes(), b"\r\n"].concat(),
        };
        let (_, taken) = fed(&bytes);
        prop_assert!(taken <= V2_BYTES_MAX);
        // Whatever portion stands there, nothing panics.
        let _ = parse(&bytes);
    }
}

#[test]
fn headers_of_both_versions_tell_their_source() {
    let own = Some(Told::Own);
    for (header, told) in [
        (&b"PROXY TCP4 203.0.113.7 10.0.0.1 51234 443\r\n"[..], Some(Told::Source("203.0.113.7:51234".parse().expect("an address")))),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n", Some(Told::Source("[2001:db8::7]:0".parse().expect("an address")))),
        (b"PROXY UNKNOWN\r\n", own),
        (b"PROXY UNKNOWN ffff::1 whatever 1 2\r\n", own),
        (&v2(0x20, 0x00, &[]), own),
        (&v2(0x20, 0x11, &[1, 2, 3]), own),
        (&v2(0x21, 0x00, &[9; 40]), own),
        (&v2(0x21, 0x31, &[0; 216]), own),
    ] {
        let (outcome, taken) = fed(header);
        assert_eq!((outcome.expect("lawful"), taken), (told, header.len()), "{}", header.escape_ascii());
    }
}

#[test]
fn what_has_no_lawful_form_is_refused_with_its_code() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX));
    for (header, code) in [
        (&b"GET / HTTP/1.1\r\n"[..], "proxy-header-missing"),
        (b"\x16\x03\x01", "proxy-header-missing"),
        (b"PROXZ", "proxy-header-missing"),
        (b"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "proxy-header-missing"),
        (b"\r\n\r\n\0\r\nQUIX", "proxy-header-missing"),
        (b"PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 ::1 ::2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "proxy-header-malformed"),
        (b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\nGET /", "proxy-header-malformed"),
        (b"PROXY TCP4 1.1.1.1\r2.2.2.2 1 2\r\n", "proxy-header-malformed"),
        (b"PROXY UNKNOWN\0\r\n", "proxy-header-malformed"),
        (b"PROXY UNKNOWNS\r\n", "proxy-header-malformed"),
        (long.as_bytes(), "proxy-header-too-large"),
        (&v2(0x11, 0x11, &[0; 12]), "proxy-header-malformed"),
        (&v2(0x22, 0x11, &[0; 12]), "proxy-header-malformed"),
        (&v2(0x21, 0x12, &[0; 12]), "proxy-header-malformed"),
        (&v2(0x21, 0x41, &[0; 12]), "proxy-header-malformed"),
        (&v2(0x21, 0x11, &[0; 11]), "proxy-header-malformed"),
        (&v2(0x21, 0x21, &[0; 35]), "proxy-header-malformed"),
        (&v2(0x20, 0x00, &[0; V2_BYTES_MAX]), "proxy-header-too-large"),
    ] {
        let (outcome, _) = fed(header);
        assert_eq!(outcome.map_err(|fault| fault.code()), Err(code), "{}", header.escape_ascii());
    }
}

#[tokio::test]
async fn a_header_that_dribbles_is_read_and_what_follows_is_left_to_the_client() {
    let from: SocketAddr = "203.0.113.7:51234".parse().expect("an address");
    for version in [1, 2] {
        let (mut proxy, mut io) = tokio::io::duplex(1);
        let header = written(from, version, &[0x04, 0, 1, 0]);
        let sending = async move {
            proxy.write_all(&header).await.expect("room");
            proxy.write_all(b"hello").await.expect("room");
        };
        let reading = async {
            assert_eq!(receive(&mut io).await.expect("a header"), Told::Source(from));
            let mut rest = String::new();
            io.read_to_string(&mut rest).await.expect("the rest");
            assert_eq!(rest, "hello");
        };
        tokio::join!(sending, reading);
    }
    let (mut proxy, mut io) = tokio::io::duplex(64);
    proxy.write_all(b"PROXY TCP4 203.0").await.expect("room");
    drop(proxy);
    assert_eq!(receive(&mut io).await.map_err(|fault| fault.code()), Err("proxy-header-truncated"));
}
