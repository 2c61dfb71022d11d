//! Whole buffers on their way from the workers to one sink's writer.
//!
//! In: buffers of whole lines. Out: the same, in order, and empty ones back. Bounded in bytes; what does not fit is
//! handed back to be counted as lost. Its lock is taken once per buffer, not once per record. Never: waits for the
//! writer, on the workers' side.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::record::plan::WhenFull;

/// How many empty buffers are kept for the workers.
const SPARE_BUFFERS_MAX: usize = 64;
/// An empty buffer that has grown beyond this is given back to the allocator instead.
const SPARE_BUFFER_BYTES_MAX: usize = 128 * 1024;

/// Whole lines, and how many.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    bytes_max: usize,
    when_full: WhenFull,
    state: Mutex<State>,
    /// Something was put in, or the queue was closed.
    filled: Condvar,
    /// The writer has settled a chunk.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
    closed: bool,
    /// Lines ever accepted, and lines ever settled: written, lost by the writer, or dropped from the queue.
    lines_in: u64,
    lines_out: u64,
}

impl Queue {
    pub(super) fn new(bytes_max: usize, when_full: WhenFull) -> Self {
        Self { bytes_max, when_full, state: Mutex::default(), filled: Condvar::new(), settled: Condvar::new() }
    }

    /// Puts `chunk` in. Answers an empty buffer to go on with, and how many lines were lost to keep the ceiling.
    pub(super) fn push(&self, chunk: Chunk) -> (Vec<u8>, u64) {
        let mut state = self.lock();
        let mut lost = 0;
        if self.when_full == WhenFull::DropOldest && chunk.bytes.len() <= self.bytes_max {
            while state.bytes + chunk.bytes.len() > self.bytes_max {
                let Some(oldest) = state.take() else { break };
                lost += oldest.lines;
                state.lines_out += oldest.lines;
                state.keep(oldest.bytes);
            }
        }
        if state.closed || state.bytes + chunk.bytes.len() > self.bytes_max {
            let mut bytes = chunk.bytes;
            bytes.clear();
            return (bytes, lost + chunk.lines);
        }
        state.bytes += chunk.bytes.len();
        state.lines_in += chunk.lines;
        state.chunks.push_back(chunk);
        let spare = state.spare.pop().unwrap_or_default();
        drop(state);
        self.filled.notify_one();
        (spare, lost)
    }

    /// The next chunk for the writer, who says by `done` what became of the former one. Waits; `None` is the end.
    pub(super) fn next(&self, done: Option<Chunk>) -> Option<Chunk> {
        let mut state = self.lock();
        if let Some(done) = done {
            state.lines_out += done.lines;
            state.keep(done.bytes);
            self.settled.notify_all();
        }
        loop {
            if let Some(chunk) = state.take() {
                return Some(chunk);
            }
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all that stood in the queue at the call is settled. Answers how many lines are not.
    pub(super) fn settle(&self, until: Instant) -> u64 {
        let mut state = self.lock();
        let goal = state.lines_in;
        loop {
            let left = goal.saturating_sub(state.lines_out);
            let time = until.saturating_duration_since(Instant::now());
            if left == 0 || time.is_zero() {
                return left;
            }
            state = self.settled.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().chunks.is_empty()
    }

    /// Nothing more comes. The writer ends when it has written the rest.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// No code under this lock can panic half-way, so that a poisoned state is a whole one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.bytes.len();
        Some(chunk)
    }

    fn keep(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS_MAX && bytes.capacity() <= SPARE_BUFFER_BYTES_MAX {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}
