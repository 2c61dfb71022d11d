//! What looks like the hostile cases and is lawful: one or more beside each family.

use tests::frames::hpack::{Fields, integer, literal};
use tests::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PRIORITY, SETTINGS,
    WINDOW_UPDATE, WITH_PRIORITY, frame, in_parts, settings,
};

use crate::corpus_h2::{HOSTILE, Maker};

pub(super) fn twins(maker: &Maker) -> Vec<(&'static str, Vec<u8>)> {
    let get = || maker.request("GET", "/orders/1", "twin");
    let post = || maker.request("POST", "/orders/1", "twin");
    let body = |flags: u8, octets: &[u8]| frame(DATA, flags, HOSTILE, octets);
    let update = |stream: u32, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    let block = get().block();
    let half = block.len() / 2;
    let begun = frame(HEADERS, END_STREAM, HOSTILE, &block[..half]);
    let depends = [&1_u32.to_be_bytes()[..], &[16]].concat();
    // What both tiers add must fit under the ceiling of an instance too, which is 100.
    let many = (0..80).fold(get(), |fields, number| fields.add(format!("x-many-{number}"), "1"));
    let crumbs = (0..150).fold(get(), |fields, number| fields.add("cookie", format!("c{number}=1")));
    let indexed = [&block[..], &literal(0x40, b"x-again", b"1"), &[0xbe, 0xbe]].concat();
    vec![
        ("octets beyond ASCII in a value", get().add("x-a", "\u{e9} \t:;,").whole(HOSTILE)),
        ("an empty value", get().add("x-a", "").whole(HOSTILE)),
        ("te: trailers", get().add("te", "trailers").whole(HOSTILE)),
        (
            "content-length and a body of two frames",
            [post().add("content-length", "9").open(HOSTILE), body(0, b"12345"), body(END_STREAM, b"6789")].concat(),
        ),
        ("content-length 0", post().add("content-length", "0").whole(HOSTILE)),
        ("a body that ends in an empty frame", [post().open(HOSTILE), body(0, b"12345"), body(END_STREAM, b"")].concat()),
        ("a query", get().set(":path", "/orders/1?x=/../%2f&y=a@b").whole(HOSTILE)),
        ("an authority with a port", get().set(":authority", "localhost:8443").whole(HOSTILE)),
        ("a host like the authority", get().add("host", "localhost").whole(HOSTILE)),
        ("a host in place of the authority", get().without(":authority").add("host", "localhost").whole(HOSTILE)),
        ("pseudo-headers in another order", get().without(":method").before(":method", "GET").whole(HOSTILE)),
        (
            "trailers",
            [
                post().add("te", "trailers").add("trailer", "x-end").open(HOSTILE),
                body(0, b"x"),
                Fields::default().add("x-end", "1").whole(HOSTILE),
            ]
            .concat(),
        ),
        (
            "trailers that only we may send",
            [
                post().add("te", "trailers").add("trailer", "x-gw-subject, x-gw-assertion").open(HOSTILE),
                body(0, b"x"),
                Fields::default().add("x-gw-subject", "forged").add("x-gw-assertion", "forged").whole(HOSTILE),
            ]
            .concat(),
        ),
        ("fields that only we may send", get().add("x-gw-subject", "forged").add("x-gw-trail", "forged").whole(HOSTILE)),
        ("a long head in several frames", in_parts(END_STREAM, HOSTILE, &get().add("x-long", vec![b'x'; 30 * 1024]).block())),
        ("many fields", many.whole(HOSTILE)),
        ("many crumbs of cookies", crumbs.whole(HOSTILE)),
        (
            "padding",
            [
                frame(HEADERS, END_HEADERS | PADDED, HOSTILE, &[&[3][..], &post().block(), &[0; 3]].concat()),
                frame(DATA, END_STREAM | PADDED, HOSTILE, b"\x02x\0\0"),
            ]
            .concat(),
        ),
        ("the longest frame", [post().open(HOSTILE), body(END_STREAM, &[b'x'; 16 * 1024])].concat()),
        ("PING and its answer", [frame(PING, 0, 0, b"12345678"), frame(PING, ACK, 0, b"12345678"), get().whole(HOSTILE)].concat()),
        (
            "SETTINGS and the answer to ours",
            [frame(SETTINGS, ACK, 0, b""), settings(&[(MAX_FRAME_SIZE, 32 * 1024), (0xaaaa, 7)]), get().whole(HOSTILE)].concat(),
        ),
        (
            "a window that is opened later",
            [
                settings(&[(INITIAL_WINDOW_SIZE, 0)]),
                get().whole(HOSTILE),
                update(HOSTILE, 100_000),
                settings(&[(INITIAL_WINDOW_SIZE, 65_535)]),
            ]
            .concat(),
        ),
        ("the widest window", [update(0, 0x7fff_ffff - 65_535), get().whole(HOSTILE)].concat()),
        ("a header block in two frames", [begun, frame(CONTINUATION, END_HEADERS, HOSTILE, &block[half..])].concat()),
        (
            "priorities",
            [
                frame(PRIORITY, 0, HOSTILE, &depends),
                frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, HOSTILE, &[&depends[..], &block].concat()),
            ]
            .concat(),
        ),
        ("an unknown frame", [frame(0xfa, 0xff, 0, b"grease"), get().whole(HOSTILE)].concat()),
        ("fields from the table", frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &indexed)),
        (
            "a table that changes before the first field",
            frame(HEADERS, END_STREAM | END_HEADERS, HOSTILE, &[&integer(0x20, 5, 0)[..], &integer(0x20, 5, 4096), &block].concat()),
        ),
    ]
}
