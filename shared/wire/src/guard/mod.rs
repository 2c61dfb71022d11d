//! The framing guard: what stands between TLS and hyper, and reads the same bytes more strictly.
//!
//! In: the I/O of one accepted connection. Out: I/O for hyper that carries only what has one meaning. It refuses whatever two readers could
//! frame differently, heads and frames beyond their ceilings, and peers that are too slow. It never changes, reorders or invents a byte of
//! a lawful message, keeps no copy of one that arrives whole, and judges nothing but framing: what a path, a host or a token means is the
//! corridor's.
//!
//! # What the corridor and the host owe it
//!
//! - The corridor looks at the method first. [`REFUSED_METHOD`] is no request: it answers with the reason of [`GuardLine::refusal`],
//!   nothing else. When a request body fails with `InvalidData`, the same call says why; an answer to it still reaches the client.
//! - For every HTTP/1.1 request with `Connection: upgrade` *and* `Upgrade` it calls [`GuardLine::upgraded`] just before it returns a 101,
//!   or [`GuardLine::settled`] on every other way out. For other requests `settled` does nothing: a head that asks for an upgrade is handed
//!   on only when the answer to what stands before it has begun, so that the word can mean no other request.
//! - The host gives hyper `max_headers` of at least `headers_max` and a buffer of at least `head_bytes_max`, leaves `half_close` off, and
//!   sets the idle timeout between requests. For HTTP/2 it also bounds how long a response body may wait for the client's flow-control
//!   window: a window of zero is lawful, and shows in no I/O.
//!
//! # How a refusal travels
//!
//! In or before a head: hyper reads one synthetic request in its place and nothing after it. So earlier answers of a pipeline go out first,
//! the refusal walks the corridor and gets its record and its problem document, and hyper closes because the request says so. Then the
//! guard listens on for a bounded while, so that no reset overtakes the answer. In a body: an I/O error, for the message is hyper's
//! already. On HTTP/2: GOAWAY with the code that fits, where a frame can stand, and an I/O error that ends the connection.
//!
//! hyper answers a malformed HTTP/2 message or frame by RST_STREAM or GOAWAY, tells nobody, and after RST_STREAM serves what stands behind. The
//! guard reads those codes as they go out (`verdict.rs`), and the 431 that hyper gives by itself (`bare.rs`): the first that only a broken client can cause is the connection's fault, and the
//! connection ends before anything behind it is handed on (RFC 9113 §5.4.2 allows it). What is well framed and refused for what it says, such as
//! a size, a host or a path, costs its stream alone: `unpacked.rs` and the door judge it, and it is answered and recorded like any request.
//!
//! # Pipelines
//!
//! How many heads wait for an answer the guard cannot know, and need not: it hands on one message per read and keeps at most
//! `head_bytes_max` and one read of 16 KiB, while hyper serves one request and reads one ahead. The rest stays in the peer's socket.
//! `heads_ahead_max` bounds the heads handed on since a byte was last written, whatever reads behind it.
//!
//! # What hyper alone accepts
//!
//! hyper 1.12 with h2 0.4.20, held by `tests/hostile_h1.rs` and `tests/hostile_h2.rs`, each case with its lawful twin:
//!
//! | bytes | hyper alone | here |
//! |---|---|---|
//! | `Content-Length` with `Transfer-Encoding` | drops the length, reads chunks, hides that there was one | `both-lengths` |
//! | equal `Content-Length`s | merges them | `content-length-conflict` |
//! | a leading zero in `Content-Length`, octal to some | passes | `content-length-malformed` |
//! | `Content_Length`, `Transfer_Encoding`, which CGI servers fold | passes | `header-name-malformed` |
//! | bare LF, in the first line or behind a field | reads a line, so a field that others took for a value | `bare-lf` |
//! | no `Host`, two, `a@b`, or another than the target's | passes | `host-missing`, `-duplicate`, `-malformed`, `-mismatch` |
//! | `Transfer-Encoding: identity, chunked`, or `chunked` twice | reads chunks | `transfer-encoding-refused` |
//! | `/x#/admin` | cuts the target at `#` in silence | `request-line-malformed` |
//! | octets above 0x7e in the target, `GET *`, any number of empty lines first | passes | `request-line-malformed` |
//! | `CONNECT` | passes, as an upgrade | `method-refused` |
//! | `Connection: content-length` | passes; stripping what it names unframes the message | `connection-malformed` |
//! | `Expect: 200-maybe` | passes | `expect-refused` |
//! | chunk extensions, space behind a chunk size | skips them | `chunk-malformed` |
//! | `Content-Length` in a trailer section | passes | `trailer-malformed` |
//! | PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown frames without end | serves on (20 000 PINGs tried) | `h2-flood-…` |
//! | streams beyond `streams_max` without end | resets each, up to 1024 | `h2-flood-streams` |
//! | any frame for the first behind the preface | serves on | `h2-preface-malformed` |
//! | a malformed HTTP/2 message | resets its stream and serves what stands behind | `h2-protocol-error`, and the end |
//! | an HTTP/2 head beyond its ceiling | answers 431 that nobody records | 431 up to `h2_head_bytes_max`, then `head-too-large` |
//! | equal `content-length`s, values with spaces at their ends, another scheme than the connection's | passes | 400 `framing-invalid` |
//! | a head or a preface that dribbles, a peer that reads nothing | waits, unless its one timer is set | `head-timeout`, `stalled` |
//!
//! hyper itself refuses: different `Content-Length`s, signs and lists in them, folding, space before the colon, bare CR, NUL,
//! `Transfer-Encoding` on 1.0, two spaces, unknown versions, sizes that overflow, LF inside chunk extensions and trailers. The guard
//! refuses them before, because only so they get a record and a problem document. h2 itself bounds resets not yet accepted (20),
//! CONTINUATIONs in a row (6), empty DATA (100 in the life of a connection), and header lists (four times its ceiling).
//!
//! Two things hyper drops from HTTP/2 without a word, so that no one behind it can be misled by them and no one can refuse them either: `#` in
//! `:path` with what stands behind it (`http::uri::PathAndQuery` cuts it off while h2 makes the request, and the guard, which reads no HPACK,
//! cannot see it: `/orders/1#x` is served as `/orders/1`), and lawfully named pseudo-headers in trailers.
//!
//! Stricter than RFC 9112 on purpose: one empty line before a request is dropped and a second refused; chunk extensions are refused (nobody
//! sends them, smugglers do); lengths and chunk sizes fit 63 bits; host names take letters, digits, `-`, `_` and dots; `Connection` may not name framing fields. obs-text passes
//! in values (`field.rs` says why).
//!
//! # What it costs
//!
//! The lowest of five runs on two cores shared with a load of 4 to 7. With hyper (a whole connection in memory, 1000 requests one after
//! another, an empty answer each) the difference lies within the noise of that machine; the lines below it are the steady ones.
//!
//! | | without | with |
//! |---|---|---|
//! | GET by curl, 87 bytes, hyper and all | 0.91 µs | 1.04 µs |
//! | GET by a browser, 942 bytes, hyper and all | 2.14 µs | 2.25 µs |
//! | reading the head of 87 bytes, no hyper | 0.003 µs | 0.09 µs |
//! | reading the head of 942 bytes, no hyper | 0.01 µs | 0.31 µs |
//! | reading 16 KiB of a body: by length, chunked, HTTP/2 DATA | 0.11 µs | 0.13, 0.15, 0.13 µs |
//! | reading an HTTP/2 HEADERS frame | not measured | 0.02 µs |
//!
//! No allocation, no copy and no timer for a request that arrives in one read. To measure again, on a quiet machine: `cargo bench -p wire
//! --bench guard`, several times, and take the lowest.

