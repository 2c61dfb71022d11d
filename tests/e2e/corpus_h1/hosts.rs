//! `Host`: missing, repeated, malformed, and against the authority of an absolute-form target (RFC 9112 §3.2).

use crate::corpus_h1::case::{Case, Family, case, cat, door, framing, get, lawful, line, refused};

pub(super) fn family() -> Family {
    let mut hostile = counted();
    hostile.extend(malformed());
    hostile.extend(against_the_target());
    Family {
        name: "hosts",
        hostile,
        lawful: vec![
            lawful("a name and a port", get("")),
            lawful("a name alone", with("Host: localhost\r\n")),
            lawful("a name in capitals", with("HOST:LOCALHOST:{port}\r\n")),
            lawful("a name like the field's", get("X-Host: evil.test\r\n")),
            lawful("an absolute target of the same host", absolute("http://localhost:{port}/orders/1", "{host}")),
            lawful("an absolute target in capitals", absolute("HTTPS://LOCALHOST:{port}/orders/1", "{host}")),
            lawful("HTTP/1.0 with a host", "GET /orders/1 HTTP/1.0\r\nConnection: keep-alive\r\n{ours}\r\n"),
        ],
    }
}

fn with(host: impl AsRef<[u8]>) -> Vec<u8> {
    cat(&[b"GET /orders/1 HTTP/1.1\r\n", host.as_ref(), b"{auth}\r\n"])
}

fn absolute(target: &str, host: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{host}{{auth}}\r\n").into_bytes()
}

fn counted() -> Vec<Case> {
    let missing = refused(&[400], "host-missing", "host-missing");
    let duplicate = refused(&[400], "host-malformed", "host-duplicate");
    vec![
        case("no host", with(""), missing),
        case("no host, and an absolute target", absolute("http://localhost:{port}/orders/1", ""), missing),
        case("another field that ends in host", with("X-Host: localhost:{port}\r\n"), missing),
        case("no host on HTTP/1.0", "GET /orders/1 HTTP/1.0\r\nConnection: keep-alive\r\n{auth}\r\n", door(&[400], "host-missing")),
        case("two equal hosts", with("Host: localhost:{port}\r\nHost: localhost:{port}\r\n"), duplicate),
        case("two hosts", with("Host: localhost:{port}\r\nHost: evil.test\r\n"), duplicate),
        case("two hosts, the other first", with("Host: evil.test\r\nHost: localhost:{port}\r\n"), duplicate),
        case("two hosts in two cases", with("Host: localhost:{port}\r\nhOST: localhost:{port}\r\n"), duplicate),
        case("a host and an empty one", with("Host: localhost:{port}\r\nHost:\r\n"), duplicate),
        case("two hosts, far apart", get(format!("{}Host: evil.test\r\n", "X: y\r\n".repeat(50))), duplicate),
        case("two hosts on HTTP/1.0", line("GET /orders/1 HTTP/1.0\r\nHost: evil.test"), duplicate),
    ]
}

