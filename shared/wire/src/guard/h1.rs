//! The reading side of a guarded HTTP/1 connection.
//!
//! In: bytes from the peer. Out: the same bytes, as far as they were found lawful, in hyper's own buffer; in place of a head that was not,
//! the one synthetic request. It reads into the buffer that hyper lends and judges there, so that the usual request is neither copied nor
//! kept; only what must wait (half a head, the beginning of a next one) moves into a buffer of its own, which is given back when it has run
//! empty.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::fault::GuardFault;
use crate::guard::held::Held;
use crate::guard::message::{Messages, Phase, Verdict};
use crate::guard::pipe::{Pipe, Wasted, refusal};

/// What hyper reads instead of a head that was refused. It closes, so hyper reads nothing after it and ends the connection itself.
const REFUSED_HEAD: &[u8] = b"GWREFUSED / HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n";

/// Bytes that are taken of a message while nobody has asked for it: most heads, so that they are judged whole.
const CALL_BYTES: usize = 2048;

/// The state of the reading side.
pub(crate) struct H1 {
    messages: Messages,
    held: Held,
    /// Bytes of [`REFUSED_HEAD`] that were handed on.
    told: usize,
    /// Woken by a write: a head waits for the answer to the one before it.
    reader: Option<Waker>,
}

/// What is to be done when what waits was judged.
enum Next {
    Again,
    Read,
    Wait,
}

impl H1 {
    pub(crate) fn new() -> Self {
        Self { messages: Messages::new(), held: Held::default(), told: 0, reader: None }
    }

    /// Something that begins with `bytes` was written.
    #[inline]
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        self.messages.written(bytes);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether the peer may be sending still what nobody will read when our side closes. A tunnel closes one direction at a time.
    pub(crate) fn is_unread(&self) -> bool {
        self.messages.is_unread() || (!self.held.is_empty() && self.messages.phase() != Phase::Tunnel)
    }

