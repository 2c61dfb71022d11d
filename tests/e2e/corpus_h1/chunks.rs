//! Chunked bodies: sizes, extensions, and the lines around the data (RFC 9112 §7.1).
//!
//! The head of such a request is lawful and may have gone on when its body is refused; an instance never reads the end of it, and so never does it.

use crate::corpus_h1::case::{Case, Family, case, chunked, cut, framing, gone, lawful};

pub(super) fn family() -> Family {
    let mut hostile = sizes();
    hostile.extend(extensions());
    hostile.extend(data());
    Family {
        name: "chunks",
        hostile,
        lawful: vec![
            lawful("one chunk", chunked("2\r\nok\r\n0\r\n\r\n")),
            lawful("no data", chunked("0\r\n\r\n")),
            lawful("hexadecimal digits of either case", chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n")),
            lawful("zeros before the sizes", chunked("0002\r\nok\r\n000\r\n\r\n")),
            lawful("data that looks like the end", chunked("7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n")),
            lawful("data that looks like a request", chunked("1b\r\nGET /orders/9 HTTP/1.1\r\nX:\r\r\n0\r\n\r\n")),
        ],
    }
}

fn of(name: &str, body: &str) -> Case {
    case(name, chunked(body), framing("chunk-malformed"))
}

fn sizes() -> Vec<Case> {
    vec![
        of("no size", "\r\nok\r\n0\r\n\r\n"),
        of("a size behind an empty line", "\r\n2\r\nok\r\n0\r\n\r\n"),
        of("a size with the hexadecimal mark", "0x2\r\nok\r\n0\r\n\r\n"),
        of("zero with the hexadecimal mark", "2\r\nok\r\n0x0\r\n\r\n"),
        of("a size with a plus sign", "+2\r\nok\r\n0\r\n\r\n"),
        of("a negative size", "-1\r\nok\r\n0\r\n\r\n"),
        of("minus zero", "-0\r\n\r\n"),
        of("a space before the size", " 2\r\nok\r\n0\r\n\r\n"),
        of("a tab before the size", "\t2\r\nok\r\n0\r\n\r\n"),
        of("a space behind the size", "2 \r\nok\r\n0\r\n\r\n"),
        of("a tab behind the size", "2\t\r\nok\r\n0\r\n\r\n"),
        of("a space behind the last size", "2\r\nok\r\n0 \r\n\r\n"),
        of("a size that is no number", "g\r\nok\r\n0\r\n\r\n"),
        of("a letter behind the size", "2g\r\nok\r\n0\r\n\r\n"),
        of("a size with a digit separator", "1_0\r\nok\r\n0\r\n\r\n"),
        of("a size with a fraction", "2.0\r\nok\r\n0\r\n\r\n"),
        of("a size in quotes", "\"2\"\r\nok\r\n0\r\n\r\n"),
        of("a full-width digit", "\u{ff12}\r\nok\r\n0\r\n\r\n"),
        of("a NUL behind the size", "2\0\r\nok\r\n0\r\n\r\n"),
        of("a size of 17 digits", "00000000000000002\r\nok\r\n0\r\n\r\n"),
        of("two to the 64th and two, two to some", "10000000000000002\r\nok\r\n0\r\n\r\n"),
        of("two to the 63rd, negative to some", "8000000000000000\r\nok\r\n0\r\n\r\n"),
        of("the largest size of 64 bits, minus one to some", "ffffffffffffffff\r\nok\r\n0\r\n\r\n"),
        of("two sizes", "2, 2\r\nok\r\n0\r\n\r\n"),
    ]
}

fn extensions() -> Vec<Case> {
    vec![
        of("an extension", "2;a=b\r\nok\r\n0\r\n\r\n"),
        of("an extension without a value", "2;a\r\nok\r\n0\r\n\r\n"),
        of("an empty extension", "2;\r\nok\r\n0\r\n\r\n"),
        of("an extension behind a space", "2 ;a=b\r\nok\r\n0\r\n\r\n"),
        of("an extension in quotes", "2;a=\"b\"\r\nok\r\n0\r\n\r\n"),
        of("a bare LF in an extension", "2;a\nxx\r\nok\r\n0\r\n\r\n"),
        of("a bare CR in an extension", "2;a\rxx\r\nok\r\n0\r\n\r\n"),
        of("a line ending in quotes", "2;a=\"\r\nok\r\n0\r\n\r\n\"\r\nok\r\n0\r\n\r\n"),
        of("an extension on the last chunk", "2\r\nok\r\n0;a=b\r\n\r\n"),
        of("an extension alone", ";a=b\r\nok\r\n0\r\n\r\n"),
        of("an extension without end", &format!("2;{}", "a".repeat(20_000))),
    ]
}

fn data() -> Vec<Case> {
    vec![
        of("LF behind a size", "2\nok\r\n0\r\n\r\n"),
        of("CR behind a size", "2\rok\r\n0\r\n\r\n"),
        of("two CR behind a size", "2\r\r\nok\r\n0\r\n\r\n"),
        of("LF behind the data", "2\r\nok\n0\r\n\r\n"),
        of("CR behind the data", "2\r\nok\r0\r\n\r\n"),
        of("nothing behind the data", "2\r\nok0\r\n\r\n"),
        of("a space behind the data", "2\r\nok \r\n0\r\n\r\n"),
        of("more data than its size", "2\r\nokay\r\n0\r\n\r\n"),
        of("less data than its size", "4\r\nok\r\n0\r\n\r\n"),
        of("a request behind too little data", "2\r\nokGET /orders/2 HTTP/1.1\r\n\r\n"),
        of("LF behind the last size", "2\r\nok\r\n0\n\r\n"),
        of("an empty line behind the data", "2\r\nok\r\n\r\n0\r\n\r\n"),
        of("no last chunk, and the next request", "2\r\nok\r\n"),
        cut("no last chunk, and the end", chunked("2\r\nok\r\n"), gone()),
        cut("no line behind the last chunk, and the end", chunked("2\r\nok\r\n0\r\n"), gone()),
        cut("half a chunk, and the end", chunked("5\r\nok"), gone()),
        cut("half a size, and the end", chunked("2"), gone()),
    ]
}
