//! Records: one JSON line per event, to those who keep them.
//!
//! In: events of four kinds, from the workers. Out: whole lines to each sink that takes the kind. A sink that falls
//! behind or fails loses records by its stated policy, counted one by one: made = written + lost, always. Never: a
//! record makes a request wait, or a sink's failure touches one.
//!
//! Lines go into a buffer per worker (`buffer`), from there as whole buffers into a queue per sink (`queue`), and from
//! there to a file or stdout by one thread per sink (`writer`); `books` counts.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::record::books::Books;
use crate::record::buffer::RecordBuffer;
use crate::record::plan::{RecordsPlan, SinkPlan};
use crate::record::queue::Queue;

mod books;
pub mod buffer;
pub mod config;
pub mod plan;
mod queue;
mod writer;

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One request and its answer, written when the answer's body has ended.
    Request,
    /// One connection, written when it has closed.
    Connection,
    /// A stream inside a long-lived exchange: an upgraded connection, a WebSocket.
    Stream,
    /// A sign of life of something that lasts: an exchange that is still open.
    Checkpoint,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Request, Self::Connection, Self::Stream, Self::Checkpoint];

    /// The value of the field `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Connection => "connection",
            Self::Stream => "stream",
            Self::Checkpoint => "checkpoint",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// All sinks of the process; clones are the same. The writers end when the last clone and the last buffer are gone,
/// after they have written what was handed to them.
#[derive(Clone, Debug)]
pub struct Records {
    sinks: Arc<[Sink]>,
    /// Which kinds any sink takes, one bit each.
    taken: u8,
}

/// The workers' side of one sink.
#[derive(Debug)]
struct Sink {
    kinds: u8,
    flush: Duration,
    books: Books,
    queue: Arc<Queue>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A sink could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("records cannot be written to {sink}: {cause}")]
pub struct RecordsFault {
    /// The sink, as the configuration names it.
    pub sink: String,
    /// What the system said.
    pub cause: io::Error,
}

impl Records {
    /// Opens every sink and starts its writer, a thread of its own, for writing to a file or a pipe may block.
    ///
    /// # Errors
    /// A file cannot be opened for appending, or a thread cannot be started.
    pub fn open(plan: &RecordsPlan, metrics: &Metrics) -> Result<Self, RecordsFault> {
        let open = |sink: &SinkPlan| {
            let fault = |cause| RecordsFault { sink: sink.to.to_string(), cause };
            Sink::start(sink, sink.to.open().map_err(fault)?, metrics).map_err(fault)
        };
        Ok(Self::over(plan.sinks.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Records that nobody takes.
    #[must_use]
    pub fn none() -> Self {
        Self::over(Vec::new())
    }

    fn over(sinks: Vec<Sink>) -> Self {
        let taken = sinks.iter().fold(0, |taken, sink| taken | sink.kinds);
        Self { sinks: sinks.into(), taken }
    }

    /// A buffer for one worker. Its lines reach the sinks within their flush interval as long as
    /// [`RecordBuffer::tick`] is called every [`Records::tick_every`].
    #[must_use]
    pub fn buffer(&self) -> RecordBuffer {
        RecordBuffer::new(self.clone())
    }

    /// How often a worker must call [`RecordBuffer::tick`]: half the shortest flush interval.
    #[must_use]
    pub fn tick_every(&self) -> Duration {
        self.sinks.iter().map(|sink| sink.flush / 2).min().unwrap_or(Duration::from_secs(1))
    }

    /// Waits until the writers have settled everything that buffers handed over before this call, at most `within`.
    /// Blocks the calling thread: it is for the end of a drain. The workers' buffers must have been dropped or flushed
    /// before, for nobody else can reach into them. Answers how many records are still not settled; 0 is all well.
    pub fn flush(&self, within: Duration) -> u64 {
        let until = Instant::now() + within;
        self.sinks.iter().map(|sink| sink.queue.settle(until)).sum()
    }
}

impl Sink {
    fn start(plan: &SinkPlan, out: impl io::Write + Send + 'static, metrics: &Metrics) -> io::Result<Self> {
        let name = plan.to.to_string();
        let books = Books::register(metrics, &name);
        let queue = Arc::new(Queue::new(plan.queue_bytes_max, plan.when_full));
        writer::start(name, Arc::clone(&queue), books.clone(), out)?;
        let kinds = plan.kinds.iter().fold(0, |kinds, kind| kinds | kind.bit());
        Ok(Self { kinds, flush: plan.flush, books, queue })
    }
}

#[cfg(test)]
mod tests;
