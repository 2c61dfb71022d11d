//! What stands behind a request: the rest of a body that is longer than it says, garbage, the end, and long pipelines.

use crate::corpus_h1::case::{Family, Verdict, case, cat, cut, framing, framing_behind, get, lawful, post};

const FRONT: &str = "GET /orders/1 HTTP/1.1\r\n{front}\r\n";

pub(super) fn family() -> Family {
    let form = framing_behind("request-line-malformed");
    let behind = |name: &str, bytes: &[u8], verdict| case(name, cat(&[FRONT.as_bytes(), bytes]), verdict);
    let last = Verdict { statuses: &[200], told: None, reason: Some("data-after-end"), served: 1 };
    let truncated = Verdict { statuses: &[], told: None, reason: Some("head-truncated"), served: 0 };
    let front_post = |fields: &str, body: &str| format!("POST /orders/1 HTTP/1.1\r\n{{front}}{fields}\r\n{body}");
    Family {
        name: "sequences",
        hostile: vec![
            case("a body longer than its length", front_post("Content-Length: 2\r\n", "ok, and more"), form),
            case("a body longer by a line ending and a word", front_post("Content-Length: 2\r\n", "ok\r\nmore\r\n"), form),
            case("a body longer by two line endings", front_post("Content-Length: 2\r\n", "ok\r\n\r\n"), form),
            case("a body that nothing announces", front_post("", "{\"a\":1}"), form),
            case("a body behind a GET that nothing announces", cat(&[FRONT.as_bytes(), b"a=1&b=2 "]), form),
            case("data behind the last chunk", front_post("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n, and more"), form),
            case(
                "a chunk behind the last chunk",
                front_post("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
                form,
            ),
            behind("two empty lines behind a request", b"\r\n\r\n", form),
            behind("a space behind a request", b" ", form),
            behind("a NUL behind a request", b"\0", framing_behind("control-character")),
            behind("an LF behind a request", b"\n", framing_behind("bare-lf")),
            behind("a field behind a request", b"X: y\r\n\r\n", form),
            behind("an answer behind a request", b"HTTP/1.1 200 OK\r\n\r\n", form),
            behind(
                "both lengths behind a request",
                &post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                framing_behind("both-lengths"),
            ),
            case(
                "a bad request behind three good ones",
                cat(&[FRONT.repeat(3).as_bytes(), b"GET /orders/1 HTTP/1.1\n{ours}\r\n"]),
                Verdict { statuses: &[200, 200, 200, 400], served: 3, ..framing("bare-lf") },
            ),
            case("a request behind the last one", "GET /orders/1 HTTP/1.1\r\nConnection: close\r\n{front}\r\n", last),
            case(
                "a request behind the last one of several options",
                "GET /orders/1 HTTP/1.1\r\nConnection: keep-alive, close\r\n{front}\r\n",
                last,
            ),
            case("a request behind one of HTTP/1.0", "GET /orders/1 HTTP/1.0\r\n{front}\r\n", last),
            case("garbage behind the last request", "GET /orders/1 HTTP/1.1\r\nConnection: close\r\n{front}\r\n\0\x01\x02", last),
            case("a request behind the body of the last one", front_post("Connection: close\r\nContent-Length: 2\r\n", "ok"), last),
            cut("the end within a method", "GE", truncated),
            cut("the end within a target", "GET /ord", truncated),
            cut("the end behind the first line", "GET /orders/1 HTTP/1.1\r\n", truncated),
            cut("the end within a field", "GET /orders/1 HTTP/1.1\r\n{host}Author", truncated),
            cut("the end before the empty line", "GET /orders/1 HTTP/1.1\r\n{ours}", truncated),
            cut("the end within the empty line", "GET /orders/1 HTTP/1.1\r\n{ours}\r", truncated),
        ],
        lawful: vec![
            lawful("a request behind another", get("")),
            lawful("an empty line behind a body", post("Content-Length: 2\r\n", "ok\r\n")),
            lawful("the length of a body to the octet", post("Content-Length: 4\r\n", "ok\r\n")),
            case("a long pipeline", FRONT.repeat(40), Verdict { statuses: &[200; 40], told: None, reason: None, served: 40 }),
        ],
    }
}