pub(crate) mod authority;
pub(crate) mod bare;
pub(crate) mod chunked;
pub mod fault;
pub(crate) mod field;
pub(crate) mod frames;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod head;
pub(crate) mod held;
pub mod limits;
pub mod line;
pub(crate) mod message;
pub(crate) mod octets;
pub(crate) mod pace;
pub(crate) mod pipe;
pub(crate) mod request_line;
pub(crate) mod unpacked;
pub(crate) mod verdict;

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

/// The protocol that is read. The HTTP/2 counters are boxed, so that an HTTP/1 connection pays for none.
#[expect(clippy::large_enum_variant, reason = "the larger one is the usual one; a box would only move it")]
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
    /// Reading gives hyper one message after another, each head whole and lawful. In place of the first that is not, it gives one request
    /// with the method [`REFUSED_METHOD`] and then nothing; the corridor answers that with the reason of [`GuardLine::refusal`]. A fault
    /// inside a body is an error of kind `InvalidData`, a stalled write one of kind `TimedOut`.
    pub fn h1(io: IO, limits: GuardLimits, line: Arc<GuardLine>) -> Self {
        Self { pipe: Pipe::new(io, limits, line), side: Side::H1(H1::new()) }
    }

    /// Guards an HTTP/2 connection: counts frames, and errs with kind `InvalidData` when they are a flood, or when hyper has answered one of
    /// them with an error of the protocol.
    pub fn h2(io: IO, limits: GuardLimits, line: Arc<GuardLine>) -> Self {
        let frames = H2::new(limits.h2, limits.h2_head_bytes_max(), Instant::now());
        line.leave_unread(limits);
        Self { pipe: Pipe::new(io, limits, line), side: Side::H2(Box::new(H2Side { frames, fault: None })) }
    }

    /// Waits until an HTTP/1 peer speaks that stands between two messages, and keeps what it says until it is read; `false` when it has ended
    /// instead. So nobody needs a buffer, or hyper, for a peer that only sits there.
    ///
    /// # Errors
    /// Those of reading.
    pub fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Self { pipe, side } = self;
        match side {
            Side::H1(h1) => h1.poll_called(pipe, cx),
            Side::H2(_) => Poll::Ready(Ok(true)),
        }
    }

    /// Takes back what hyper had read of an HTTP/1 connection and not used, when [`GuardLine::is_quiet`]: it is what is read next.
    pub fn give_back(&mut self, bytes: &[u8]) {
        if let Side::H1(h1) = &mut self.side {
            h1.give_back(&self.pipe, bytes);
        }
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
            Side::H1(h1) => h1.written(bytes),
            Side::H2(h2) => h2.wrote(pipe, &[IoSlice::new(bytes)], written),
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { pipe, side } = self.get_mut();
        let written = ready!(pipe.poll_write_vectored(cx, slices))?;
        match side {
            Side::H1(h1) => h1.written(slices.first().map_or(&[], |slice| slice)),
            Side::H2(h2) => h2.wrote(pipe, slices, written),
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { pipe, side } = self.get_mut();
        let flushed = ready!(pipe.poll_flush(cx));
        match side {
            Side::H2(h2) => h2.flushed(pipe, cx, flushed),
            Side::H1(_) => Poll::Ready(flushed),
        }
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
        self.part(pipe, cx, fault);
        Poll::Ready(Err(refusal(fault)))
    }

    /// Says once why the connection ends, and ends it; nobody waits for a peer that was refused.
    fn part<IO: AsyncRead + AsyncWrite + Unpin>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>, fault: GuardFault) {
        if let Some(farewell) = self.frames.farewell(fault) {
            // Whatever comes of it: a part of it is no worse than none.
            let _ = pipe.poll_write(cx, &farewell);
        }
        if pipe.poll_flush(cx).is_ready() {
            let _ = pipe.poll_shutdown(cx, false);
        }
    }

    /// What hyper answers a protocol error with has gone out. It would serve what stands behind a bad stream; but who sends what can be read in
    /// two ways is not asked for more.
    fn flushed<IO: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        pipe: &mut Pipe<IO>,
        cx: &mut Context<'_>,
        flushed: io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let Some(fault) = self.fault else { return Poll::Ready(flushed) };
        self.part(pipe, cx, fault);
        Poll::Ready(Err(refusal(fault)))
    }

    fn wrote<IO>(&mut self, pipe: &Pipe<IO>, slices: &[IoSlice<'_>], written: usize) {
        let mut left = written;
        for slice in slices {
            let now = left.min(slice.len());
            if let Err(fault) = self.frames.wrote(&slice[..now], Instant::now) {
                pipe.line.refuse(fault);
                self.fault.get_or_insert(fault);
            }
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
