//! HTTP/2 by hand: frames as a test wants them, lawful or not, and what came back (RFC 9113 §4.1, §6).
//!
//! In: types, flags, streams, payloads. Out: bytes for [`crate::raw::Raw`], and what an answer's bytes say. It checks nothing, mends nothing and
//! answers nothing by itself: no SETTINGS are acknowledged, no windows opened.

#![allow(clippy::panic, reason = "what cannot be read fails its test")]

pub mod hpack;
pub mod seen;

/// RFC 9113 §3.4.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub const DATA: u8 = 0x0;
/// See [`DATA`].
pub const HEADERS: u8 = 0x1;
/// See [`DATA`].
pub const PRIORITY: u8 = 0x2;
/// See [`DATA`].
pub const RST_STREAM: u8 = 0x3;
/// See [`DATA`].
pub const SETTINGS: u8 = 0x4;
/// See [`DATA`].
pub const PUSH_PROMISE: u8 = 0x5;
/// See [`DATA`].
pub const PING: u8 = 0x6;
/// See [`DATA`].
pub const GOAWAY: u8 = 0x7;
/// See [`DATA`].
pub const WINDOW_UPDATE: u8 = 0x8;
/// See [`DATA`].
pub const CONTINUATION: u8 = 0x9;

/// Flags.
pub const END_STREAM: u8 = 0x1;
/// See [`END_STREAM`].
pub const ACK: u8 = 0x1;
/// See [`END_STREAM`].
pub const END_HEADERS: u8 = 0x4;
/// See [`END_STREAM`].
pub const PADDED: u8 = 0x8;
/// See [`END_STREAM`].
pub const WITH_PRIORITY: u8 = 0x20;

/// Codes of errors.
pub const CANCEL: u32 = 0x8;

/// Settings.
pub const HEADER_TABLE_SIZE: u16 = 0x1;
/// See [`HEADER_TABLE_SIZE`].
pub const ENABLE_PUSH: u16 = 0x2;
/// See [`HEADER_TABLE_SIZE`].
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// See [`HEADER_TABLE_SIZE`].
pub const MAX_FRAME_SIZE: u16 = 0x5;

/// One frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_else(|fault| panic!("a frame of {} bytes: {fault}", payload.len()));
    let [_, a, b, c] = length.to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A SETTINGS frame.
#[must_use]
pub fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = all.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// Preface and SETTINGS of a client that keeps no table, so that [`seen::Seen`] can read every answer by itself.
#[must_use]
pub fn opening(more: &[(u16, u32)]) -> Vec<u8> {
    [PREFACE, &settings(&[&[(HEADER_TABLE_SIZE, 0)], more].concat())].concat()
}

/// A header block in HEADERS and as many CONTINUATIONs as it takes.
#[must_use]
pub fn in_parts(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = block.chunks(16 * 1024).collect();
    let last = parts.len() - 1;
    let flag = |place| if place == last { END_HEADERS } else { 0 };
    let one = |(place, part): (usize, &&[u8])| match place {
        0 => frame(HEADERS, flags | flag(0), stream, part),
        _ => frame(CONTINUATION, flag(place), stream, part),
    };
    parts.iter().enumerate().flat_map(one).collect()
}
