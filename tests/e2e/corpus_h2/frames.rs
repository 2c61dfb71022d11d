//! Frames that may not stand where they stand, or not be as they are (RFC 9113 §4 to §6), and HPACK that cannot be read (RFC 7541).

use tests::frames::hpack::{Fields, integer};
use tests::frames::{
    ACK, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING,
    PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, frame, settings,
};

use crate::corpus_h2::{BROKEN, Case, HOSTILE, MALFORMED, Maker, WARM, case};

pub(super) fn cases(maker: &Maker) -> Vec<Case> {
    [prefaces(), streams(maker), padding(maker), lengths(maker), windows(maker), misplaced(maker), hpack(maker)]
        .into_iter()
        .flatten()
        .collect()
}

/// §3.4.
fn prefaces() -> Vec<Case> {
    let ping = frame(PING, 0, 0, b"12345678");
    let bare = |name, flight| Case { is_bare: true, ..case(name, flight, "goaway 1, h2-preface-malformed") };
    vec![
        bare("HTTP/1.1 where h2 was agreed on", b"GET /orders/1 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        bare("a preface with another word", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()),
        bare("a preface in lower case", b"pri * http/2.0\r\n\r\nsm\r\n\r\n".to_vec()),
        bare("two prefaces", [PREFACE, PREFACE].concat()),
        bare("a preface without SETTINGS", [PREFACE, &ping].concat()),
        bare("a preface with the answer to SETTINGS", [PREFACE, &frame(SETTINGS, ACK, 0, b"")].concat()),
    ]
}

/// §5.1.
fn streams(maker: &Maker) -> Vec<Case> {
    let warm = |name, flight, expected| Case { is_warm: true, ..case(name, flight, expected) };
    let body = |stream: u32| frame(DATA, END_STREAM, stream, b"x");
    vec![
        case("HEADERS on stream 0", maker.get().whole(0), BROKEN),
        case("HEADERS on an even stream", maker.get().whole(4), BROKEN),
        case("HEADERS on a stream below the last", [maker.get().whole(HOSTILE + 2), maker.get().whole(HOSTILE)].concat(), BROKEN),
        warm("HEADERS on a stream that was answered", maker.get().whole(WARM), BROKEN),
        case("HEADERS twice on a stream", [maker.get().whole(HOSTILE), maker.get().whole(HOSTILE)].concat(), BROKEN),
        case("DATA on stream 0", body(0), BROKEN),
        case("DATA on an idle stream", body(HOSTILE), BROKEN),
        case("DATA behind END_STREAM", [maker.get().whole(HOSTILE), body(HOSTILE)].concat(), BROKEN),
        case("DATA behind DATA with END_STREAM", [maker.post().open(HOSTILE), body(HOSTILE), body(HOSTILE)].concat(), BROKEN),
        case("RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &8_u32.to_be_bytes()), BROKEN),
        case("RST_STREAM on an idle stream", frame(RST_STREAM, 0, HOSTILE, &8_u32.to_be_bytes()), BROKEN),
        case("WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, HOSTILE, &1_u32.to_be_bytes()), BROKEN),
    ]
}

/// §6.1, §6.2.
fn padding(maker: &Maker) -> Vec<Case> {
    let block = maker.get().block();
    vec![
        case(
            "padding longer than DATA",
            [maker.post().open(HOSTILE), frame(DATA, END_STREAM | PADDED, HOSTILE, &[9, b'x'])].concat(),
            BROKEN,
        ),
        case("DATA padded without a length", [maker.post().open(HOSTILE), frame(DATA, END_STREAM | PADDED, HOSTILE, b"")].concat(), BROKEN),
        case("HEADERS padded without a length", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, HOSTILE, b""), BROKEN),
        case("padding longer than HEADERS", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, HOSTILE, &[255, 0x82]), BROKEN),
        case("padding that eats a field", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, HOSTILE, &[&[3][..], &block].concat()), BROKEN),
    ]
}

/// §4.2 and the lengths that each type has.
fn lengths(maker: &Maker) -> Vec<Case> {
    vec![
        case(
            "a frame beyond MAX_FRAME_SIZE",
            [maker.post().open(HOSTILE), frame(DATA, 0, HOSTILE, &[0; 16_385])].concat(),
            "goaway 6, h2-frame-size-error",
        ),
        case("the longest length that can be told", vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 3], "goaway 6, h2-frame-size-error"),
        case("PING of 7 octets", frame(PING, 0, 0, b"1234567"), BROKEN),
        case("SETTINGS of 5 octets", frame(SETTINGS, 0, 0, &[0; 5]), BROKEN),
        case("an answer to SETTINGS with a payload", frame(SETTINGS, ACK, 0, &[0; 6]), BROKEN),
        case("RST_STREAM of 3 octets", [maker.post().open(HOSTILE), frame(RST_STREAM, 0, HOSTILE, &[0; 3])].concat(), BROKEN),
        case("WINDOW_UPDATE of 3 octets", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), BROKEN),
        case("PRIORITY of 4 octets", frame(PRIORITY, 0, HOSTILE, &[0; 4]), BROKEN),
        case("GOAWAY of 7 octets", frame(GOAWAY, 0, 0, &[0; 7]), BROKEN),
        case("HEADERS with half a priority", frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, HOSTILE, &[0; 3]), BROKEN),
    ]
}

