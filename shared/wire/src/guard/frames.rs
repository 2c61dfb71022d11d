//! Frame headers in a stream of HTTP/2 bytes (RFC 9113 §4.1).
//!
//! In: bytes in any portions, behind the preface. Out: each frame's header, with the first octets of its payload where they were asked for. It
//! looks at no other payload and keeps nine bytes and those octets.

use crate::guard::fault::GuardFault;

const HEADER_BYTES: usize = 9;

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

/// Finds the frame headers in a stream of bytes, each with up to `LEAD` octets of its payload.
#[derive(Debug)]
pub(crate) struct Frames<const LEAD: usize> {
    header: [u8; HEADER_BYTES],
    lead: [u8; LEAD],
    /// Bytes of `header`, and then of `lead`, that are there.
    have: usize,
    /// Bytes of the payload behind `lead` that are still to come.
    left: u32,
}

impl<const LEAD: usize> Default for Frames<LEAD> {
    fn default() -> Self {
        Self { header: [0; HEADER_BYTES], lead: [0; LEAD], have: 0, left: 0 }
    }
}

impl<const LEAD: usize> Frames<LEAD> {
    /// Moves over `bytes`, and tells `each` frame when its header is complete and as much of its payload as was asked for.
    #[inline]
    pub(crate) fn walk(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame, &[u8]) -> Result<(), GuardFault>,
    ) -> Result<(), GuardFault> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= u32::try_from(now).unwrap_or(self.left);
                bytes = &bytes[now..];
                continue;
            }
            if self.have < HEADER_BYTES {
                let now = (HEADER_BYTES - self.have).min(bytes.len());
                self.header[self.have..self.have + now].copy_from_slice(&bytes[..now]);
                self.have += now;
                bytes = &bytes[now..];
                if self.have < HEADER_BYTES {
                    break;
                }
            }
            let frame = self.frame();
            let wanted = usize::try_from(frame.length).unwrap_or(usize::MAX).min(LEAD);
            let had = self.have - HEADER_BYTES;
            let now = (wanted - had).min(bytes.len());
            self.lead[had..had + now].copy_from_slice(&bytes[..now]);
            self.have += now;
            bytes = &bytes[now..];
            if had + now == wanted {
                self.have = 0;
                self.left = frame.length - u32::try_from(wanted).unwrap_or(frame.length);
                each(frame, &self.lead[..wanted])?;
            }
        }
        Ok(())
    }

    fn frame(&self) -> Frame {
        let [a, b, c, kind, flags, s, t, u, v] = self.header;
        // The highest bit of the stream identifier is reserved and ignored.
        Frame { length: u32::from_be_bytes([0, a, b, c]), kind, flags, stream: u32::from_be_bytes([s & 0x7f, t, u, v]) }
    }

    /// Whether the present frame has bytes of its payload to come.
    pub(crate) fn is_in_payload(&self) -> bool {
        self.left > 0 || self.have >= HEADER_BYTES
    }

    /// Whether the last byte was the last of a frame.
    pub(crate) fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame with its lead, whatever pieces the bytes come in; and in between there is nothing left over.
    fn check<const LEAD: usize>(bytes: &[u8], expected: &[(u8, u32, &[u8])]) {
        for piece in 1..=bytes.len() {
            let mut frames = Frames::<LEAD>::default();
            let mut found = Vec::new();
            for bytes in bytes.chunks(piece) {
                frames
                    .walk(bytes, |frame, lead| {
                        found.push((frame.kind, frame.stream, lead.to_vec()));
                        Ok(())
                    })
                    .unwrap();
            }
            let expected: Vec<_> = expected.iter().map(|&(kind, stream, lead)| (kind, stream, lead.to_vec())).collect();
            assert_eq!(found, expected, "pieces of {piece}");
            assert!(frames.is_between(), "pieces of {piece}");
        }
    }

    #[test]
    fn frames_are_told_with_as_much_of_their_payload_as_was_asked_for() {
        let bytes = b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\x80\0\0\x05\0\0\0\x08\0\0\x0a\0\0\0\0\0\x070123456789\0\0\x01\x01\x05\0\0\0\x01x";
        check::<0>(bytes, &[(4, 0, b""), (3, 5, b""), (0, 7, b""), (1, 1, b"")]);
        check::<8>(bytes, &[(4, 0, b""), (3, 5, b"\0\0\0\x08"), (0, 7, b"01234567"), (1, 1, b"x")]);
    }
}
