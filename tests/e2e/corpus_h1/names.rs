//! Field names that are none (RFC 9110 §5.1), and names that a reader takes for others.

use crate::corpus_h1::case::{Case, Family, case, cat, framing, get, lawful};

pub(super) fn family() -> Family {
    let space = framing("space-before-colon");
    let malformed = framing("header-name-malformed");
    let mut hostile = vec![
        case("a space before the colon", get("X : a\r\n"), space),
        case("two spaces before the colon", get("X  : a\r\n"), space),
        case("a tab before the colon", get("X\t: a\r\n"), space),
        case("a space before the colon of a field of ours", get("X-Gw-Subject : root\r\n"), space),
        case("a space within a name", get("X Y: a\r\n"), space),
        case("a space before the colon of the host", "GET /orders/1 HTTP/1.1\r\nHost : localhost:{port}\r\n{auth}\r\n", space),
        case("a name of nothing", get(": a\r\n"), malformed),
        case("a colon alone", get(":\r\n"), malformed),
        case("no colon", get("X\r\n"), malformed),
        case("an equals sign for the colon", get("X=a\r\n"), malformed),
        case("a second request line", get("GET /orders/2 HTTP/1.1\r\n"), space),
        case("a name beyond ASCII", get("X\u{e9}: a\r\n"), malformed),
        case("a name that begins beyond ASCII", get("\u{e9}X: a\r\n"), malformed),
        case("a byte order mark before the name", get("\u{feff}X: a\r\n"), malformed),
        case("a no-break space behind the name", get(b"X\xa0: a\r\n"), malformed),
        case("a full-width colon", get("X\u{ff1a} a\r\n"), malformed),
        case("an HTTP/2 pseudo-header", get(":path: /orders/2\r\n"), malformed),
        case("an HTTP/2 authority", get(":authority: evil.test\r\n"), malformed),
    ];
    hostile.extend(separators());
    Family {
        name: "names",
        hostile,
        lawful: vec![
            lawful("every character that a name may have", get("X!#$%&'*+-.^_`|~09azAZ: a\r\n")),
            lawful("a colon within a value", get("X: a:b : c\r\n")),
            lawful("a name of one letter, no space behind its colon", get("x:a\r\n")),
            lawful("a reserved name, which is taken out", get("X-Gw-Subject: root\r\nx_gw_subject: root\r\n")),
        ],
    }
}

/// What divides tokens may not stand in one (RFC 9110 §5.6.2).
fn separators() -> Vec<Case> {
    let of = |octet: u8| {
        let name = format!("{} within a name", char::from(octet));
        case(name, get(cat(&[b"X", &[octet], b"Y: a\r\n"])), framing("header-name-malformed"))
    };
    b"\"(),/;<=>?@[\\]{}".iter().copied().map(of).collect()
}
