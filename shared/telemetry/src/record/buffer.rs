//! A worker's side of the records: where a line is made and gathered.
//!
//! In: an event's kind, and what writes its line. Out: whole lines, gathered per sink, handed over when a buffer is
//! full, when it has waited long enough (`tick`), and when the worker ends. Never: blocks, or hands over half a line.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Instant;

use crate::record::queue::Chunk;
use crate::record::{Kind, Records, Sink};

/// A buffer is handed over when it has come to hold this much.
pub const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// A longer record is not kept, and counted as lost: no head that the gateway accepts can make one.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// The records of one worker. It stays on its worker; dropping it hands over what it holds.
pub struct RecordBuffer {
    records: Records,
    waiting: RefCell<Vec<Waiting>>,
    /// A line is made here first, so that a panic in the making leaves no half line behind.
    line: Cell<Vec<u8>>,
}

/// What waits for one sink.
#[derive(Debug, Default)]
struct Waiting {
    chunk: Chunk,
    /// When its first line came.
    since: Option<Instant>,
}

impl RecordBuffer {
    pub(super) fn new(records: Records) -> Self {
        let waiting = records.sinks.iter().map(|_| Waiting::default()).collect();
        Self { records, waiting: RefCell::new(waiting), line: Cell::default() }
    }

    /// Whether any sink takes records of this kind; without one there is no need to gather their facts.
    #[must_use]
    pub fn takes(&self, kind: Kind) -> bool {
        self.records.taken & kind.bit() != 0
    }

    /// Writes one record: `line` appends one JSON object (see `json::Line`); the newline is added here. It is not
    /// called when no sink takes the kind.
    pub fn write(&self, kind: Kind, line: impl FnOnce(&mut Vec<u8>)) {
        if !self.takes(kind) {
            return;
        }
        let mut text = self.line.take();
        text.clear();
        line(&mut text);
        text.push(b'\n');
        self.gather(kind, &text);
        if text.capacity() <= RECORD_BYTES_MAX {
            self.line.set(text);
        }
    }

    /// Hands over what has waited for half its sink's flush interval or longer. Called every
    /// [`Records::tick_every`], no record waits longer than the interval, however idle its worker is.
    pub fn tick(&self) {
        self.hand_over_where(|sink, since| since.elapsed() >= sink.flush / 2);
    }

    /// Hands over everything.
    pub fn flush(&self) {
        self.hand_over_where(|_, _| true);
    }

    fn gather(&self, kind: Kind, text: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        for (sink, waiting) in self.records.sinks.iter().zip(waiting.iter_mut()) {
            if sink.kinds & kind.bit() == 0 {
                continue;
            }
            if text.len() > RECORD_BYTES_MAX {
                sink.books.made.inc();
                sink.books.lost_long.inc();
                continue;
            }
            if waiting.since.is_none() {
                waiting.since = Some(Instant::now());
                waiting.chunk.bytes.reserve(BUFFER_BYTES_MAX);
            }
            waiting.chunk.bytes.extend_from_slice(text);
            waiting.chunk.lines += 1;
            if waiting.chunk.bytes.len() >= BUFFER_BYTES_MAX {
                waiting.hand_over(sink);
            }
        }
    }

    fn hand_over_where(&self, due: impl Fn(&Sink, Instant) -> bool) {
        let mut waiting = self.waiting.borrow_mut();
        for (sink, waiting) in self.records.sinks.iter().zip(waiting.iter_mut()) {
            if waiting.since.is_some_and(|since| due(sink, since)) {
                waiting.hand_over(sink);
            }
        }
    }
}

impl Waiting {
    fn hand_over(&mut self, sink: &Sink) {
        self.since = None;
        let full = std::mem::take(&mut self.chunk);
        sink.books.made.inc_by(full.lines);
        let (empty, lost) = sink.queue.push(full);
        sink.books.lost_full.inc_by(lost);
        self.chunk.bytes = empty;
    }
}

impl fmt::Debug for RecordBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBuffer").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Drop for RecordBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}
