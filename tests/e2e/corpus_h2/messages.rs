//! Messages that are malformed or ambiguous (RFC 9113 §8), in frames that are not.

use tests::frames::hpack::{Fields, literal};
use tests::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, frame, in_parts};

use crate::corpus_h2::{BROKEN, Case, HOSTILE, MALFORMED, Maker, case};

pub(super) fn cases(maker: &Maker) -> Vec<Case> {
    [octets(maker), connection_fields(maker), lengths(maker), paths(maker), authorities(maker), methods(maker), pseudo(maker), sizes(maker)]
        .into_iter()
        .flatten()
        .collect()
}

/// A request without a body.
fn head(name: &'static str, fields: &Fields, expected: &'static str) -> Case {
    case(name, fields.whole(HOSTILE), expected)
}

/// §8.2.1.
fn octets(maker: &Maker) -> Vec<Case> {
    let with = |name: &[u8], value: &[u8]| maker.get().add(name, value);
    vec![
        head("CR in a value", &with(b"x-a", b"a\rb"), BROKEN),
        head("LF in a value", &with(b"x-a", b"a\nb"), BROKEN),
        head("a field behind CRLF in a value", &with(b"x-a", b"a\r\nx-gw-subject: root"), BROKEN),
        head("a request behind CRLF in a value", &with(b"x-a", b"a\r\n\r\nGET /users/1 HTTP/1.1\r\nhost: a\r\n\r\n"), BROKEN),
        head("NUL in a value", &with(b"x-a", b"a\0b"), BROKEN),
        head("DEL in a value", &with(b"x-a", b"a\x7fb"), BROKEN),
        head("CR in a name", &with(b"x\ra", b"b"), BROKEN),
        head("CRLF in a name", &with(b"x-a: b\r\nx-gw-subject", b"root"), BROKEN),
        head("NUL in a name", &with(b"x\0a", b"b"), BROKEN),
        head("upper case in a name", &with(b"X-A", b"b"), BROKEN),
        head("an upper-case name of a lawful field", &with(b"Content-Length", b"5"), BROKEN),
        head("a space in a name", &with(b"x a", b"b"), BROKEN),
        head("a space at the end of a name", &with(b"content-length ", b"5"), BROKEN),
        head("a colon in a name", &with(b"x:a", b"b"), BROKEN),
        head("an empty name", &with(b"", b"b"), BROKEN),
        head("octets beyond ASCII in a name", &with("x-é".as_bytes(), b"b"), BROKEN),
        head("content_length, which some servers fold", &with(b"content_length", b"5"), "400 framing-invalid"),
        head("transfer_encoding, which some servers fold", &with(b"transfer_encoding", b"chunked"), "400 framing-invalid"),
        head("a space before a value", &with(b"x-a", b" b"), "400 framing-invalid"),
        head("a tab behind a value", &with(b"x-a", b"b\t"), "400 framing-invalid"),
    ]
}

