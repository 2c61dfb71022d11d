//! Where lines end and what may stand in them: bare CR and LF, folding, control characters.

use crate::corpus_h1::case::{Case, Family, case, cat, framing, get, lawful, line, target};

pub(super) fn family() -> Family {
    let mut hostile = bare_lf();
    hostile.extend(bare_cr());
    hostile.extend(folded());
    hostile.extend(control_characters());
    Family {
        name: "lines",
        hostile,
        lawful: vec![
            lawful("one empty line before the request", cat(&[b"\r\n", &get("")])),
            lawful("a tab within a value", get("X: a\tb\r\n")),
            lawful("white space around a value", get("X: \t a \t\r\n")),
            lawful("an empty value", get("X:\r\n")),
            lawful("octets above ASCII within a value", get("X: \u{e9}\u{fffd}\r\n")),
            lawful("what looks like a line ending", get("X: a\\r\\nY: b%0d%0aZ: c\r\n")),
        ],
    }
}

fn bare_lf() -> Vec<Case> {
    let bare = framing("bare-lf");
    vec![
        case("LF behind the first line", "GET /orders/1 HTTP/1.1\n{ours}\r\n", bare),
        case("LF everywhere", "GET /orders/1 HTTP/1.1\nHost: localhost:{port}\nX: y\n\n", bare),
        case("LF behind a field", get("X: y\n"), bare),
        case("LF hides a field of ours", get("X: y\nX-Gw-Subject: root\r\n"), bare),
        case("LF hides a length", get("X: y\nContent-Length: 500\r\n"), bare),
        case("LF for the empty line", "GET /orders/1 HTTP/1.1\r\n{ours}\n", bare),
        case("two LF end the head", "GET /orders/1 HTTP/1.1\r\n{ours}X: y\n\n", bare),
        case("LF in a value", get("X: a\nb\r\n"), bare),
        case("LF first in a value", get("X:\n b\r\n"), bare),
        case("LF in a name", get("X\nY: b\r\n"), bare),
        case("LF between name and colon", get("X\n: b\r\n"), bare),
        case("LF before a name", get("\nX: b\r\n"), bare),
        case("LF before the request", cat(&[b"\n", &get("")]), bare),
        case("LF behind the forgiven empty line", cat(&[b"\r\n\n", &get("")]), bare),
        case("LF in the method", line("GE\nT /orders/1 HTTP/1.1"), bare),
        case("LF behind the method", line("GET\n/orders/1 HTTP/1.1"), bare),
        case("LF in the target", line("GET /orders\n/1 HTTP/1.1"), bare),
        case("LF behind the target", line("GET /orders/1\nHTTP/1.1"), bare),
        case("LF in the version", line("GET /orders/1 HTTP/\n1.1"), bare),
    ]
}

fn bare_cr() -> Vec<Case> {
    let bare = framing("bare-cr");
    let first = framing("request-line-malformed");
    vec![
        case("CR behind the first line", "GET /orders/1 HTTP/1.1\r{ours}\r\n", bare),
        case("CR everywhere", "GET /orders/1 HTTP/1.1\rHost: localhost:{port}\r\r", bare),
        case("CR behind a field", get("X: y\r"), bare),
        case("CR hides a field", get("X: y\rX-Gw-Subject: root\r\n"), bare),
        case("CR in a value", get("X: a\rb\r\n"), bare),
        case("CR first in a value", get("X:\r b\r\n"), bare),
        case("two CR behind a value", get("X: a\r\r\n"), bare),
        case("CR before a name", get("\rX: b\r\n"), bare),
        case("two CR in the empty line", "GET /orders/1 HTTP/1.1\r\n{ours}\r\r\n", bare),
        case("CR for the empty line", "GET /orders/1 HTTP/1.1\r\n{ours}\r", bare),
        case("two CR behind the first line", line("GET /orders/1 HTTP/1.1\r"), bare),
        case("CR in a name", get("X\rY: b\r\n"), framing("header-name-malformed")),
        case("CR between name and colon", get("X\r: b\r\n"), framing("header-name-malformed")),
        case("CR before the request", cat(&[b"\r", &get("")]), first),
        case("CR in the method", line("GE\rT /orders/1 HTTP/1.1"), first),
        case("CR behind the method", line("GET\r/orders/1 HTTP/1.1"), first),
        case("CR in the target", line("GET /orders\r/1 HTTP/1.1"), first),
        case("CR behind the target", line("GET /orders/1\rHTTP/1.1"), first),
        case("CR in the version", line("GET /orders/1 HTTP/\r1.1"), bare),
        case("two empty lines before the request", cat(&[b"\r\n\r\n", &get("")]), first),
    ]
}

fn folded() -> Vec<Case> {
    let fold = framing("obs-fold");
    vec![
        case("a value folded with a space", get("X: a\r\n b\r\n"), fold),
        case("a value folded with a tab", get("X: a\r\n\tb\r\n"), fold),
        case("a value that begins folded", get("X:\r\n b\r\n"), fold),
        case("a name behind a space", get(" X: b\r\n"), fold),
        case("a host that is folded", "GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n :{port}\r\n{auth}\r\n", fold),
        case("the first field behind a space", "GET /orders/1 HTTP/1.1\r\n {ours}\r\n", fold),
        case("a line of one space", get(" \r\n"), fold),
        case("a line of one tab", get("\t\r\n"), fold),
        case("a field of ours that is folded", get("X: a\r\n X-Gw-Subject: root\r\n"), fold),
        case("a length that hides in a fold", get("X: a\r\n Content-Length: 500\r\n"), fold),
    ]
}

/// NUL and every other control character but those that have families of their own, in each place.
fn control_characters() -> Vec<Case> {
    let control = framing("control-character");
    let odd = (0..0x20_u8).filter(|octet| !b"\t\r\n".contains(octet)).chain([0x7f]);
    odd.flat_map(|octet| {
        let name = |place: &str| format!("octet {octet:#04x} in {place}");
        [
            case(name("a value"), get(cat(&[b"X: a", &[octet], b"b\r\n"])), control),
            case(name("a name"), get(cat(&[b"X", &[octet], b"Y: b\r\n"])), control),
            case(name("the target"), target(cat(&[b"/orders/1", &[octet]])), control),
        ]
    })
    .chain([
        case("NUL in the method", line("GE\0T /orders/1 HTTP/1.1"), control),
        case("NUL in the version", line("GET /orders/1 HTTP/1.1\0"), control),
        case("NUL before the request", cat(&[b"\0", &get("")]), control),
        case("escape in the method", line("\x1bGET /orders/1 HTTP/1.1"), control),
    ])
    .collect()
}
