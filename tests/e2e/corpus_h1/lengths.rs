//! `Content-Length`: with `Transfer-Encoding`, more than once, and malformed.

use crate::corpus_h1::case::{Case, Family, case, cut, door, framing, get, gone, lawful, line, post};

pub(super) fn family() -> Family {
    let mut hostile = with_encoding();
    hostile.extend(repeated());
    hostile.extend(malformed());
    hostile.push(case(
        "the longest length that there is, which is over the ceiling",
        post("Content-Length: 9223372036854775807\r\n", "ok"),
        door(&[413], "body-too-large"),
    ));
    hostile.push(cut("a body shorter than its length", post("Content-Length: 500\r\n", "ok"), gone()));
    Family {
        name: "lengths",
        hostile,
        lawful: vec![
            lawful("a length", post("Content-Length: 2\r\n", "ok")),
            lawful("white space around it", post("Content-Length: \t 2 \t\r\n", "ok")),
            lawful("none around it, and a name in lower case", post("content-length:2\r\n", "ok")),
            lawful("a length of zero", post("Content-Length: 0\r\n", "")),
            lawful("no length and no body", post("", "")),
            lawful("a length on a GET", get("Content-Length: 0\r\n")),
            lawful("a body that looks like a request", post("Content-Length: 28\r\n", "GET /orders/9 HTTP/1.1\r\nA: b")),
        ],
    }
}

/// The mark of request smuggling (RFC 9112 §6.1).
fn with_encoding() -> Vec<Case> {
    let both = framing("both-lengths");
    let encoding = framing("transfer-encoding-refused");
    vec![
        case("length, then encoding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), both),
        case("encoding, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), both),
        case("a length of zero, then encoding", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), both),
        case("encoding, then a length of zero", post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"), both),
        case("both in upper case", post("CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n", "0\r\n\r\n"), both),
        case("both in lower case", post("transfer-encoding:chunked\r\ncontent-length:5\r\n", "0\r\n\r\n"), both),
        case("both in mixed case", post("cOnTeNt-LeNgTh: 5\r\ntRaNsFeR-eNcOdInG: cHuNkEd\r\n", "0\r\n\r\n"), both),
        case(
            "both, far apart",
            post(format!("Content-Length: 5\r\n{}Transfer-Encoding: chunked\r\n", "X: y\r\n".repeat(50)), "0\r\n\r\n"),
            both,
        ),
        case(
            "length between two encodings",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            both,
        ),
        case(
            "a prefix of the next request behind the last chunk",
            post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
            both,
        ),
        case(
            "a request inside a chunk",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "1e\r\nGET /orders/2 HTTP/1.1\r\nX: y\r\n\r\n0\r\n\r\n"),
            both,
        ),
        case("length, then an encoding that is none", post("Content-Length: 2\r\nTransfer-Encoding: identity\r\n", "ok"), both),
        case("an encoding that is none, then length", post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "ok"), encoding),
        case("length, then an empty encoding", post("Content-Length: 2\r\nTransfer-Encoding:\r\n", "ok"), both),
        case("both on a GET", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), both),
        case(
            "both on HTTP/1.0",
            [line("POST /orders/1 HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"), b"0\r\n\r\n".to_vec()].concat(),
            both,
        ),
    ]
}

fn repeated() -> Vec<Case> {
    let conflict = framing("content-length-conflict");
    let malformed = framing("content-length-malformed");
    vec![
        case("two equal lengths", post("Content-Length: 2\r\nContent-Length: 2\r\n", "ok"), conflict),
        case("two lengths, the longer first", post("Content-Length: 5\r\nContent-Length: 2\r\n", "okGET"), conflict),
        case("two lengths, the shorter first", post("Content-Length: 2\r\nContent-Length: 5\r\n", "okGET"), conflict),
        case("a length of zero and another", post("Content-Length: 0\r\nContent-Length: 2\r\n", "ok"), conflict),
        case("two lengths in two cases", post("Content-Length: 2\r\ncontent-length: 2\r\n", "ok"), conflict),
        case(
            "two lengths, far apart",
            post(format!("Content-Length: 2\r\n{}Content-Length: 2\r\n", "X: y\r\n".repeat(50)), "ok"),
            conflict,
        ),
        case("three lengths", post("Content-Length: 2\r\nContent-Length: 2\r\nContent-Length: 2\r\n", "ok"), conflict),
        case("a length and an empty one", post("Content-Length: 2\r\nContent-Length:\r\n", "ok"), malformed),
        case(
            "two lengths and an encoding",
            post("Content-Length: 2\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n", "ok"),
            conflict,
        ),
        case("a list of equal lengths", post("Content-Length: 2, 2\r\n", "ok"), malformed),
        case("a list without a space", post("Content-Length: 2,2\r\n", "ok"), malformed),
        case("a list of different lengths", post("Content-Length: 2, 5\r\n", "okGET"), malformed),
        case("a list that ends in nothing", post("Content-Length: 2,\r\n", "ok"), malformed),
        case("a list that begins with nothing", post("Content-Length: ,2\r\n", "ok"), malformed),
    ]
}

fn malformed() -> Vec<Case> {
    let of = |name: &str, value: &[u8]| {
        case(name, post([b"Content-Length: ", value, b"\r\n"].concat(), "ok"), framing("content-length-malformed"))
    };
    vec![
        of("a length with a plus sign", b"+2"),
        of("a negative length", b"-1"),
        of("minus zero", b"-0"),
        of("a hexadecimal length", b"0x2"),
        of("a length with a digit separator", b"1_0"),
        of("a length with a fraction", b"2.0"),
        of("a length with an exponent", b"2e0"),
        of("a length with a semicolon", b"2;"),
        of("a length with a parameter", b"2;q=1"),
        of("a length in quotes", b"\"2\""),
        of("a length in words", b"two"),
        of("no number", b"NaN"),
        of("a letter behind the length", b"2a"),
        of("two numbers and a space", b"2 2"),
        of("two numbers and a tab", b"2\t2"),
        of("an empty length", b""),
        of("a length of nothing but white space", b" \t "),
        of("a leading zero, which may be octal", b"02"),
        of("many leading zeros", b"0000000000000000002"),
        of("two zeros", b"00"),
        of("two to the 63rd, negative to some", b"9223372036854775808"),
        of("two to the 64th, zero to some", b"18446744073709551616"),
        of("two to the 64th and two, two to some", b"18446744073709551618"),
        of("a length of a hundred digits", &[b'9'; 100]),
        of("a full-width digit", "２".as_bytes()),
        of("an Arabic-Indic digit", "٢".as_bytes()),
        of("a superscript digit", "²".as_bytes()),
        of("a no-break space before the length", b"\xa02"),
        case("a space inside the name of the length", post("Content Length: 2\r\n", "ok"), framing("space-before-colon")),
        case("a space behind the name of the length", post("Content-Length : 2\r\n", "ok"), framing("space-before-colon")),
        case("a tab behind the name of the length", post("Content-Length\t: 2\r\n", "ok"), framing("space-before-colon")),
        case("an underscore in the name of the length", post("Content_Length: 2\r\n", "ok"), framing("header-name-malformed")),
        case("a length that is folded", post("Content-Length: 2\r\n 3\r\n", "ok"), framing("obs-fold")),
        of("a length that begins folded", b"\r\n 2"),
        case("a vertical tab before the length", post("Content-Length: \x0b2\r\n", "ok"), framing("control-character")),
        case("a NUL behind the length", post("Content-Length: 2\0\r\n", "ok"), framing("control-character")),
    ]
}