    pub(crate) fn poll_read<IO>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.held.hand_on(out) {
                return Poll::Ready(Ok(()));
            }
            match self.messages.phase() {
                Phase::Refused => return self.tell_refusal(out),
                Phase::Broken(fault) => return Poll::Ready(Err(refusal(fault))),
                Phase::Last => return self.poll_last(pipe, cx),
                Phase::Asked => match pipe.line.poll_upgrade(cx) {
                    Poll::Ready(granted) => {
                        self.messages.answered(granted);
                        continue;
                    }
                    Poll::Pending if self.held.as_slice().len() >= self.messages.read_bytes_max() => return Poll::Pending,
                    Poll::Pending => {}
                },
                Phase::Head | Phase::Length(_) | Phase::Chunks | Phase::Tunnel => match self.judge_held(pipe) {
                    Next::Again => continue,
                    Next::Read => {}
                    Next::Wait => {
                        self.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                },
            }
            let before = out.filled().len();
            match pipe.poll_read(cx, out, self.messages.read_bytes_max()) {
                Poll::Ready(Ok(0)) => {
                    self.ended(pipe);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {
                    pipe.line.set_quiet(false);
                    self.judge_read(pipe, out, before);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.is_late(pipe, cx) => {}
                Poll::Pending => {
                    pipe.line.set_quiet(self.held.is_empty() && self.messages.phase() == Phase::Head);
                    return Poll::Pending;
                }
            }
            if out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Between two messages: waits until the peer speaks, and keeps what it says until it is asked for; `false` when it has ended instead.
    pub(crate) fn poll_called<IO>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>) -> Poll<io::Result<bool>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.held.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let mut space = [0; CALL_BYTES];
        let mut call = ReadBuf::new(&mut space);
        let read = ready!(pipe.poll_read(cx, &mut call, CALL_BYTES))?;
        pipe.line.set_quiet(false);
        self.held.push(call.filled());
        Poll::Ready(Ok(read > 0))
    }

    /// Takes back bytes that were handed on and not used. Nothing may have been read behind them.
    pub(crate) fn give_back<IO>(&mut self, pipe: &Pipe<IO>, bytes: &[u8]) {
        if !bytes.is_empty() {
            pipe.line.set_quiet(false);
        }
        self.held.push(bytes);
        self.held.approve(bytes.len());
    }

    /// Judges what waits.
    fn judge_held<IO>(&mut self, pipe: &mut Pipe<IO>) -> Next {
        if self.held.is_empty() {
            return Next::Read;
        }
        let in_head = self.messages.phase() == Phase::Head;
        match self.messages.judge(self.held.as_slice(), &pipe.limits) {
            Ok(Verdict::Pass(bytes)) => {
                self.held.approve(bytes);
                self.passed(pipe, in_head);
                Next::Again
            }
            Ok(Verdict::Skip(bytes)) => {
                self.held.consume(bytes);
                Next::Again
            }
            Ok(Verdict::More) => {
                self.note_broken(pipe);
                if matches!(self.messages.phase(), Phase::Broken(_)) { Next::Again } else { Next::Read }
            }
            Ok(Verdict::Wait) => Next::Wait,
            Err(fault) => {
                self.refuse(pipe, fault);
                Next::Again
            }
        }
    }

    /// Judges what was just read into `out` behind `before`, and leaves there what may be handed on.
    fn judge_read<IO>(&mut self, pipe: &mut Pipe<IO>, out: &mut ReadBuf<'_>, before: usize) {
        let in_head = self.messages.phase() == Phase::Head;
        let fresh = &out.filled()[before..];
        // What waits stands before what was read, so both are judged together, where it waits.
        let verdict = if self.held.is_empty() { self.messages.judge(fresh, &pipe.limits) } else { Ok(Verdict::More) };
        let passed = match verdict {
            Ok(Verdict::Pass(bytes)) => bytes,
            Ok(Verdict::Skip(_) | Verdict::More | Verdict::Wait) => 0,
            Err(fault) => {
                out.set_filled(before);
                return self.refuse(pipe, fault);
            }
        };
        if fresh.len() > passed {
            self.held.push(&fresh[passed..]);
            out.set_filled(before + passed);
        }
        if let Ok(Verdict::Skip(bytes)) = verdict {
            self.held.consume(bytes);
        }
        if passed > 0 {
            self.passed(pipe, in_head);
        } else {
            self.note_broken(pipe);
        }
    }

    /// Bytes may go on; if they begin with a head, it is counted and no longer waited for.
    fn passed<IO>(&mut self, pipe: &mut Pipe<IO>, with_head: bool) {
        if with_head {
            pipe.head_deadline.disarm();
            pipe.line.set_in_head(false);
            pipe.line.count_heads(1);
            if self.messages.asks() {
                pipe.line.upgrade_asked();
            }
        }
        self.note_broken(pipe);
    }

    fn note_broken<IO>(&mut self, pipe: &mut Pipe<IO>) {
        if let Phase::Broken(fault) = self.messages.phase() {
            pipe.line.refuse(fault);
        }
    }

    fn refuse<IO>(&mut self, pipe: &mut Pipe<IO>, fault: GuardFault) {
        pipe.line.refuse(fault);
        pipe.head_deadline.disarm();
        pipe.line.set_in_head(false);
        self.messages.refuse();
        self.held = Held::default();
    }

    /// Nothing came. Refuses if a head has been waited for too long; else gives back the buffer if nothing is in it.
    fn is_late<IO>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>) -> bool {
        if self.held.is_empty() {
            self.held = Held::default();
            return false;
        }
        if self.messages.phase() != Phase::Head {
            return false;
        }
        pipe.line.set_in_head(true);
        pipe.head_deadline.arm(pipe.limits.head_time_max);
        let late = pipe.head_deadline.poll_over(cx);
        if late {
            self.refuse(pipe, GuardFault::HeadTimeout);
        }
        late
    }

    /// The peer has ended. hyper knows what that means for a body; a half head it never sees.
    fn ended<IO>(&mut self, pipe: &mut Pipe<IO>) {
        if self.messages.phase() == Phase::Head && !self.held.is_empty() {
            pipe.line.refuse(GuardFault::HeadTruncated);
            pipe.line.set_in_head(false);
            self.held = Held::default();
        }
    }

