//! One direction of a WebSocket's tunnel: what one end says goes to the other, until the tunnel is told to end.
//!
//! In: an end that speaks, an end that listens. Out: the bytes as they came; once told, our Close behind the frame that is under way, and nothing
//! behind that. Refuses nothing. Never: puts a byte of ours inside a frame (RFC 6455 §5.4) or behind a Close (§5.5.1).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upgrade::frames::Frames;

/// What is read at once.
const PIECE_BYTES_MAX: usize = 8 * 1024;

/// Our Close, at its longest: head, mask, code.
const CLOSE_BYTES_MAX: usize = 8;

/// RFC 6455 §7.4.1: going away.
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

/// One direction.
pub(crate) struct Way {
    frames: Frames,
    masked: bool,
    /// Read and not written yet: those from `start` to `end`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    stage: Stage,
    /// The end that speaks has nothing more to say.
    ended: bool,
    unflushed: bool,
    shut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// What comes is passed on.
    Passing,
    /// The frame that is under way is passed on, then our Close.
    Told,
    /// Our Close has been said; what comes is thrown away.
    Closing,
}

/// What went through in one turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moved {
    /// Bytes read.
    pub(crate) read: u64,
    /// Bytes written.
    pub(crate) written: u64,
}

impl Way {
    /// From the client, whose frames are masked, or from the instance.
    pub(crate) fn new(masked: bool) -> Self {
        Self {
            frames: Frames::new(masked),
            masked,
            buffer: vec![0; PIECE_BYTES_MAX + CLOSE_BYTES_MAX].into(),
            start: 0,
            end: 0,
            stage: Stage::Passing,
            ended: false,
            unflushed: false,
            shut: false,
        }
    }

    /// Whether a Close of ours may still come after what was said here.
    pub(crate) fn may_be_told(&self) -> bool {
        !self.ended && !self.frames.is_closing() && !self.frames.is_lost()
    }

    /// Our Close follows as soon as the frame that is under way has ended.
    pub(crate) fn tell(&mut self) {
        if self.stage == Stage::Passing {
            self.stage = Stage::Told;
            self.close_at_boundary();
        }
    }

    /// Whether the end that speaks has said its last: it has closed the stream, or it has answered our Close, which it reads as ours in the other
    /// direction.
    pub(crate) fn is_heard(&self) -> bool {
        self.ended || (self.stage == Stage::Closing && self.frames.is_closed())
    }

    /// Whether both are done: the end that speaks has said its last, and the end that listens was told that nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        self.shut && self.is_heard()
    }

    /// Whether the end that listens got our Close, has answered it, and was told that nothing more comes.
    pub(crate) fn has_parted(&self) -> bool {
        self.shut && self.stage == Stage::Closing
    }

    /// Carries on until it is over. `answered` says that the end that listens has said its last in the other direction, so that nothing holds it
    /// any more.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        speaker: &mut (impl AsyncRead + Unpin),
        listener: &mut (impl AsyncWrite + Unpin),
        answered: bool,
        moved: &mut Moved,
    ) -> Poll<io::Result<()>> {
        loop {
            match ready!(self.carry(cx, speaker, listener, answered, moved)) {
                // The listener is gone, which is what we asked of it; the speaker still has its own farewell to say.
                Err(_) if self.stage == Stage::Closing && !self.shut => {
                    (self.start, self.end, self.unflushed, self.shut) = (0, 0, false, true);
                }
                carried => return Poll::Ready(carried),
            }
        }
    }

    fn carry(
        &mut self,
        cx: &mut Context<'_>,
        speaker: &mut (impl AsyncRead + Unpin),
        listener: &mut (impl AsyncWrite + Unpin),
        answered: bool,
        moved: &mut Moved,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.start < self.end {
                let written = ready!(Pin::new(&mut *listener).poll_write(cx, self.buffer.get(self.start..self.end).unwrap_or_default()))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += written;
                self.unflushed = true;
                moved.written += written as u64;
            }
            (self.start, self.end) = (0, 0);
            if !self.is_heard() && self.poll_read(cx, speaker, moved)?.is_ready() {
                continue;
            }
            if self.unflushed {
                ready!(Pin::new(&mut *listener).poll_flush(cx))?;
                self.unflushed = false;
            }
            if !self.shut && if self.stage == Stage::Closing { answered } else { self.ended } {
                ready!(Pin::new(&mut *listener).poll_shutdown(cx))?;
                self.shut = true;
            }
            return if self.is_over() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
    }

    /// Reads what the speaker has, into an empty buffer.
    fn poll_read(&mut self, cx: &mut Context<'_>, speaker: &mut (impl AsyncRead + Unpin), moved: &mut Moved) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(self.buffer.get_mut(..PIECE_BYTES_MAX).unwrap_or_default());
        match ready!(Pin::new(speaker).poll_read(cx, &mut room)) {
            // Some hang up at once when they are told to go.
            Err(_) if self.stage == Stage::Closing => {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            read => read?,
        }
        let read = room.filled().len();
        moved.read += read as u64;
        self.ended = read == 0;
        self.take(read);
        Poll::Ready(Ok(()))
    }

    /// Looks at the first `read` bytes of the buffer, and decides how many of them are passed on.
    fn take(&mut self, read: usize) {
        let bytes = self.buffer.get(..read).unwrap_or_default();
        match self.stage {
            Stage::Passing => {
                self.frames.read(bytes);
                self.end = read;
            }
            Stage::Told => {
                self.end = self.frames.read_frame(bytes);
                if self.frames.is_at_boundary() {
                    // What stands behind the frame is not passed on, but it may hold the answer.
                    let behind = self.buffer.get(self.end..read).unwrap_or_default();
                    let mut frames = self.frames.clone();
                    frames.read(behind);
                    self.close_at_boundary();
                    self.frames = frames;
                } else {
                    // Lost or closed meanwhile: then it all goes its way, as if nobody had told us.
                    self.end = read;
                }
            }
            Stage::Closing => self.frames.read(bytes),
        }
    }

    /// Puts our Close behind what is to be written, if a frame may begin there.
    fn close_at_boundary(&mut self) {
        if !self.frames.is_at_boundary() {
            return;
        }
        // As a client's, ours is masked by a key that nobody can foretell (RFC 6455 §5.3).
        let [high, low] = GOING_AWAY;
        let key: [u8; 4] = rand::random();
        let masked = [0x88, 0x82, key[0], key[1], key[2], key[3], high ^ key[0], low ^ key[1]];
        let close: &[u8] = if self.masked { &masked } else { &[0x88, 0x02, high, low] };
        let end = self.end + close.len();
        if let Some(room) = self.buffer.get_mut(self.end..end) {
            room.copy_from_slice(close);
            self.end = end;
            self.stage = Stage::Closing;
        }
    }
}
