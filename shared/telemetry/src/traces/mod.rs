//! Spans of sampled requests, on their way to an OpenTelemetry collector.
//!
//! In: the facts of finished spans, with ids from the trace context that went over the wire. Out: OTLP over HTTP in
//! protobuf, in batches, from the control runtime. The queue is bounded; made = exported + lost, counted with reasons.
//! Never: waits on the request path, keeps anything of an unsampled request, or lets a collector's failure touch one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_http::HttpClient;
use tokio::sync::{mpsc, watch};

use crate::metrics::Metrics;
use crate::traces::books::SpanBooks;
use crate::traces::config::TracesPlan;
use crate::traces::span::SpanFacts;

mod books;
pub mod config;
mod export;
pub mod http_span;
pub mod span;

/// Spans that wait for the exporter. More are lost, counted.
pub const SPANS_QUEUED_MAX: usize = 4096;

/// Work for the control runtime.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where sampled spans go; clones are the same.
#[derive(Clone, Debug)]
pub struct Tracing {
    threshold: Threshold,
    outlet: Option<Arc<Outlet>>,
}

/// What the spans say of the process that made them (OpenTelemetry's resource).
#[derive(Clone, Debug)]
pub struct Resource {
    /// `service.name`: the tier's configured name.
    pub service: String,
    /// `service.version`: the build.
    pub version: String,
    /// `service.instance.id`: tells replicas apart.
    pub instance: String,
}

/// The traces could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported: {0}")]
pub struct TracesFault(String);

/// The workers' side of the exporter.
#[derive(Debug)]
struct Outlet {
    queue: mpsc::Sender<SpanFacts>,
    books: SpanBooks,
    /// Spans ever put into the queue.
    queued: AtomicU64,
    /// Spans of the queue that were exported or given up.
    settled: watch::Receiver<u64>,
    /// Until so many spans are settled, the exporter waits for nothing that it need not wait for.
    goal: watch::Sender<u64>,
}

impl Tracing {
    /// No spans. A trace that a client has begun is still continued on the wire: `sample` keeps its flag.
    #[must_use]
    pub fn off() -> Self {
        Self { threshold: Threshold::of(0.0), outlet: None }
    }

    /// Starts the exporter. `http` reaches the collector; `spawn` runs work on the control runtime (tokio, with time).
    ///
    /// # Errors
    /// The exporter refuses the endpoint; after `check` it does not.
    pub fn start(
        plan: &TracesPlan,
        resource: &Resource,
        http: Arc<dyn HttpClient>,
        metrics: &Metrics,
        spawn: impl FnOnce(&'static str, Work),
    ) -> Result<Self, TracesFault> {
        let Some(otlp) = &plan.otlp else { return Ok(Self::off()) };
        let (queue, waiting) = mpsc::channel(SPANS_QUEUED_MAX);
        let (settle, settled) = watch::channel(0);
        let (goal, hurry) = watch::channel(0);
        let books = SpanBooks::register(metrics);
        let exporter = export::Exporter::build(otlp, resource, http, books.clone(), hurry).map_err(TracesFault)?;
        spawn("export spans", Box::pin(exporter.run(waiting, settle)));
        let outlet = Outlet { queue, books, queued: AtomicU64::new(0), settled, goal };
        Ok(Self { threshold: Threshold::of(plan.ratio), outlet: Some(Arc::new(outlet)) })
    }

    /// Whether spans go anywhere at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.outlet.is_some()
    }

    /// Whether a trace is sampled: as its parent says where there is one that is believed, else by the ratio. `random` is any
    /// evenly spread number, such as the last 8 bytes of a trace id that was made here.
    #[must_use]
    pub fn sample(&self, parent_sampled: Option<bool>, random: u64) -> bool {
        parent_sampled.unwrap_or_else(|| self.threshold.takes(random))
    }

    /// Takes one finished span. `facts` is called only when its trace is sampled and spans go somewhere.
    pub fn record_span(&self, sampled: bool, facts: impl FnOnce() -> SpanFacts) {
        let Some(outlet) = self.outlet.as_ref().filter(|_| sampled) else { return };
        outlet.books.made.inc();
        match outlet.queue.try_send(facts()) {
            Ok(()) => {
                outlet.queued.fetch_add(1, Ordering::AcqRel);
            }
            Err(_) => {
                outlet.books.lost_full.inc();
            }
        }
    }

    /// Waits until all spans recorded before this call were exported or given up, at most `within`. For the end of a
    /// drain. Answers how many spans are still unsettled; 0 is all well.
    pub async fn flush(&self, within: Duration) -> u64 {
        let Some(outlet) = &self.outlet else { return 0 };
        let goal = outlet.queued.load(Ordering::Acquire);
        let mut settled = outlet.settled.clone();
        outlet.goal.send_modify(|former| *former = goal.max(*former));
        // A timeout and an exporter that is gone both show in the count.
        let _ = tokio::time::timeout(within, settled.wait_for(|settled| *settled >= goal)).await;
        let settled = *settled.borrow();
        goal.saturating_sub(settled)
    }
}

/// A ratio as the number of 64-bit values that are taken.
#[derive(Clone, Copy, Debug)]
enum Threshold {
    All,
    Below(u64),
}

impl Threshold {
    fn of(ratio: f64) -> Self {
        // The cast saturates: below 0 and NaN nothing is taken.
        if ratio >= 1.0 { Self::All } else { Self::Below((ratio * 2.0_f64.powi(64)) as u64) }
    }

    fn takes(self, random: u64) -> bool {
        match self {
            Self::All => true,
            Self::Below(limit) => random < limit,
        }
    }
}

#[cfg(test)]
mod tests;
