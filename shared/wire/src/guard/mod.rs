//! The framing guard.

pub(crate) mod authority;
pub(crate) mod chunked;
pub mod fault;
pub(crate) mod field;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod head;
pub mod limits;
pub mod line;
pub(crate) mod message;
pub(crate) mod octets;
pub(crate) mod pace;
pub(crate) mod pipe;
pub(crate) mod request_line;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::guard::fault::GuardFault;
use crate::guard::h1::H1;
use crate::guard::h2::H2;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;
use crate::guard::pipe::{Pipe, refusal};

/// The method of the one synthetic request that a refused connection hands to hyper. A client that says it is refused itself.
pub const REFUSED_METHOD: &str = "GWREFUSED";

/// The framing guard around the I/O of one connection, between TLS and hyper.
///
/// A task with a tokio timer must drive it; it makes a timer only when something is late.
pub struct Guard<IO> {
    pipe: Pipe<IO>,
    side: Side,
}

/// The protocol that is read. Boxed where it is large, so that an idle HTTP/1 connection pays for no HTTP/2 counters.
enum Side {
    H1(H1),
    H2(Box<H2Side>),
}

struct H2Side {
    frames: H2,
    fault: Option<GuardFault>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Guard<IO> {
    /// Guards an HTTP/1 connection.
    ///
    /// Reading gives hyper one message after another, each head whole and lawful. In place of the first that is not, it gives one request with the method
    /// [`REFUSED_METHOD`] and then nothing; the corridor answers that with the reason of [`GuardLine::refusal`]. A fault inside a body is an error of
    /// kind `InvalidData`, a stalled write one of kind `TimedOut`.
    pub fn h1(io: IO, limits: GuardLimits, line: Arc<GuardLine>) -> Self {
        Self { pipe: Pipe::new(io, limits, line), side: Side::H1(H1::new()) }
    }

    /// Guards an HTTP/2 connection: counts frames, and errs with kind `InvalidData` when they are a flood.
    pub fn h2(io: IO, limits: GuardLimits, line: Arc<GuardLine>) -> Self {
        let frames = H2::new(limits.h2, Instant::now());
        Self { pipe: Pipe::new(io, limits, line), side: Side::H2(Box::new(H2Side { frames, fault: None })) }
    }

    /// What is guarded.
    pub fn get_ref(&self) -> &IO {
        self.pipe.get_ref()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { pipe, side } = self.get_mut();
        match side {
            Side::H1(h1) => h1.poll_read(pipe, cx, out),
            Side::H2(h2) => h2.poll_read(pipe, cx, out),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { pipe, side } = self.get_mut();
        let written = ready!(pipe.poll_write(cx, bytes))?;
        match side {
            Side::H1(h1) => h1.written(),
            Side::H2(h2) => h2.frames.wrote(bytes.get(..written).unwrap_or(bytes)),
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { pipe, side } = self.get_mut();
        let written = ready!(pipe.poll_write_vectored(cx, slices))?;
        match side {
            Side::H1(h1) => h1.written(),
            Side::H2(h2) => h2.wrote(slices, written),
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().pipe.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { pipe, side } = self.get_mut();
        let linger = match side {
            Side::H1(h1) => h1.is_unread() || pipe.has_wasted(),
            // A flood is no conversation.
            Side::H2(_) => false,
        };
        pipe.poll_shutdown(cx, linger)
    }
}

impl H2Side {
    fn poll_read<IO>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(refusal(fault)));
        }
        let before = out.filled().len();
        let fault = match pipe.poll_read(cx, out, usize::MAX) {
            Poll::Ready(Ok(_)) => match self.frames.read(&out.filled()[before..], Instant::now) {
                Ok(requests) => {
                    pipe.line.count_heads(requests);
                    // One head that has come whole is progress, though the next has begun in the same read.
                    if requests > 0 || !self.frames.in_head() {
                        pipe.head_deadline.disarm();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(fault) => fault,
            },
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                if self.frames.in_head() {
                    pipe.head_deadline.arm(pipe.limits.head_time_max);
                }
                if !pipe.head_deadline.poll_over(cx) {
                    return Poll::Pending;
                }
                GuardFault::HeadTimeout
            }
        };
        out.set_filled(before);
        pipe.line.refuse(fault);
        self.fault = Some(fault);
        Poll::Ready(Err(refusal(fault)))
    }

    fn wrote(&mut self, slices: &[IoSlice<'_>], written: usize) {
        let mut left = written;
        for slice in slices {
            let now = left.min(slice.len());
            self.frames.wrote(&slice[..now]);
            left -= now;
            if left == 0 {
                break;
            }
        }
    }
}

/// Prints what was seen and never a byte of it: heads hold credentials.
impl<IO> fmt::Debug for Guard<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("line", &self.pipe.line).finish_non_exhaustive()
    }
}
