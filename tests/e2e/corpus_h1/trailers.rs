//! Trailer sections: fields that may not stand there (RFC 9110 §6.5.1), and malformed ones.

use crate::corpus_h1::case::{Case, Family, case, chunked, framing, lawful, post, refused};

pub(super) fn family() -> Family {
    let mut hostile: Vec<Case> = FORBIDDEN.iter().map(|field| of(&format!("{field} in a trailer"), &format!("{field}\r\n"))).collect();
    hostile.extend(malformed());
    Family {
        name: "trailers",
        hostile,
        lawful: vec![
            lawful("a trailer", chunked("2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")),
            lawful(
                "a trailer that was announced",
                post("Trailer: x-sum\r\nTransfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"),
            ),
            lawful("two trailers, one empty", chunked("0\r\nA:\r\nGrpc-Status: 0\r\n\r\n")),
        ],
    }
}

const FORBIDDEN: [&str; 24] = [
    "Content-Length: 5",
    "content-length: 0",
    "Content_Length: 5",
    "Transfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "Host: evil.test",
    "X-Gw-Subject: root",
    "X-GW-ASSERTION: x",
    "x_gw_subject: root",
    "x-gw_scopes: all",
    "Authorization: Bearer x",
    "Cookie: a=b",
    "Connection: close",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: trailers",
    "Trailer: x",
    "Forwarded: for=1.1.1.1",
    "X-Forwarded-For: 1.1.1.1",
    "X_Forwarded_For: 1.1.1.1",
    "X-Real-IP: 1.1.1.1",
    "X-Request-Id: 1",
    "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Content-Type: text/html",
];

fn of(name: &str, section: &str) -> Case {
    case(name, chunked(format!("2\r\nok\r\n0\r\n{section}\r\n")), framing("trailer-malformed"))
}

fn malformed() -> Vec<Case> {
    let large = refused(&[431], "head-too-large", "trailer-too-large");
    vec![
        of("a bare LF in a trailer", "A: b\nC: d\r\n"),
        of("a bare LF behind the trailers", "A: b\r\n\n"),
        of("a bare CR in a trailer", "A: b\rC: d\r\n"),
        of("two CR behind a trailer", "A: b\r\r\n"),
        of("a trailer that is folded", "A: b\r\n c\r\n"),
        of("a space before the first trailer", " A: b\r\n"),
        of("a space before the colon", "A : b\r\n"),
        of("no colon", "A\r\n"),
        of("no name", ": b\r\n"),
        of("a parenthesis in the name", "A(: b\r\n"),
        of("a NUL in the value", "A: b\0\r\n"),
        of("a NUL in the name", "A\0: b\r\n"),
        of("a request for a trailer", "GET /orders/2 HTTP/1.1\r\n"),
        case("no empty line behind the last chunk, and the next request", chunked("2\r\nok\r\n0\r\n"), framing("trailer-malformed")),
        case("a trailer that is too long", chunked(format!("0\r\nA: {}\r\n\r\n", "x".repeat(4096))), large),
        case("trailers that are too many", chunked(format!("0\r\n{}\r\n", "A: b\r\n".repeat(101))), large),
    ]
}
