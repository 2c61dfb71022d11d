//! `Transfer-Encoding` other than one `chunked` on HTTP/1.1 (RFC 9112 §6.1).

use crate::corpus_h1::case::{Family, case, cat, chunked, framing, get, lawful, post};

const BODY: &str = "2\r\nok\r\n0\r\n\r\n";

pub(super) fn family() -> Family {
    let refused = framing("transfer-encoding-refused");
    let of = |name: &str, value: &[u8]| case(name, post(cat(&[b"Transfer-Encoding: ", value, b"\r\n"]), BODY), refused);
    let lines = |name: &str, fields: &str| case(name, post(fields, BODY), refused);
    let control = framing("control-character");
    let old = |name: &str, value: &str| {
        let head = format!("POST /orders/1 HTTP/1.0\r\n{{ours}}Connection: keep-alive\r\nTransfer-Encoding: {value}\r\n\r\n{BODY}");
        case(name, head, refused)
    };
    Family {
        name: "encodings",
        hostile: vec![
            of("identity", b"identity"),
            of("gzip", b"gzip"),
            of("deflate", b"deflate"),
            of("a made-up coding", b"cow"),
            of("gzip, then chunked", b"gzip, chunked"),
            of("identity, then chunked", b"identity, chunked"),
            of("chunked, then gzip", b"chunked, gzip"),
            of("chunked, then identity", b"chunked, identity"),
            of("chunked twice in a list", b"chunked, chunked"),
            of("a list that ends in nothing", b"chunked,"),
            of("a list that begins with nothing", b",chunked"),
            of("chunked with a weight", b"chunked;q=1"),
            of("chunked with a bare semicolon", b"chunked;"),
            of("chunked in double quotes", b"\"chunked\""),
            of("chunked in single quotes", b"'chunked'"),
            of("a letter before chunked", b"xchunked"),
            of("a letter behind chunked", b"chunkedx"),
            of("a letter too few", b"chunke"),
            of("a space within chunked", b"chun ked"),
            of("chunked and a word", b"chunked cow"),
            of("a hyphen behind chunked", b"chunked-"),
            of("an empty coding", b""),
            of("a coding of white space", b"\t \t"),
            of("trailers", b"trailers"),
            of("a no-break space before chunked", b"\xa0chunked"),
            of("a no-break space behind chunked", b"chunked\xa0"),
            of("the Kelvin sign for its k", "chun\u{212a}ed".as_bytes()),
            of("a name within the value", b"Transfer-Encoding: chunked"),
            case("a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", BODY), control),
            case("a vertical tab behind chunked", post("Transfer-Encoding: chunked\x0b\r\n", BODY), control),
            case("a form feed before chunked", post("Transfer-Encoding: \x0cchunked\r\n", BODY), control),
            case("a NUL behind chunked", post("Transfer-Encoding: chunked\0\r\n", BODY), control),
            lines("chunked on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            lines("gzip and chunked on two lines", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
            lines("chunked and identity on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            lines("chunked and nothing on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"),
            lines("chunked on two lines in two cases", "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            lines("a coding and one of the same letters", "Transfer-Encoding: x\r\nTransfer-encoding: chunked\r\n"),
            case("a coding that begins folded", post("Transfer-Encoding:\r\n chunked\r\n", BODY), refused),
            case("a coding folded behind chunked", post("Transfer-Encoding: chunked\r\n , gzip\r\n", BODY), framing("obs-fold")),
            case("a space behind the name", post("Transfer-Encoding : chunked\r\n", BODY), framing("space-before-colon")),
            case("a tab behind the name", post("Transfer-Encoding\t: chunked\r\n", BODY), framing("space-before-colon")),
            case("an underscore in the name", post("Transfer_Encoding: chunked\r\n", BODY), framing("header-name-malformed")),
            case(
                "an underscore in the name, with a length",
                post("Content-Length: 2\r\nTransfer_Encoding: chunked\r\n", "ok"),
                framing("header-name-malformed"),
            ),
            case("a bare CR before the name", post("X: y\rTransfer-Encoding: chunked\r\n", BODY), framing("bare-cr")),
            case("a bare LF before the name", post("X: y\nTransfer-Encoding: chunked\r\n", BODY), framing("bare-lf")),
            old("chunked on HTTP/1.0", "chunked"),
            old("identity on HTTP/1.0", "identity"),
        ],
        lawful: vec![
            lawful("chunked", chunked(BODY)),
            lawful("chunked in capitals", post("Transfer-Encoding: Chunked\r\n", BODY)),
            lawful("chunked without a space, the name in lower case", post("transfer-encoding:chunked\r\n", BODY)),
            lawful("chunked with white space around it", post("Transfer-Encoding: \t chunked \t\r\n", BODY)),
            lawful("chunked and a word on what is accepted", post("TE: trailers\r\nTransfer-Encoding: chunked\r\n", BODY)),
            lawful("chunked on a GET", cat(&[&get("Transfer-Encoding: chunked\r\n"), b"0\r\n\r\n"])),
        ],
    }
}
