//! Frame headers in a stream of HTTP/2 bytes (RFC 9113 §4.1).
//!
//! In: bytes in any portions, behind the preface. Out: each frame's header, once it is complete. It looks at no payload and keeps nine bytes.

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

/// Finds the frame headers in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER_BYTES],
    /// Bytes of `header` that are there.
    have: usize,
    /// Bytes of the payload that are still to come.
    left: u32,
}

impl Frames {
    /// Moves over `bytes`, and tells `each` frame when its header is complete.
    #[inline]
    pub(crate) fn walk(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame) -> Result<(), GuardFault>) -> Result<(), GuardFault> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= u32::try_from(now).unwrap_or(self.left);
                bytes = &bytes[now..];
                continue;
            }
            let now = (HEADER_BYTES - self.have).min(bytes.len());
            self.header[self.have..self.have + now].copy_from_slice(&bytes[..now]);
            self.have += now;
            bytes = &bytes[now..];
            if self.have == HEADER_BYTES {
                self.have = 0;
                let [a, b, c, kind, flags, s, t, u, v] = self.header;
                self.left = u32::from_be_bytes([0, a, b, c]);
                // The highest bit of the stream identifier is reserved and ignored.
                each(Frame { length: self.left, kind, flags, stream: u32::from_be_bytes([s & 0x7f, t, u, v]) })?;
            }
        }
        Ok(())
    }

    /// Whether the present frame has bytes to come.
    pub(crate) fn is_in_payload(&self) -> bool {
        self.left > 0
    }
}