    /// Hands on the synthetic request, and then nothing, not even the end: hyper would take that for a client that has left, and drop the
    /// answer.
    fn tell_refusal(&mut self, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = &REFUSED_HEAD[self.told..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let now = rest.len().min(out.remaining());
        out.put_slice(&rest[..now]);
        self.told += now;
        Poll::Ready(Ok(()))
    }

    /// Behind the last request: tells of the end, throws the rest away.
    fn poll_last<IO>(&mut self, pipe: &mut Pipe<IO>, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let polled = pipe.poll_waste(cx);
        if pipe.has_wasted() || !self.held.is_empty() {
            pipe.line.refuse(GuardFault::DataAfterEnd);
            self.held = Held::default();
        }
        match polled {
            Poll::Ready(Wasted::Ended) => Poll::Ready(Ok(())),
            Poll::Ready(Wasted::Enough) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::guard::limits::GuardLimits;

    #[tokio::test(start_paused = true)]
    async fn the_usual_request_needs_no_buffer_and_the_others_give_theirs_back() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut pipe = Pipe::new(server, GuardLimits::default(), Arc::default());
        let mut h1 = H1::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut space = [0; 8192];
        let mut read = |h1: &mut H1| {
            let mut out = ReadBuf::new(&mut space);
            h1.poll_read(&mut pipe, &mut cx, &mut out).map(|_| out.filled().len())
        };
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok";
        client.write_all(request).await.expect("room");
        assert_eq!(read(&mut h1), Poll::Ready(request.len()));
        assert_eq!(h1.held.capacity(), 0, "nothing was copied");
        client.write_all(&request[..20]).await.expect("room");
        assert!(read(&mut h1).is_pending());
        assert_eq!(h1.held.as_slice().len(), 20);
        client.write_all(&request[20..]).await.expect("room");
        assert_eq!(read(&mut h1), Poll::Ready(request.len()));
        assert!(read(&mut h1).is_pending());
        assert_eq!(h1.held.capacity(), 0, "an idle connection holds nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_something_given_back_is_not_quiet() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut pipe = Pipe::new(server, GuardLimits::default(), Arc::default());
        let mut h1 = H1::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut space = [0; 1024];
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.expect("room");
        let mut out = ReadBuf::new(&mut space);
        assert!(h1.poll_read(&mut pipe, &mut cx, &mut out).is_ready());
        assert!(h1.poll_read(&mut pipe, &mut cx, &mut out).is_pending() && pipe.line.is_quiet());
        h1.give_back(&pipe, b"");
        assert!(pipe.line.is_quiet());
        h1.give_back(&pipe, request);
        assert!(!pipe.line.is_quiet());
        let mut again = [0; 1024];
        let mut again = ReadBuf::new(&mut again);
        assert!(h1.poll_read(&mut pipe, &mut cx, &mut again).is_ready());
        assert_eq!(again.filled(), request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pipeline_waits_in_the_socket() {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        let mut pipe = Pipe::new(server, GuardLimits::default(), Arc::default());
        let mut h1 = H1::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut space = vec![0; 400 * 1024];
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let by_length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";
        // The bodies come when their heads have been read, and everything else with them.
        let (half, rest) = chunked.split_at(chunked.len() - 8);
        client.write_all(half.as_bytes()).await.expect("room");
        for bytes in [format!("{rest}{}", &by_length[..by_length.len() - 5]), format!("56789{}", chunked.repeat(10_000))] {
            let mut out = ReadBuf::new(&mut space);
            assert!(h1.poll_read(&mut pipe, &mut cx, &mut out).is_ready());
            client.write_all(bytes.as_bytes()).await.expect("room");
        }
        for _ in 0..500 {
            let mut out = ReadBuf::new(&mut space);
            pipe.line.settled();
            h1.messages.written(b"HTTP/1.1 200 ");
            assert!(h1.poll_read(&mut pipe, &mut cx, &mut out).is_ready());
            assert!(h1.held.as_slice().len() <= 16 * 1024, "{}", h1.held.as_slice().len());
        }
    }
}
