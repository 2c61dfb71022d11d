//! What came back over an HTTP/2 connection, for clients that keep no table ([`crate::frames::opening`]).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::frames::{DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM};

const FRAME_HEAD_BYTES: usize = 9;

/// All that was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Answers by stream.
    pub answers: BTreeMap<u32, Answer>,
    /// Streams that were reset, with the code.
    pub resets: Vec<(u32, u32)>,
    /// The codes of GOAWAYs.
    pub farewells: Vec<u32>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, as far as it came.
    pub body: Vec<u8>,
    /// Whether it is whole.
    pub is_whole: bool,
}

impl Answer {
    /// The status with the reason of a problem, or with the service that answered.
    #[must_use]
    pub fn says(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let word = body["reason"].as_str().or(body["service"].as_str()).unwrap_or("-");
        format!("{} {word}", self.status)
    }
}

impl Seen {
    /// Reads all whole frames.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Self {
        let mut seen = Self::default();
        while let Some((&[a, b, c, kind, flags, s, t, u, v], rest)) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>() {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            seen.frame(kind, flags, u32::from_be_bytes([s, t, u, v]), payload);
            bytes = rest;
        }
        seen
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let code = |at: usize| payload.get(at..at + 4).and_then(|octets| octets.try_into().ok()).map_or(u32::MAX, u32::from_be_bytes);
        match kind {
            HEADERS => {
                let answer = self.answers.entry(stream).or_default();
                if answer.status == 0 {
                    answer.status = status(payload);
                }
                answer.is_whole |= flags & END_STREAM != 0;
            }
            DATA => {
                let answer = self.answers.entry(stream).or_default();
                answer.body.extend_from_slice(payload);
                answer.is_whole |= flags & END_STREAM != 0;
            }
            RST_STREAM => self.resets.push((stream, code(0))),
            GOAWAY => self.farewells.push(code(4)),
            _ => {}
        }
    }

    /// Whether a stream has its whole answer.
    #[must_use]
    pub fn has(&self, stream: u32) -> bool {
        self.answers.get(&stream).is_some_and(|answer| answer.is_whole)
    }
}

/// The status with which a header block begins: an index of the static table, or a literal, behind changes of the table's size.
fn status(block: &[u8]) -> u16 {
    let begin = block.iter().position(|octet| !(0x20..0x40).contains(octet)).unwrap_or(block.len());
    match &block[begin..] {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [0x48 | 0x08 | 0x18, length, text @ ..] if length & 0x80 == 0 => {
            text.get(..usize::from(*length)).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()).unwrap_or_default()
        }
        [0x48 | 0x08 | 0x18, length, text @ ..] => digits(text.get(..usize::from(length & 0x7f)).unwrap_or_default()),
        _ => 0,
    }
}

/// Digits in the Huffman code of RFC 7541, appendix B: five bits for 0 to 2, six for the others.
fn digits(octets: &[u8]) -> u16 {
    let bits: Vec<u16> = octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| u16::from(octet >> bit & 1))).collect();
    let number = |bits: &[u16]| bits.iter().fold(0, |number, bit| number << 1 | bit);
    let mut rest = &bits[..];
    let mut found = 0;
    while rest.len() >= 5 {
        let (digit, length) = match number(&rest[..5]) {
            short @ 0..=2 => (short, 5),
            _ if rest.len() >= 6 && (0b01_1001..=0b01_1111).contains(&number(&rest[..6])) => (number(&rest[..6]) - 0b01_1001 + 3, 6),
            _ => break,
        };
        found = found * 10 + digit;
        rest = &rest[length..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::frame;

    #[test]
    fn statuses_are_read_in_each_form() {
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8c]), 400);
        assert_eq!(status(b"\x08\x03431"), 431);
        // RFC 7541 §C.6.1 and §C.6.2: 302 and 307.
        assert_eq!((status(&[0x48, 0x82, 0x64, 0x02]), status(&[0x20, 0x08, 0x83, 0x64, 0x0e, 0xff])), (302, 307));
    }

    #[test]
    fn frames_are_told_apart() {
        let bytes =
            [frame(HEADERS, 4, 1, &[0x8c]), frame(DATA, 1, 1, b"{\"reason\":\"x\"}"), frame(RST_STREAM, 0, 3, &[0, 0, 0, 1])].concat();
        let seen = Seen::read(&[&bytes[..], &frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 1]), b"\0\0\x01"].concat());
        assert_eq!((seen.answers[&1].says().as_str(), seen.has(1), seen.has(3)), ("400 x", true, false));
        assert_eq!((seen.resets, seen.farewells), (vec![(3, 1)], vec![1]));
    }
}