/// §8.2.2.
fn connection_fields(maker: &Maker) -> Vec<Case> {
    let with = |name: &str, value: &str| maker.post().add(name, value);
    vec![
        head("connection: close", &with("connection", "close"), MALFORMED),
        head("connection that names another field", &with("connection", "authorization"), MALFORMED),
        head("keep-alive", &with("keep-alive", "timeout=5"), MALFORMED),
        head("proxy-connection", &with("proxy-connection", "keep-alive"), MALFORMED),
        head("transfer-encoding: chunked", &with("transfer-encoding", "chunked"), MALFORMED),
        head("transfer-encoding: identity", &with("transfer-encoding", "identity"), MALFORMED),
        head("upgrade: websocket", &with("upgrade", "websocket"), MALFORMED),
        head("upgrade: h2c", &with("upgrade", "h2c"), MALFORMED),
        head("te: gzip", &with("te", "gzip"), MALFORMED),
        head("te: trailers, gzip", &with("te", "trailers, gzip"), MALFORMED),
        case(
            "a chunked body behind transfer-encoding",
            [with("transfer-encoding", "chunked").open(HOSTILE), frame(DATA, END_STREAM, HOSTILE, b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n")]
                .concat(),
            "reset 1, goaway 1, h2-protocol-error",
        ),
    ]
}

/// §8.1.1.
fn lengths(maker: &Maker) -> Vec<Case> {
    let with = |length: &str| maker.post().add("content-length", length);
    let body = |flags: u8, octets: &[u8]| frame(DATA, flags, HOSTILE, octets);
    vec![
        case("content-length below the body", [with("3").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("content-length above the body", [with("9").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case(
            "content-length below a body of two frames",
            [with("6").open(HOSTILE), body(0, b"12345"), body(END_STREAM, b"67890")].concat(),
            MALFORMED,
        ),
        case("content-length 0 with a body", [with("0").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case(
            "content-length above a body that ends in trailers",
            [with("9").open(HOSTILE), body(0, b"12345"), Fields::default().add("x-end", "1").whole(HOSTILE)].concat(),
            MALFORMED,
        ),
        head("content-length without a body", &with("5"), MALFORMED),
        case("two lengths", [with("5").add("content-length", "6").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case(
            "one length twice",
            [with("5").add("content-length", "5").open(HOSTILE), body(END_STREAM, b"12345")].concat(),
            "400 framing-invalid",
        ),
        case("a list of lengths", [with("5, 5").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("a signed length", [with("+5").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("a negative length", [with("-5").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("a hexadecimal length", [with("0x5").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("an empty length", [with("").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
        case("a length beyond 64 bits", [with("18446744073709551621").open(HOSTILE), body(END_STREAM, b"12345")].concat(), MALFORMED),
    ]
}

/// §8.3.1, `:path`.
fn paths(maker: &Maker) -> Vec<Case> {
    let to = |path: &[u8]| maker.get().set(":path", path);
    let refused = "400 target-not-canonical";
    vec![
        head("a space in the path", &to(b"/orders/1 HTTP/1.1"), MALFORMED),
        head("a request behind CRLF in the path", &to(b"/orders/1 HTTP/1.1\r\nhost: a\r\n\r\nGET /users/1"), MALFORMED),
        head("NUL in the path", &to(b"/orders/1\0"), MALFORMED),
        head("a tab in the path", &to(b"/orders/1\t"), MALFORMED),
        head("no octet in the path", &to(b""), MALFORMED),
        head("octets that are no UTF-8 in the path", &to(b"/orders/\xff"), BROKEN),
        head("a query without a path", &to(b"?x=1"), refused),
        head("an absolute target as the path", &to(b"https://localhost/orders/1"), MALFORMED),
        head("a path without its slash", &to(b"orders/1"), MALFORMED),
        head("an authority before the path", &to(b"@evil.test/orders/1"), MALFORMED),
        head("an asterisk for GET", &to(b"*"), refused),
        head("octets beyond ASCII in the path", &to("/orders/é".as_bytes()), refused),
        head("dot segments", &to(b"/orders/../users/7"), refused),
        head("encoded dot segments", &to(b"/orders/%2e%2e/users/7"), refused),
        head("an empty segment", &to(b"//users/7"), refused),
        head("a backslash", &to(b"/orders\\..\\users"), refused),
        head("an encoded slash", &to(b"/orders%2f1"), refused),
        head("an encoded NUL", &to(b"/orders/1%00"), refused),
        head("an encoded CRLF", &to(b"/orders/1%0d%0ax:%20y"), refused),
        head("half an escape", &to(b"/orders/%4"), refused),
    ]
}

/// §8.3.1, `:authority` and `host`.
fn authorities(maker: &Maker) -> Vec<Case> {
    let of = |authority: &[u8]| maker.get().set(":authority", authority);
    vec![
        head("userinfo", &of(b"admin@localhost"), "400 host-malformed"),
        head("userinfo with a password", &of(b"a:b@localhost"), "400 host-malformed"),
        head("a space in the authority", &of(b"local host"), MALFORMED),
        head("CRLF in the authority", &of(b"localhost\r\nx-gw-subject: root"), MALFORMED),
        head("NUL in the authority", &of(b"localhost\0"), MALFORMED),
        head("a path in the authority", &of(b"localhost/users"), MALFORMED),
        head("a port that is no number", &of(b"localhost:x"), "400 host-malformed"),
        head("a port beyond 16 bits", &of(b"localhost:65536"), "400 host-malformed"),
        head("an empty authority", &of(b""), MALFORMED),
        head("a comma in the authority", &of(b"localhost,evil.test"), "400 host-malformed"),
        head("a host beside the authority", &maker.get().add("host", "evil.test"), "400 host-mismatch"),
        head("two hosts", &maker.get().without(":authority").add("host", "localhost").add("host", "localhost"), "400 host-malformed"),
        head("two hosts beside the authority", &maker.get().add("host", "localhost").add("host", "evil.test"), "400 host-malformed"),
        head("no host at all", &maker.get().without(":authority"), "400 host-missing"),
        head("an empty host", &maker.get().without(":authority").add("host", ""), "400 host-missing"),
    ]
}

/// §8.3.1, `:method` and `:scheme`; §8.5.
fn methods(maker: &Maker) -> Vec<Case> {
    let by = |method: &[u8]| maker.get().set(":method", method);
    let over = |scheme: &[u8]| maker.get().set(":scheme", scheme);
    let tunnel = || maker.get().set(":method", "CONNECT");
    vec![
        head("a space in the method", &by(b"GET /users/1"), BROKEN),
        head("CRLF in the method", &by(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET"), BROKEN),
        head("NUL in the method", &by(b"GET\0"), BROKEN),
        head("an empty method", &by(b""), BROKEN),
        head("a method in lower case", &by(b"get"), "501 method-not-supported"),
        head("a method longer than any", &by(&[b'G'; 33]), "501 method-not-supported"),
        head("the preface's method", &by(b"PRI"), "501 method-not-supported"),
        head("the guard's own method", &by(b"GWREFUSED"), "400 framing-invalid"),
        head("CONNECT", &tunnel().without(":path").without(":scheme"), "501 method-not-supported"),
        head("CONNECT with a path", &tunnel(), MALFORMED),
        head("extended CONNECT", &tunnel().before(":protocol", "websocket"), MALFORMED),
        head(":protocol without CONNECT", &maker.get().before(":protocol", "websocket"), MALFORMED),
        head("http over TLS", &over(b"http"), "400 framing-invalid"),
        head("ftp", &over(b"ftp"), "400 framing-invalid"),
        head("an authority in the scheme", &over(b"https://evil.test/"), MALFORMED),
        head("CRLF in the scheme", &over(b"https\r\nx-gw-subject: root"), MALFORMED),
        head("an empty scheme", &over(b""), "400 framing-invalid"),
    ]
}

/// §8.3.
fn pseudo(maker: &Maker) -> Vec<Case> {
    let trailers = |name: &str| {
        [maker.post().open(HOSTILE), frame(DATA, 0, HOSTILE, b"x"), Fields::default().add(name, "/users/1").whole(HOSTILE)].concat()
    };
    vec![
        head("no method", &maker.get().without(":method"), MALFORMED),
        head("no path", &maker.get().without(":path"), MALFORMED),
        head("no scheme", &maker.get().without(":scheme"), MALFORMED),
        head("two methods", &maker.get().before(":method", "POST"), MALFORMED),
        head("two paths", &maker.get().before(":path", "/users/7"), MALFORMED),
        head("two schemes", &maker.get().before(":scheme", "http"), MALFORMED),
        head("two authorities", &maker.get().before(":authority", "evil.test"), MALFORMED),
        head("a path behind a field", &maker.get().without(":path").add(":path", "/orders/1"), MALFORMED),
        head("a status in a request", &maker.get().before(":status", "200"), MALFORMED),
        head("an unknown pseudo-header", &maker.get().before(":foo", "bar"), BROKEN),
        head("a pseudo-header in upper case", &maker.get().before(":Method", "GET"), BROKEN),
        head("nothing", &Fields::default(), MALFORMED),
        case(
            "trailers that do not end the stream",
            [maker.post().open(HOSTILE), Fields::default().add("x-end", "1").open(HOSTILE)].concat(),
            MALFORMED,
        ),
        case("an unknown pseudo-header in trailers", trailers(":foo"), BROKEN),
    ]
}

/// Ceilings of heads, at tier 1's defaults.
fn sizes(maker: &Maker) -> Vec<Case> {
    let long = |bytes: usize| in_parts(END_STREAM, HOSTILE, &maker.get().add("x-long", vec![b'x'; bytes]).block());
    let many = (0..101).fold(maker.get(), |fields, number| fields.add(format!("x-many-{number}"), "1"));
    // A field of 4000 bytes that goes into the table, and then comes again by one octet each.
    let bomb = |times: usize| {
        let block = [&maker.get().block()[..], &literal(0x40, b"x-bomb", &[b'x'; 3900]), &vec![0xbe; times]].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &block)
    };
    vec![
        case("a head beyond head_bytes_max", long(33 * 1024), "431 head-too-large"),
        case("a head far beyond head_bytes_max", long(80 * 1024), "goaway 11, head-too-large"),
        head("more fields than headers_max", &many, "431 head-too-large"),
        head("a target beyond its ceiling", &maker.get().set(":path", format!("/orders/{}", "1".repeat(8192))), "414 target-too-long"),
        case("a header list that expands", bomb(20), "431 -, goaway 11, head-too-large"),
        case("a header list that explodes", bomb(10_000), "goaway 11, head-too-large"),
    ]
}
