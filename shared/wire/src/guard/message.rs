//! What may pass on an HTTP/1 connection, one message after another.
//!
//! In: the bytes that stand at the front, and the corridor's word on an upgrade. Out: how many of them may be handed on. It hands on a head
//! only whole and lawful, never bytes of two messages at once, and nothing behind a message that was the last or that asked to leave HTTP.
//! It does no I/O.

use crate::guard::chunked::ChunkReader;
use crate::guard::fault::GuardFault;
use crate::guard::head::{Framing, HeadReader};
use crate::guard::limits::GuardLimits;

/// Bytes taken from the peer at once while heads are read: the most that can lie behind a head's end and must be kept.
const HEAD_READ_BYTES_MAX: usize = 16 * 1024;
/// Bytes kept while a request that asked for an upgrade is unanswered.
const ASKED_READ_BYTES_MAX: usize = 4096;

/// How the interim answer begins that hyper writes by itself, in one piece (RFC 9110 §15.2.1).
const INTERIM: &[u8] = b"HTTP/1.1 100 ";

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In a head, or between messages.
    Head,
    /// In a body with so many bytes to come.
    Length(u64),
    /// In a chunked body.
    Chunks,
    /// Behind a request that asked for an upgrade.
    Asked,
    /// Not HTTP any more.
    Tunnel,
    /// Behind the last request of the connection.
    Last,
    /// A head was refused.
    Refused,
    /// A body was refused.
    Broken(GuardFault),
}

/// What is to be done with the bytes at the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Hand on so many. More than 0.
    Pass(usize),
    /// Forget so many.
    Skip(usize),
    /// Lawful so far; nothing can be handed on yet.
    More,
    /// Lawful and whole, and not to be handed on before the answer to what stands before it has begun.
    Wait,
}

/// The reader of one connection.
pub(crate) struct Messages {
    phase: Phase,
    head: HeadReader,
    chunks: ChunkReader,
    /// What follows the present message when it leads to no upgrade.
    next: Phase,
    /// The present message asks for an upgrade.
    asks: bool,
    /// An empty line before the present head was dropped.
    skipped: bool,
    heads: u32,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Head,
            head: HeadReader::default(),
            chunks: ChunkReader::default(),
            next: Phase::Head,
            asks: false,
            skipped: false,
            heads: 0,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the message that the last verdict handed on the head of asks for an upgrade.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// The corridor has answered a request that asked for an upgrade.
    pub(crate) fn answered(&mut self, upgraded: bool) {
        self.phase = if upgraded { Phase::Tunnel } else { self.next };
    }

    /// `bytes` were written. Unless they are an interim answer, the heads handed on so far count as being answered.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        if !bytes.starts_with(INTERIM) {
            self.heads = 0;
        }
    }

    /// Nothing more is read from this connection.
    pub(crate) fn refuse(&mut self) {
        self.phase = Phase::Refused;
    }

    /// A message has begun that is not complete, or was refused: the peer may be sending still.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.phase, Phase::Length(_) | Phase::Chunks | Phase::Refused | Phase::Broken(_))
    }

    /// How many bytes may be read at once, so that what must be kept of them stays small.
    pub(crate) fn read_bytes_max(&self) -> usize {
        match self.phase {
            Phase::Head | Phase::Last | Phase::Refused | Phase::Broken(_) => HEAD_READ_BYTES_MAX,
            Phase::Length(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Phase::Chunks => usize::try_from(self.chunks.data_left()).unwrap_or(usize::MAX).max(HEAD_READ_BYTES_MAX),
            Phase::Asked => ASKED_READ_BYTES_MAX,
            Phase::Tunnel => usize::MAX,
        }
    }

    /// Judges `bytes`, which begin where the last verdict ended. A fault in a head is an error; one in a body shows as
    /// [`Phase::Broken`], behind a head that may pass.
    pub(crate) fn judge(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<Verdict, GuardFault> {
        let mut passed = 0;
        if self.phase == Phase::Head {
            match self.read_head(bytes, limits)? {
                Verdict::Pass(len) => passed = len,
                other => return Ok(other),
            }
        }
        passed += self.read_body(&bytes[passed..], limits);
        Ok(if passed == 0 { Verdict::More } else { Verdict::Pass(passed) })
    }

    fn read_head(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<Verdict, GuardFault> {
        if !self.skipped {
            // RFC 9112 §2.2: one empty line before a request is forgiven. It is dropped here, so that nobody else has to agree.
            match bytes {
                [b'\r', b'\n', ..] => {
                    self.skipped = true;
                    return Ok(Verdict::Skip(2));
                }
                [b'\r'] => return Ok(Verdict::More),
                _ => {}
            }
        }
        let Some(head) = self.head.read(bytes, limits)? else { return Ok(Verdict::More) };
        if self.heads >= limits.heads_ahead_max {
            return Err(GuardFault::PipelineTooDeep);
        }
        if head.upgrade && self.heads > 0 {
            // The corridor's word on an upgrade carries no name: there must be one request only that it can mean.
            return Ok(Verdict::Wait);
        }
        self.heads += 1;
        self.skipped = false;
        self.head = HeadReader::default();
        self.next = if head.last { Phase::Last } else { Phase::Head };
        self.asks = head.upgrade;
        self.phase = match head.framing {
            Framing::Length(0) => self.after_message(),
            Framing::Length(left) => Phase::Length(left),
            Framing::Chunked => Phase::Chunks,
        };
        Ok(Verdict::Pass(head.len))
    }

    fn after_message(&self) -> Phase {
        if self.asks { Phase::Asked } else { self.next }
    }

    fn read_body(&mut self, bytes: &[u8], limits: &GuardLimits) -> usize {
        match self.phase {
            Phase::Length(left) => {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - now as u64;
                self.phase = if left == 0 { self.after_message() } else { Phase::Length(left) };
                now
            }
            Phase::Chunks => self.read_chunks(bytes, limits),
            Phase::Tunnel => bytes.len(),
            Phase::Head | Phase::Asked | Phase::Last | Phase::Refused | Phase::Broken(_) => 0,
        }
    }

    fn read_chunks(&mut self, bytes: &[u8], limits: &GuardLimits) -> usize {
        match self.chunks.take(bytes, limits) {
            Ok(taken) => {
                if self.chunks.is_at_end() {
                    self.chunks = ChunkReader::default();
                    self.phase = self.after_message();
                }
                taken
            }
            Err(fault) => {
                self.phase = Phase::Broken(fault);
                0
            }
        }
    }
}
