//! Bytes of a guarded connection that wait to be judged or handed on.
//!
//! In: what was read and cannot go on yet. Out: the same, in order. It bounds nothing: who reads for it reads no more than may wait.

use tokio::io::ReadBuf;

/// Bytes that wait, of which the first `approved` may be handed on. No `Debug`: they hold credentials.
#[derive(Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    start: usize,
    approved: usize,
}

impl Held {
    /// What waits.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Moves approved bytes into `out`; `false` when there are none.
    pub(crate) fn hand_on(&mut self, out: &mut ReadBuf<'_>) -> bool {
        if self.approved == 0 {
            return false;
        }
        let now = self.approved.min(out.remaining());
        out.put_slice(&self.bytes[self.start..self.start + now]);
        self.approved -= now;
        self.consume(now);
        true
    }

    /// Forgets bytes at the front.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Puts bytes behind those that wait.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The first `bytes` may be handed on.
    pub(crate) fn approve(&mut self, bytes: usize) {
        self.approved = bytes.min(self.as_slice().len());
    }

    /// Bytes of memory that it keeps.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
