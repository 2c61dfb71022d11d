//! `Connection`, `Expect` and `Upgrade`: fields that could take the meaning of others away.

use crate::corpus_h1::case::{Case, Family, Verdict, case, cat, framing, framing_behind, get, lawful, post};

pub(super) fn family() -> Family {
    let mut hostile = connection();
    hostile.extend(expectations());
    hostile.extend(upgrades());
    Family {
        name: "options",
        hostile,
        lawful: vec![
            lawful("fields that are of this connection alone", get("Connection: keep-alive, x-mine\r\nX-Mine: a\r\nKeep-Alive: 5\r\n")),
            lawful("the credential cannot be named away", get("Connection: authorization, cookie\r\n")),
            lawful("fields of ours cannot be named away", get("Connection: x-gw-assertion, x-request-id, x-forwarded-for\r\n")),
            lawful("an empty option", get("Connection: , keep-alive,\r\n")),
            case(
                "an expectation",
                post("Expect: 100-continue\r\nContent-Length: 2\r\n", "ok"),
                Verdict { statuses: &[100, 200], told: None, reason: None, served: 1 },
            ),
            lawful(
                "an upgrade that nobody grants",
                get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"),
            ),
            lawful("an upgrade of a body that nobody grants", post("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", "ok")),
            lawful("an upgrade that no option names", get("Upgrade: websocket\r\n")),
            lawful("an option that no upgrade follows", get("Connection: upgrade\r\n")),
        ],
    }
}

fn connection() -> Vec<Case> {
    let malformed = framing("connection-malformed");
    let of = |name: &str, value: &[u8]| case(name, post(cat(&[b"Connection: ", value, b"\r\nContent-Length: 2\r\n"]), "ok"), malformed);
    vec![
        of("the length named as of this connection", b"content-length"),
        of("the length named in capitals", b"Content-Length"),
        of("the length named behind another", b"keep-alive, content-length"),
        of("the length named before another", b"content-length,close"),
        of("the host named as of this connection", b"host"),
        of("the encoding named as of this connection", b"transfer-encoding"),
        of("the option named as of this connection", b"close, host"),
        of("two words for one option", b"keep alive"),
        of("an option in quotes", b"\"close\""),
        of("an option with a parameter", b"close;x=y"),
        of("an option with a value", b"x=y"),
        of("an option beyond ASCII", "cl\u{f6}se".as_bytes()),
        of("an option with a slash", b"a/b"),
        case(
            "the length named on a second line",
            post("Connection: keep-alive\r\nConnection: content-length\r\nContent-Length: 2\r\n", "ok"),
            malformed,
        ),
        case(
            "the encoding named beside it",
            post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
            malformed,
        ),
    ]
}

fn expectations() -> Vec<Case> {
    let refused = framing("expect-refused");
    let of = |name: &str, fields: &str| case(name, post(format!("{fields}Content-Length: 2\r\n"), "ok"), refused);
    vec![
        of("an expectation that does not exist", "Expect: 200-ok\r\n"),
        of("an empty expectation", "Expect:\r\n"),
        of("two expectations in a list", "Expect: 100-continue, 100-continue\r\n"),
        of("two expectations on two lines", "Expect: 100-continue\r\nExpect: 100-continue\r\n"),
        of("an expectation with a parameter", "Expect: 100-continue;x=y\r\n"),
        of("an expectation with a word behind it", "Expect: 100-continue x\r\n"),
        of("an expectation in quotes", "Expect: \"100-continue\"\r\n"),
        of("a letter before the expectation", "Expect: y100-continue\r\n"),
        of("a number alone", "Expect: 100\r\n"),
    ]
}

/// What stands behind a request that asks for another protocol is HTTP as long as nobody has granted it.
fn upgrades() -> Vec<Case> {
    let h2c = "GET /orders/1 HTTP/1.1\r\n{front}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let version = Verdict { statuses: &[200, 505], told: Some("version-not-supported"), reason: Some("version-refused"), served: 1 };
    vec![
        case("the preface of HTTP/2 behind an upgrade that nobody grants", format!("{h2c}{preface}"), version),
        case(
            "frames behind an upgrade that nobody grants",
            cat(&[h2c.as_bytes(), b"\0\0\0\x04\0\0\0\0\0"]),
            framing_behind("control-character"),
        ),
        case(
            "frames behind an upgrade that no option names",
            cat(&[b"GET /orders/1 HTTP/1.1\r\n{front}Upgrade: websocket\r\n\r\n", b"\x81\x80\0\0\0\0"]),
            framing_behind("request-line-malformed"),
        ),
    ]
}