/// §6.5.2, §6.9.
fn windows(maker: &Maker) -> Vec<Case> {
    let update = |stream: u32, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    vec![
        case("WINDOW_UPDATE of 0 on the connection", update(0, 0), BROKEN),
        case("WINDOW_UPDATE of 0 on a stream", [maker.post().open(HOSTILE), update(HOSTILE, 0)].concat(), BROKEN),
        case("a window of the connection beyond 2^31-1", update(0, 0x7fff_ffff), "goaway 3, h2-flow-control-error"),
        case(
            "a window of a stream beyond 2^31-1",
            [maker.post().open(HOSTILE), update(HOSTILE, 0x7fff_ffff)].concat(),
            "reset 3, goaway 3, h2-flow-control-error",
        ),
        case("SETTINGS with a window beyond 2^31-1", settings(&[(INITIAL_WINDOW_SIZE, 0x8000_0000)]), BROKEN),
        case("SETTINGS that push by 2", settings(&[(ENABLE_PUSH, 2)]), BROKEN),
        case("SETTINGS with frames below 16 KiB", settings(&[(MAX_FRAME_SIZE, 1000)]), BROKEN),
        case("SETTINGS with frames beyond 16 MiB", settings(&[(MAX_FRAME_SIZE, 0x0100_0000)]), BROKEN),
    ]
}

/// §6.2 to §6.10.
fn misplaced(maker: &Maker) -> Vec<Case> {
    let block = maker.get().block();
    let begun = frame(HEADERS, END_STREAM, HOSTILE, &block);
    let rest = |stream: u32| frame(CONTINUATION, END_HEADERS, stream, b"");
    let itself = [&HOSTILE.to_be_bytes()[..], &[16]].concat();
    let promise = [&5_u32.to_be_bytes()[..], &block].concat();
    vec![
        case("PING on a stream", frame(PING, 0, HOSTILE, b"12345678"), BROKEN),
        case("SETTINGS on a stream", frame(SETTINGS, 0, HOSTILE, b""), BROKEN),
        case("GOAWAY on a stream", frame(GOAWAY, 0, HOSTILE, &[0; 8]), BROKEN),
        case("PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 16]), BROKEN),
        case(
            "PUSH_PROMISE of a client",
            [maker.post().open(HOSTILE), frame(PUSH_PROMISE, END_HEADERS, HOSTILE, &promise)].concat(),
            BROKEN,
        ),
        case("CONTINUATION without HEADERS", rest(HOSTILE), BROKEN),
        case("CONTINUATION behind END_HEADERS", [maker.get().whole(HOSTILE), rest(HOSTILE)].concat(), BROKEN),
        case("CONTINUATION of another stream", [begun.clone(), rest(HOSTILE + 2)].concat(), BROKEN),
        case("DATA inside of a header block", [begun.clone(), frame(DATA, 0, HOSTILE, b"x"), rest(HOSTILE)].concat(), BROKEN),
        case("PING inside of a header block", [begun.clone(), frame(PING, 0, 0, b"12345678"), rest(HOSTILE)].concat(), BROKEN),
        case("an unknown frame inside of a header block", [begun.clone(), frame(0xfa, 0, 0, b""), rest(HOSTILE)].concat(), BROKEN),
        case("a header block that another one follows", begun, BROKEN),
        case(
            "HEADERS that depend on themselves",
            frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, HOSTILE, &[&itself[..], &block].concat()),
            MALFORMED,
        ),
        case("PRIORITY that depends on itself", [maker.post().open(HOSTILE), frame(PRIORITY, 0, HOSTILE, &itself)].concat(), MALFORMED),
    ]
}

/// RFC 7541 §2.3, §4.2, §5, §6.3.
fn hpack(maker: &Maker) -> Vec<Case> {
    let block = maker.get().block();
    let with = |more: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &[&block[..], more].concat());
    let before = |less: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &[less, &block[..]].concat());
    vec![
        case("index 0", with(&[0x80]), BROKEN),
        case("an index beyond the table", with(&[0xbe]), BROKEN),
        case("an index far beyond the table", with(&integer(0x80, 7, 70_000)), BROKEN),
        case("a name by an index beyond the table", with(&[0x7f, 0x00, 1, b'x']), BROKEN),
        case("an integer that overflows", with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), BROKEN),
        case("a table beyond its ceiling", before(&integer(0x20, 5, 4097)), BROKEN),
        case("a table that changes behind a field", with(&[0x20]), BROKEN),
        case("a string longer than its block", with(&[0x00, 3, b'x']), BROKEN),
        case("a block that ends in a name", with(&[0x00, 1, b'x']), BROKEN),
        case("a Huffman code that is cut off", with(&[0x00, 1, b'x', 0x81, 0x00]), BROKEN),
        case("a Huffman code of the end", with(&[0x00, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]), BROKEN),
        case(
            "trailers that cannot be read",
            [maker.post().open(HOSTILE), frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &[0x80])].concat(),
            BROKEN,
        ),
        case("trailers with CRLF", [maker.post().open(HOSTILE), Fields::default().add("x-a", "b\r\nc").whole(HOSTILE)].concat(), BROKEN),
    ]
}
