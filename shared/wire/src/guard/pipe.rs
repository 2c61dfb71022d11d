//! The connection below the guard: every byte counted, every wait bounded.
//!
//! In: the I/O of a connection. Out: the same reads and writes, bounded in size and time. It refuses a peer that takes nothing of what is
//! written to it, and ends a refused connection so that the answer arrives. It never looks at a byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::fault::GuardFault;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;
use crate::guard::pace::Deadline;

/// Bytes thrown away at once.
const WASTE_BYTES: usize = 4096;

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    Not,
    InWrite,
    InFlush,
}

/// I/O with its counts and deadlines.
#[derive(Debug)]
pub(crate) struct Pipe<IO> {
    io: IO,
    pub(crate) limits: GuardLimits,
    pub(crate) line: Arc<GuardLine>,
    /// From the first byte of a head to its last; after the shutdown, how long the peer is listened to.
    pub(crate) head_deadline: Deadline,
    write_deadline: Deadline,
    blocked: Blocked,
    /// Our side is closed.
    shut: bool,
    wasted: usize,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Pipe<IO> {
    pub(crate) fn new(io: IO, limits: GuardLimits, line: Arc<GuardLine>) -> Self {
        Self {
            io,
            limits,
            line,
            head_deadline: Deadline::default(),
            write_deadline: Deadline::default(),
            blocked: Blocked::Not,
            shut: false,
            wasted: 0,
        }
    }

    pub(crate) fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Reads at most `bytes_max` bytes into `out`; 0 is the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, bytes_max: usize) -> Poll<io::Result<usize>> {
        let before = out.filled().len();
        let read = if out.remaining() <= bytes_max {
            ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
            out.filled().len() - before
        } else {
            // Without unsafe code a part of a buffer can be lent only when it is initialised; only the part that is lent is.
            let mut part = ReadBuf::new(out.initialize_unfilled_to(bytes_max));
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
            let read = part.filled().len();
            out.advance(read);
            read
        };
        self.line.count_in(read);
        Poll::Ready(Ok(read))
    }

    /// Reads and throws away, up to `linger_bytes_max` over the life of the connection; `Ready` when the peer has ended or that is used up.
    pub(crate) fn poll_waste(&mut self, cx: &mut Context<'_>) -> Poll<Wasted> {
        let mut space = [0; WASTE_BYTES];
        while self.wasted < self.limits.linger_bytes_max {
            let mut waste = ReadBuf::new(&mut space);
            match ready!(self.poll_read(cx, &mut waste, WASTE_BYTES)) {
                Ok(1..) => self.wasted = self.wasted.saturating_add(waste.filled().len()),
                Ok(0) | Err(_) => return Poll::Ready(Wasted::Ended),
            }
        }
        Poll::Ready(Wasted::Enough)
    }

    /// Whether anything was thrown away.
    pub(crate) fn has_wasted(&self) -> bool {
        self.wasted > 0
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch_write(cx, polled)
    }

    pub(crate) fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch_write(cx, polled)
    }

    pub(crate) fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_flush(cx, polled)
    }

    /// Closes our side; then, if the peer may be sending still, listens on for a while: closing a socket with unread bytes resets it, and
    /// the reset may overtake the answer (RFC 9112 §9.6).
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>, linger: bool) -> Poll<io::Result<()>> {
        self.line.set_quiet(false);
        if !self.shut {
            let polled = Pin::new(&mut self.io).poll_shutdown(cx);
            ready!(self.watch_flush(cx, polled))?;
            self.shut = true;
            self.head_deadline.disarm();
        }
        if !linger {
            return Poll::Ready(Ok(()));
        }
        self.head_deadline.arm(self.limits.linger_time_max);
        if self.poll_waste(cx).is_pending() && !self.head_deadline.poll_over(cx) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn watch_write(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(written)) => {
                self.progressed();
                self.line.count_out(written);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.wait(cx, Blocked::InWrite),
        }
    }

    fn watch_flush(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match polled {
            Poll::Ready(result) => {
                // TCP always says that it is flushed: no news for a write that waits.
                if self.blocked == Blocked::InFlush {
                    self.progressed();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.wait(cx, Blocked::InFlush),
        }
    }

    #[inline]
    fn progressed(&mut self) {
        if self.blocked != Blocked::Not {
            self.blocked = Blocked::Not;
            self.write_deadline.disarm();
        }
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>, on: Blocked) -> Poll<io::Result<T>> {
        self.blocked = on;
        self.line.set_quiet(false);
        self.write_deadline.arm(self.limits.write_stall_max);
        if self.write_deadline.poll_over(cx) {
            self.line.refuse(GuardFault::Stalled);
            return Poll::Ready(Err(refusal(GuardFault::Stalled)));
        }
        Poll::Pending
    }
}

/// Why throwing away has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wasted {
    /// The peer ended or failed.
    Ended,
    /// The allowance is used up.
    Enough,
}

/// A fault as those see it who only know I/O.
pub(crate) fn refusal(fault: GuardFault) -> io::Error {
    let kind = match fault {
        GuardFault::HeadTimeout | GuardFault::Stalled => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, fault.code())
}
