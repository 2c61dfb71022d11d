//! A connection of an instance that can be reset.
//!
//! In: a stream, the mood of its instance, and a fate that the instance may seal. Out: the same bytes; in the mood for it the first bytes of an
//! answer, and then an error. Never: resets a connection whose fate was not sealed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::stage::instance::mood::Mood;

/// So many bytes of an answer come before the reset: less than any status line with a field.
const BYTES_OF_ANSWER: usize = 20;

/// Whether a connection ends by a reset. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate(Arc<AtomicBool>);

impl Fate {
    /// It will, as soon as the connection is dropped.
    pub(super) fn seal(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream that is reset when it is dropped after its fate was sealed.
#[derive(Debug)]
pub(super) struct Breakable {
    io: TcpStream,
    mood: watch::Receiver<Mood>,
    fate: Fate,
}

impl Breakable {
    /// The stream, and what seals its fate.
    pub(super) fn new(io: TcpStream, mood: watch::Receiver<Mood>) -> (Self, Fate) {
        let fate = Fate::default();
        (Self { io, mood, fate: fate.clone() }, fate)
    }

    fn breaks(&self) -> bool {
        *self.mood.borrow() == Mood::ResetsInAnswer
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if self.fate.0.load(Ordering::Relaxed) {
            // SO_LINGER of no time: closing throws away what was not sent and says RST. A stream that is gone already needs none.
            let _gone_already = self.io.set_zero_linger();
        }
    }
}

impl AsyncRead for Breakable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.breaks() {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        let first = &bytes[..bytes.len().min(BYTES_OF_ANSWER)];
        ready!(Pin::new(&mut self.io).poll_write(cx, first))?;
        self.fate.seal();
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match slices.first() {
            Some(first) if self.breaks() => self.poll_write(cx, first),
            _ => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
