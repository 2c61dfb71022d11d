//! The id of a request: a UUID, made as version 7 so that ids sort by time (RFC 9562 §5.7).
//!
//! In: milliseconds and randomness, or what a trusted peer wrote. Out: 36 lower-case bytes. Refuses every other spelling.

use std::fmt;

use http::HeaderValue;

use crate::hex;

/// The length of the text form, in bytes.
pub const TEXT_BYTES: usize = 36;

/// Where the hyphens stand in the text form.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The id of one request, the same in both tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// A new id: 48 bits of Unix milliseconds, then randomness with version and variant set in it.
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        id[6..].copy_from_slice(&random);
        id[6] = 0x70 | (id[6] & 0x0f);
        id[8] = 0x80 | (id[8] & 0x3f);
        Self(id)
    }

    /// Reads a UUID of any version in the one spelling that `text` writes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; TEXT_BYTES] = text.try_into().ok()?;
        let mut digits = [0; 32];
        let mut places = digits.iter_mut();
        for (at, byte) in text.iter().enumerate() {
            if HYPHENS.contains(&at) {
                if *byte != b'-' {
                    return None;
                }
            } else {
                *places.next()? = *byte;
            }
        }
        hex::decode(&digits).map(Self)
    }

    /// 8-4-4-4-12 lower-case hexadecimal digits.
    #[must_use]
    pub fn text(&self) -> [u8; TEXT_BYTES] {
        let digits: [u8; 32] = hex::encode(&self.0);
        let mut text = [b'-'; TEXT_BYTES];
        let mut digits = digits.iter();
        for (at, place) in text.iter_mut().enumerate() {
            if !HYPHENS.contains(&at)
                && let Some(digit) = digits.next()
            {
                *place = *digit;
            }
        }
        text
    }

    /// The value of `x-request-id`.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        hex::header(&self.text())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex::ascii(&self.text()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_9562_comes_out() {
        // Appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F at 2022-02-22 14:22:22.00 GMT-5.
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(RequestId::new(0x017f_22e2_79b0, random).to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "017f22e279b07cc398c4dc0c0c07398f",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f ",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
        ] {
            assert_eq!(RequestId::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_reads_back(unix_ms in 0u64..1 << 48, random: [u8; 10]) {
            let id = RequestId::new(unix_ms, random);
            prop_assert_eq!(RequestId::parse(&id.text()), Some(id));
            prop_assert!(id.header() == id.to_string());
            prop_assert_eq!(id.to_string().into_bytes(), id.text().to_vec());
            prop_assert_eq!(id.text()[14], b'7');
            prop_assert!(matches!(id.text()[19], b'8' | b'9' | b'a' | b'b'));
        }

        #[test]
        fn what_reads_is_written_the_same(text in "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}") {
            if let Some(id) = RequestId::parse(text.as_bytes()) {
                prop_assert_eq!(&id.text()[..], text.as_bytes());
            } else {
                prop_assert!(text.bytes().any(|byte| byte.is_ascii_uppercase()));
            }
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = RequestId::parse(&text);
        }

        #[test]
        fn later_ids_sort_later(early in 0u64..1 << 47, more in 1u64..1 << 47, one: [u8; 10], two: [u8; 10]) {
            prop_assert!(RequestId::new(early, one).text() < RequestId::new(early + more, two).text());
        }
    }
}
