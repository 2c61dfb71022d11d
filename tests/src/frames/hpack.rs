//! Header blocks by hand (RFC 7541 §6), without Huffman codes: names and values are whatever octets a test wants.

use crate::frames::{END_HEADERS, END_STREAM, HEADERS, frame};

/// The fields of a head, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// The head of a request to `localhost`.
    #[must_use]
    pub fn request(method: &str, path: &str) -> Self {
        Self::default().add(":method", method).add(":scheme", "https").add(":path", path).add(":authority", "localhost")
    }

    /// One more field at the end.
    #[must_use]
    pub fn add(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// One more field at the beginning.
    #[must_use]
    pub fn before(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.insert(0, (name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Another value for a field that is there.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let field = self.0.iter_mut().find(|field| field.0 == name.as_bytes()).unwrap_or_else(|| panic!("no field is called {name}"));
        field.1 = value.as_ref().to_vec();
        self
    }

    /// The same without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|field| field.0 != name.as_bytes());
        self
    }

    /// Its header block.
    #[must_use]
    pub fn block(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(name, value)| literal(0x00, name, value)).collect()
    }

    /// A whole request without a body.
    #[must_use]
    pub fn whole(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &self.block())
    }

    /// A request whose body is to follow.
    #[must_use]
    pub fn open(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, &self.block())
    }
}

/// A literal with a name of its own; `how` is `0x00` for one that is not kept, `0x40` for one that goes into the table.
#[must_use]
pub fn literal(how: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[how][..], &string(name), &string(value)].concat()
}

fn string(octets: &[u8]) -> Vec<u8> {
    [&integer(0x00, 7, octets.len())[..], octets].concat()
}

/// An integer with a prefix of so many bits behind the bits of `first` (RFC 7541 §5.1).
#[must_use]
pub fn integer(first: u8, bits: u8, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![first | u8::try_from(value).unwrap_or_default()];
    }
    let mut octets = vec![first | u8::try_from(most).unwrap_or_default()];
    let mut rest = value - most;
    while rest >= 128 {
        octets.push(u8::try_from(rest % 128).unwrap_or_default() | 0x80);
        rest /= 128;
    }
    octets.push(u8::try_from(rest).unwrap_or_default());
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_standard() {
        // RFC 7541 §C.1.
        assert_eq!(integer(0, 5, 10), [0b01010]);
        assert_eq!(integer(0, 5, 1337), [0b11111, 0b1001_1010, 0b0000_1010]);
        assert_eq!(integer(0, 8, 42), [42]);
    }
}
