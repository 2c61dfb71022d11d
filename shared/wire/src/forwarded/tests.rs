//! What is believed of forwarded fields, and what never is.

use proptest::prelude::*;

use super::*;
use crate::tls::peers::SanPattern;

fn proxies() -> Proxies {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("net"));
    Proxies::new(networks.to_vec(), PeerList::default())
}

fn map(lines: &[(&HeaderName, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_bytes(value).expect("value"));
    }
    map
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// `client` is asked of peers that are believed.
fn by(field: &HeaderName, value: &str) -> IpAddr {
    client(field, &map(&[(field, value.as_bytes())]))
}

/// The client, by proxies that write this field.
fn client(field: &HeaderName, map: &HeaderMap) -> IpAddr {
    proxies().that_write(writing(field)).read(ip("10.0.0.1"), map).0
}

fn writing(field: &HeaderName) -> Field {
    if *field == headers::FORWARDED { Field::Forwarded } else { Field::default() }
}

#[test]
fn the_right_most_stranger_is_the_client() {
    for (value, expected) in [
        ("1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1, 10.0.0.7", "1.1.1.1"),
        ("6.6.6.6, nonsense, 10.0.0.7", "10.0.0.7"),
        ("1.1.1.1:443", "1.1.1.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:1.1.1.1", "1.1.1.1"),
        ("6.6.6.6, ::ffff:10.0.0.7", "6.6.6.6"),
        ("", "10.0.0.1"),
        ("6.6.6.6,", "10.0.0.1"),
    ] {
        assert_eq!(by(&headers::X_FORWARDED_FOR, value), ip(expected), "{value}");
    }
    assert_eq!(proxies().read(ip("::ffff:10.0.0.1"), &HeaderMap::new()).0, ip("10.0.0.1"));
}

#[test]
fn the_whole_grammar_of_rfc_7239_is_read() {
    for (value, expected) in [
        ("for=1.1.1.1", "1.1.1.1"),
        ("For=\"1.1.1.1:4711\"", "1.1.1.1"),
        ("for=1.1.1.1;proto=http;by=203.0.113.43", "1.1.1.1"),
        ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=\"[2001:db8::1]:_p\"", "2001:db8::1"),
        ("for=6.6.6.6, for=1.1.1.1, for=10.0.0.7", "1.1.1.1"),
        ("for=6.6.6.6,for=\"[fd00::7]\";by=\"a, b\\\"c\"", "6.6.6.6"),
        (";for=1.1.1.1;;secret=\"x;y,z=\\\\\";", "1.1.1.1"),
        // Nobody is named: what lies further left is not looked at.
        ("for=6.6.6.6, for=unknown", "10.0.0.1"),
        ("for=6.6.6.6, for=_hidden, for=10.0.0.7", "10.0.0.7"),
        ("for=6.6.6.6, proto=http", "10.0.0.1"),
        ("for=6.6.6.6,", "10.0.0.1"),
        // Not of the grammar.
        ("for=[2001:db8::1]", "10.0.0.1"),
        ("for=\"2001:db8::1\"", "10.0.0.1"),
        ("for=\"[1.1.1.1]\"", "10.0.0.1"),
        ("for=1.1.1.1;for=6.6.6.6", "10.0.0.1"),
        ("for=1.1.1.1 ;by=a", "10.0.0.1"),
        ("for = 1.1.1.1", "10.0.0.1"),
        ("for=1.1.1.1;x", "10.0.0.1"),
        ("for=\"1.1.1.1", "10.0.0.1"),
        ("for=\"1.1.1.1\"x", "10.0.0.1"),
        ("for=\"1.1.1.1:123456\"", "10.0.0.1"),
        ("for=", "10.0.0.1"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(by(&headers::FORWARDED, value), ip(expected), "{value}");
    }
}

#[test]
fn nothing_that_a_stranger_left_open_reaches_into_a_proxy_s_word() {
    for stranger in
        ["for=\"", "for=6.6.6.6;x=\"", "\\", "for=\"6.6.6.6\\", "\"\"\"", "for=6.6.6.6;x=\"\\\\\\\"", "\u{ff},\"", ",,,\"", "for=\"a,\"\""]
    {
        for proxy in ["for=1.1.1.1", "for=\"1.1.1.1:80\";by=\"[fd00::1]\"", "by=\"a\\\"b,c\";for=1.1.1.1"] {
            assert_eq!(by(&headers::FORWARDED, &format!("{stranger}, {proxy}")), ip("1.1.1.1"), "{stranger} and {proxy}");
        }
    }
    let both = map(&[(&headers::X_FORWARDED_FOR, b"6.6.6.6"), (&headers::X_FORWARDED_FOR, b"\xff, 1.1.1.1")]);
    assert_eq!(client(&headers::X_FORWARDED_FOR, &both), ip("1.1.1.1"));
}

#[test]
fn the_field_that_the_proxies_do_not_write_is_not_read() {
    let both = map(&[
        (&headers::X_FORWARDED_FOR, b"1.1.1.1"),
        (&headers::X_FORWARDED_PROTO, b"https"),
        (&headers::X_FORWARDED_HOST, b"a.test"),
        (&headers::FORWARDED, b"for=2.2.2.2;proto=http;host=b.test"),
    ]);
    let read = |field: Field, map: &HeaderMap| {
        let (client, origin) = proxies().that_write(field).read(ip("10.0.0.1"), map);
        (client.to_string(), origin.scheme, origin.host.map(|host| host.to_str().expect("text").to_owned()))
    };
    let list = |host: bool| Field::XForwardedFor { host };
    assert_eq!(read(Field::default(), &both), ("1.1.1.1".to_owned(), Some("https"), None));
    assert_eq!(read(list(true), &both), ("1.1.1.1".to_owned(), Some("https"), Some("a.test".to_owned())));
    assert_eq!(read(Field::Forwarded, &both), ("2.2.2.2".to_owned(), Some("http"), Some("b.test".to_owned())));
    // Alone, it is as good as nothing.
    let element = map(&[(&headers::FORWARDED, b"for=6.6.6.6;proto=http;host=b.test")]);
    assert_eq!(read(list(true), &element), ("10.0.0.1".to_owned(), None, None));
    let told =
        map(&[(&headers::X_FORWARDED_FOR, b"6.6.6.6"), (&headers::X_FORWARDED_PROTO, b"http"), (&headers::X_FORWARDED_HOST, b"b.test")]);
    assert_eq!(read(Field::Forwarded, &told), ("10.0.0.1".to_owned(), None, None));
}

#[test]
fn scheme_and_host_are_believed_where_they_are_lawful() {
    let origin = |field: Field, lines: &[(&HeaderName, &[u8])]| {
        let origin = proxies().that_write(field).read(ip("10.0.0.1"), &map(lines)).1;
        (origin.scheme, origin.host.map(|host| host.to_str().expect("text").to_owned()))
    };
    let (proto, host, forwarded) = (&headers::X_FORWARDED_PROTO, &headers::X_FORWARDED_HOST, &headers::FORWARDED);
    let (list, a) = (Field::XForwardedFor { host: true }, Some("a.test".to_owned()));
    assert_eq!(origin(list, &[(proto, b"HTTPS"), (host, b"a.test")]), (Some("https"), a.clone()));
    assert_eq!(origin(Field::default(), &[(proto, b"HTTPS"), (host, b"a.test")]), (Some("https"), None));
    assert_eq!(origin(Field::Forwarded, &[(forwarded, b"for=1.1.1.1;proto=http;host=\"a.test\"")]), (Some("http"), a));
    for (field, lines) in [
        (list, &[(proto, &b"ftp"[..]), (host, b"a b")][..]),
        (list, &[(proto, b"https, http"), (host, b"a.test, b.test")]),
        (list, &[(proto, b"http"), (proto, b"http"), (host, b"a.test"), (host, b"a.test")]),
        (Field::Forwarded, &[(forwarded, b"for=1.1.1.1;proto=wss;host=\"a/b\"")]),
        // It is the client's own element that counts.
        (Field::Forwarded, &[(forwarded, b"proto=http;host=b.test, for=1.1.1.1")]),
        (Field::Forwarded, &[(forwarded, b"for=1.1.1.1;proto=http;host=b.test, for=unknown")]),
    ] {
        assert_eq!(origin(field, lines), (None, None), "{lines:?}");
    }
}

#[test]
fn an_address_is_written_as_it_reads() {
    for address in ["1.2.3.4", "255.255.255.255", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:255.255.255.255", "::"]
    {
        assert_eq!(text(ip(address)).expect("a value"), address);
    }
}

#[test]
fn an_identity_is_a_dns_name_or_a_uri_and_not_one_for_the_other() {
    let list = PeerList::new(vec![
        SanPattern::parse("dns:lb.demo").expect("pattern"),
        SanPattern::parse("uri:spiffe://demo/lb").expect("pattern"),
    ]);
    let peer = |dns: &[&str], uris: &[&str]| crate::connection::PeerIdentity {
        names: dns.iter().chain(uris).map(|name| (*name).to_owned()).collect(),
        dns: dns.len(),
        fingerprint: [0; 32],
    };
    assert!(list.allows_peer(&peer(&["LB.demo"], &[])));
    assert!(list.allows_peer(&peer(&["x"], &["spiffe://demo/lb"])));
    for stranger in [peer(&[], &["lb.demo"]), peer(&["spiffe://demo/lb"], &[]), peer(&[], &[])] {
        assert!(!list.allows_peer(&stranger), "{stranger:?}");
    }
}

/// Pieces of the grammar, well-formed and not.
const PIECES: &str = "((for|by|proto|host|x)=|\"|\\\\|,|;|=| |6\\.6\\.6\\.6|\\[fd00::1\\]|\\[|\\]|:80|unknown|_x|\u{ff}){0,16}";

proptest! {
    #[test]
    fn no_field_panics(one: Vec<u8>, other in PIECES, peer: [u8; 4]) {
        for value in [one.as_slice(), other.as_bytes()] {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            for name in [&headers::FORWARDED, &headers::X_FORWARDED_FOR, &headers::X_FORWARDED_HOST, &headers::X_FORWARDED_PROTO] {
                let map = HeaderMap::from_iter([(name.clone(), value.clone())]);
                for field in [Field::Forwarded, Field::XForwardedFor { host: true }] {
                    let _ = proxies().that_write(field).read(peer.into(), &map);
                }
            }
        }
    }

    /// Whatever a stranger wrote before it, what the believed proxy appended says who the stranger is.
    #[test]
    fn a_stranger_s_word_never_counts(stranger in PIECES, list in "[0-9., :\\[\\]a-z]{0,24}", quoted: bool) {
        let element = if quoted { "for=\"1.1.1.1:80\";by=\"[fd00::1]\"" } else { "for=1.1.1.1" };
        for (field, value) in [
            (&headers::FORWARDED, format!("{stranger},{element}")),
            (&headers::X_FORWARDED_FOR, format!("{list},1.1.1.1")),
        ] {
            prop_assert_eq!(by(field, &value), ip("1.1.1.1"), "{}", value);
            // In a line of its own too.
            let (before, behind) = value.rsplit_once(if quoted && field == headers::FORWARDED { ",for" } else { "," }).expect("two");
            let behind = if quoted && field == headers::FORWARDED { format!("for{behind}") } else { behind.to_owned() };
            let lines = map(&[(field, before.as_bytes()), (field, behind.as_bytes())]);
            prop_assert_eq!(client(field, &lines), ip("1.1.1.1"));
        }
    }

    /// What is well-formed is read to the last of its elements, whatever is quoted in it.
    #[test]
    fn well_formed_elements_are_told_apart(values in proptest::collection::vec("[ -~]{0,8}", 1..6)) {
        let quote = |text: &String| text.replace('\\', "\\\\").replace('"', "\\\"");
        let line: Vec<String> = values.iter().map(|value| format!("x=\"{}\";for=10.0.0.9", quote(value))).collect();
        let line = line.join(" , ");
        let read: Vec<_> = element::from_the_right(line.as_bytes()).map(Element::read).collect();
        prop_assert_eq!(read.len(), values.len());
        prop_assert!(read.iter().all(|element| element.as_ref().is_some_and(|element| element.address() == Some(ip("10.0.0.9")))), "{}", line);
    }
}
