//! Which HTTP/2 requests were written, and whether before the other side had said GOAWAY (RFC 9113 §4.1, §6.2, §6.8).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// RFC 9113 §3.4: what a client says before its first frame.
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const GOAWAY: u8 = 7;

/// What went over a connection so far.
#[derive(Debug, Default)]
pub(super) struct Frames {
    inbound: Reader,
    outbound: Reader,
    is_told: bool,
    sent: BTreeSet<u32>,
}

/// Finds the heads of frames in bytes as they come.
#[derive(Debug, Default)]
struct Reader {
    skip: usize,
    head: Vec<u8>,
}

impl Reader {
    /// Type and stream of each frame whose head is complete with these bytes.
    fn read(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, u32)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = (FRAME_HEAD_BYTES - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if let [high, middle, low, kind, _flags, stream @ ..] = &self.head[..]
                && let Ok(stream) = <[u8; 4]>::try_from(stream)
            {
                self.skip = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
                found(*kind, u32::from_be_bytes(stream) & 0x7fff_ffff);
                self.head.clear();
            }
        }
    }
}

impl Frames {
    /// Whether the HEADERS of a stream were written before GOAWAY came.
    pub(super) fn was_sent(&self, stream: u32) -> bool {
        self.sent.contains(&stream)
    }

    fn read(&mut self, bytes: &[u8]) {
        self.inbound.read(bytes, |kind, _| self.is_told |= kind == GOAWAY);
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let is_told = self.is_told;
        self.outbound.read(bytes, |kind, stream| {
            if kind == HEADERS && !is_told {
                self.sent.insert(stream);
            }
        });
    }
}

/// The stream under an HTTP/2 client.
pub(super) struct Watched<IO> {
    inner: IO,
    frames: Rc<RefCell<Frames>>,
}

impl<IO> Watched<IO> {
    /// The stream, and what goes over it.
    pub(super) fn new(inner: IO) -> (Self, Rc<RefCell<Frames>>) {
        let outbound = Reader { skip: PREFACE_BYTES, ..Reader::default() };
        let frames = Rc::new(RefCell::new(Frames { outbound, ..Frames::default() }));
        (Self { inner, frames: Rc::clone(&frames) }, frames)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, out))?;
        self.frames.borrow_mut().read(&out.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.frames.borrow_mut().wrote(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn headers_count_until_goaway_in_whatever_pieces_they_come() {
        let out =
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, &[0; 6]), frame(HEADERS, 1, b"head"), frame(0, 1, b"body")].concat();
        for piece in 1..out.len() {
            let (_, frames) = Watched::new(());
            let mut frames = frames.borrow_mut();
            out.chunks(piece).for_each(|bytes| frames.wrote(bytes));
            assert!(frames.was_sent(1) && !frames.was_sent(3), "pieces of {piece}");
            // A GOAWAY inside of a body is none.
            frame(0, 1, &frame(GOAWAY, 0, b"")).chunks(piece).for_each(|bytes| frames.read(bytes));
            frames.wrote(&frame(HEADERS, 3, b"head"));
            assert!(frames.was_sent(3), "pieces of {piece}");
            frame(GOAWAY, 0, &[0; 8]).chunks(piece).for_each(|bytes| frames.read(bytes));
            frames.wrote(&frame(HEADERS, 5, b"head"));
            assert!(!frames.was_sent(5), "pieces of {piece}");
        }
    }
}
