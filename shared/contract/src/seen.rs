//! What tier 1 saw of a request, told to tier 2 so that the two can be held against each other.
//!
//! In: method, host and target as a tier read them. Out: the bytes that are hashed, and the form of the header. Never: hashes; that needs a
//! library of its own.
//!
//! `x-gw-seen` is the first half of SHA-256 over method, NUL, host, NUL, target, in lower-case hexadecimal. No part can hold a NUL. It is no
//! signature: only tier 1 can connect, and what it tells is whether both tiers read one request in one way.

use http::HeaderValue;

use crate::hex;

/// Bytes of the digest that are told.
pub const SEEN_BYTES: usize = 16;

/// The pieces that are hashed, in their order: the host as `Host` has it, the target in origin form with its query.
#[must_use]
pub fn pieces<'a>(method: &'a str, host: &'a [u8], target: &'a str) -> [&'a [u8]; 5] {
    [method.as_bytes(), &[0], host, &[0], target.as_bytes()]
}

/// The text of a digest; what is beyond `SEEN_BYTES` is cut.
#[must_use]
pub fn text(digest: &[u8; 32]) -> [u8; 2 * SEEN_BYTES] {
    hex::encode(&digest[..SEEN_BYTES])
}

/// The header's value.
#[must_use]
pub fn header(digest: &[u8; 32]) -> HeaderValue {
    hex::header(&text(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cannot_be_shifted_into_each_other() {
        let whole = |method, host: &str, target| pieces(method, host.as_bytes(), target).concat();
        assert_ne!(whole("GET", "a", "/b"), whole("GET", "a/b", ""));
        assert_ne!(whole("GET", "a", "/b"), whole("GETa", "", "/b"));
        assert_eq!(whole("GET", "a", "/b"), b"GET\0a\0/b");
    }

    #[test]
    fn half_a_digest_is_told() {
        assert_eq!(header(&[0xab; 32]), "ab".repeat(16).as_str());
    }
}