fn malformed() -> Vec<Case> {
    let of =
        |name: &str, host: &[u8]| case(name, with(cat(&[b"Host: ", host, b"\r\n"])), refused(&[400], "host-malformed", "host-malformed"));
    let long = [b'a'; 300];
    vec![
        of("an empty host", b""),
        of("a host of white space", b" \t "),
        of("a user before the host", b"user@localhost"),
        of("a user and a password before the host", b"user:secret@localhost"),
        of("a host behind another", b"evil.test@localhost:{port}"),
        of("a path behind the host", b"localhost/orders"),
        of("a slash behind the host", b"localhost:{port}/"),
        of("a query behind the host", b"localhost?x=y"),
        of("a fragment behind the host", b"localhost#x"),
        of("a backslash behind the host", b"localhost\\evil.test"),
        of("a scheme before the host", b"http://localhost"),
        of("two hosts in a list", b"localhost, evil.test"),
        of("two hosts without a space", b"localhost,evil.test"),
        of("two hosts and a space", b"localhost evil.test"),
        of("two hosts and a tab", b"localhost\tevil.test"),
        of("an escape in the host", b"localhos%74"),
        of("a percent sign in the host", b"localhost%00"),
        of("a host beyond ASCII", "l\u{f6}calhost".as_bytes()),
        of("an asterisk", b"*"),
        of("a host in quotes", b"\"localhost\""),
        of("a dot alone", b"."),
        of("a dot first", b".localhost"),
        of("two dots", b"evil..test"),
        of("two dots last", b"localhost.."),
        of("a host that is too long", &long),
        of("an empty port", b"localhost:"),
        of("port zero", b"localhost:0"),
        of("a port over 16 bits", b"localhost:65536"),
        of("a port of six digits", b"localhost:000443"),
        of("a port that overflows", b"localhost:4294967739"),
        of("a negative port", b"localhost:-1"),
        of("a port with a plus sign", b"localhost:+443"),
        of("a hexadecimal port", b"localhost:0x1bb"),
        of("a port of letters", b"localhost:https"),
        of("two ports", b"localhost:443:80"),
        of("a port and a path", b"localhost:443/x"),
        of("a space before the port", b"localhost: 443"),
        of("a port alone", b":443"),
        of("an IPv6 address without brackets", b"::1"),
        of("an IPv6 address whose bracket stays open", b"[::1"),
        of("an IPv6 address whose bracket was not opened", b"::1]"),
        of("empty brackets", b"[]"),
        of("a name in brackets", b"[localhost]"),
        of("an IPv4 address in brackets", b"[127.0.0.1]"),
        of("an IPv6 address with a zone", b"[fe80::1%25eth0]"),
        of("a future address", b"[v1.x]"),
        of("a name behind the brackets", b"[::1]localhost"),
        of("an empty port behind the brackets", b"[::1]:"),
        of("an IPv6 address that is too long", b"[1:2:3:4:5:6:7:8:9]"),
        case("a NUL in the host", with("Host: local\0host\r\n"), framing("control-character")),
    ]
}

fn against_the_target() -> Vec<Case> {
    let mismatch = refused(&[400], "host-mismatch", "host-mismatch");
    let malformed = refused(&[400], "host-malformed", "host-malformed");
    let form = framing("request-line-malformed");
    let of = |name: &str, target: &str, verdict| case(name, absolute(target, "{host}"), verdict);
    vec![
        of("another host in the target", "http://evil.test/orders/1", mismatch),
        of("another port in the target", "http://localhost:1/orders/1", mismatch),
        of("no port in the target", "http://localhost/orders/1", mismatch),
        of("a dot behind the host in the target", "http://localhost.:{port}/orders/1", mismatch),
        case("no port in the host", absolute("http://localhost:{port}/orders/1", "Host: localhost\r\n"), mismatch),
        case("an empty host beside an absolute target", absolute("http://localhost:{port}/orders/1", "Host:\r\n"), malformed),
        of("a user in the target", "http://user@localhost:{port}/orders/1", malformed),
        of("a user and a password in the target", "http://user:secret@localhost:{port}/orders/1", malformed),
        of("no authority in the target", "http:///orders/1", malformed),
        of("an empty port in the target", "http://localhost:/orders/1", malformed),
        of("port zero in the target", "http://localhost:0/orders/1", malformed),
        of("a port over 16 bits in the target", "http://localhost:65536/orders/1", malformed),
        of("a backslash in the target's authority", "http://localhost:{port}\\evil.test/orders/1", malformed),
        of("an open bracket in the target", "http://[::1/orders/1", malformed),
        of("one slash behind the scheme", "http:/localhost:{port}/orders/1", form),
        of("no slash behind the scheme", "http:localhost:{port}/orders/1", form),
        of("a scheme alone", "http://", malformed),
        of("FTP", "ftp://localhost:{port}/orders/1", form),
        of("a WebSocket scheme", "ws://localhost:{port}/orders/1", form),
        of("a file", "file:///orders/1", form),
        of("a script", "javascript:alert(1)", form),
        of("a fragment in an absolute target", "http://localhost:{port}/orders/1#x", form),
        of("a fragment instead of a path", "http://localhost:{port}#x", form),
        of("a query instead of a path", "http://localhost:{port}?x", form),
        case("an absolute target without a path for OPTIONS", "OPTIONS http://localhost:{port} HTTP/1.1\r\n{ours}\r\n", form),
    ]
}
