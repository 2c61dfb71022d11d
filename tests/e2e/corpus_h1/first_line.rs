//! The first line: methods, versions, and the spaces between its parts (RFC 9112 §3).

use crate::corpus_h1::case::{Case, Family, answered, case, cat, framing, lawful, line, refused};

pub(super) fn family() -> Family {
    let mut hostile = versions();
    hostile.extend(spaces());
    hostile.extend(methods());
    Family {
        name: "first line",
        hostile,
        lawful: vec![
            lawful("HTTP/1.1", line("GET /orders/1 HTTP/1.1")),
            lawful("HTTP/1.0 that is kept alive", line("GET /orders/1 HTTP/1.0\r\nConnection: keep-alive")),
            lawful("HEAD", line("HEAD /orders/1 HTTP/1.1")),
            lawful("a method that is made up, where any may come", line("M-SEARCH /public/1 HTTP/1.1")),
            answered("a request to see what an instance got", line("TRACE /public/1 HTTP/1.1"), &[501], "method-not-supported"),
            answered("a method in lower case is none to the gateway", line("get /orders/1 HTTP/1.1"), &[501], "method-not-supported"),
        ],
    }
}

fn versions() -> Vec<Case> {
    let version = refused(&[505], "version-not-supported", "version-refused");
    let form = framing("request-line-malformed");
    let of = |name: &str, text: &str, verdict| case(name, line(format!("GET /orders/1 {text}")), verdict);
    vec![
        of("HTTP/2.0", "HTTP/2.0", version),
        of("HTTP/2", "HTTP/2", version),
        of("HTTP/3.0", "HTTP/3.0", version),
        of("HTTP/1.2", "HTTP/1.2", version),
        of("HTTP/1.10", "HTTP/1.10", version),
        of("HTTP/1.01", "HTTP/1.01", version),
        of("HTTP/01.1", "HTTP/01.1", version),
        of("HTTP/0.9", "HTTP/0.9", version),
        of("HTTP/9.9", "HTTP/9.9", version),
        of("HTTP/11", "HTTP/11", version),
        of("HTTP/1", "HTTP/1", version),
        of("no minor version", "HTTP/1.", version),
        of("no major version", "HTTP/.1", version),
        of("no version", "HTTP/", form),
        of("no slash", "HTTP1.1", form),
        of("a version in lower case", "http/1.1", form),
        of("a version in mixed case", "Http/1.1", form),
        of("a space behind the version", "HTTP/1.1 ", form),
        of("a tab behind the version", "HTTP/1.1\t", form),
        of("a word behind the version", "HTTP/1.1 x", form),
        of("two versions", "HTTP/1.1 HTTP/1.1", form),
        of("a space within the version", "HTTP/ 1.1", form),
        of("a space before the slash", "HTTP /1.1", form),
        of("another protocol", "HTTPS/1.1", form),
        of("a letter before the protocol", "XHTTP/1.1", form),
        of("a sign in the version", "HTTP/+1.1", form),
        of("a comma in the version", "HTTP/1,1", form),
        of("a parameter behind the version", "HTTP/1.1;x", form),
        of("a version without end", &format!("HTTP/1.{}", "1".repeat(100)), form),
        of("ICAP", "ICAP/1.0", form),
        of("RTSP", "RTSP/1.0", form),
        case("HTTP/0.9, which has no version", line("GET /orders/1"), form),
        case("HTTP/0.9 with a space at its end", line("GET /orders/1 "), form),
        case("HTTP/0.9 alone", "GET /orders/1\r\n", form),
    ]
}

fn spaces() -> Vec<Case> {
    let form = framing("request-line-malformed");
    let of = |name: &str, first: &[u8]| case(name, line(first), form);
    vec![
        of("two spaces behind the method", b"GET  /orders/1 HTTP/1.1"),
        of("two spaces behind the target", b"GET /orders/1  HTTP/1.1"),
        of("a tab behind the method", b"GET\t/orders/1 HTTP/1.1"),
        of("a tab behind the target", b"GET /orders/1\tHTTP/1.1"),
        of("a space before the method", b" GET /orders/1 HTTP/1.1"),
        of("a tab before the method", b"\tGET /orders/1 HTTP/1.1"),
        of("a no-break space behind the method", b"GET\xa0/orders/1 HTTP/1.1"),
        of("a no-break space behind the target", b"GET /orders/1\xa0HTTP/1.1"),
        of("a space within the target", b"GET /orders/1 x HTTP/1.1"),
        of("no space behind the method", b"GET/orders/1 HTTP/1.1"),
        of("no method", b"/orders/1 HTTP/1.1"),
        of("a space for a method", b" /orders/1 HTTP/1.1"),
        of("no target", b"GET HTTP/1.1"),
        of("an empty target", b"GET  HTTP/1.1"),
        of("a method alone", b"GET"),
        of("an answer", b"HTTP/1.1 200 OK"),
    ]
}

fn methods() -> Vec<Case> {
    let refusal = refused(&[501], "method-not-supported", "method-refused");
    let version = refused(&[505], "version-not-supported", "version-refused");
    let form = framing("request-line-malformed");
    vec![
        case("a tunnel", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n{auth}\r\n", refusal),
        case("a tunnel to a path", line("CONNECT /orders/1 HTTP/1.1"), refusal),
        case("the guard's own word", line("GWREFUSED /orders/1 HTTP/1.1"), refusal),
        case("a method longer than any", line(format!("{} /public/1 HTTP/1.1", "M".repeat(33))), refusal),
        case("a method that never ends", "M".repeat(40_000), refusal),
        case("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", version),
        case("the preface's method on HTTP/1.1", line("PRI /public/1 HTTP/1.1"), version),
        case("a parenthesis in the method", line("GE(T /public/1 HTTP/1.1"), form),
        case("a comma in the method", line("GET,POST /public/1 HTTP/1.1"), form),
        case("a colon in the method", line("GET: /public/1 HTTP/1.1"), form),
        case("a method in quotes", line("\"GET\" /public/1 HTTP/1.1"), form),
        case("a method beyond ASCII", line("G\u{c9}T /public/1 HTTP/1.1"), form),
        case("a byte order mark before the method", line("\u{feff}GET /public/1 HTTP/1.1"), form),
        case("a greeting of TLS", cat(&[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]), framing("control-character")),
        case("a greeting of SSH", "SSH-2.0-OpenSSH_9.9\r\n", form),
        case("a greeting of SMTP", "EHLO evil.test\r\n", form),
        case("a header of the PROXY protocol", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", form),
    ]
}
