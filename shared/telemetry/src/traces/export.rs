//! The exporter's loop on the control runtime: gather a batch, send it, count what became of it.
//!
//! In: spans from the queue. Out: batches to the collector, one at a time. A batch is sent up to three times; then it
//! is lost, counted, and the next one is tried. It ends when the last `Tracing` is gone and the queue is empty.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::{mpsc, watch};
use tokio::time;

use crate::traces::Resource;
use crate::traces::books::SpanBooks;
use crate::traces::config::OtlpPlan;
use crate::traces::span::SpanFacts;

/// Spans in one request to the collector.
const BATCH_SPANS_MAX: usize = 512;
/// How long a first span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Attempts to have one batch taken.
const ATTEMPTS_MAX: u32 = 3;
/// The wait before a second attempt; it doubles for each further one.
const BACKOFF: Duration = Duration::from_millis(500);
/// A failing collector is told of this often at most.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Exporter {
    otlp: opentelemetry_otlp::SpanExporter,
    timeout: Duration,
    scope: InstrumentationScope,
    books: SpanBooks,
    /// Spans exported or given up so far.
    settled: u64,
    /// While fewer than this are settled, somebody waits for the end of it.
    hurry: watch::Receiver<u64>,
    warned: Option<Instant>,
}

impl Exporter {
    pub(super) fn build(
        plan: &OtlpPlan,
        resource: &Resource,
        http: Arc<dyn HttpClient>,
        books: SpanBooks,
        hurry: watch::Receiver<u64>,
    ) -> Result<Self, String> {
        // Said explicitly, or the exporter would take it from OTEL_* variables; of those only OTEL_EXPORTER_OTLP_HEADERS
        // has a say, which is where credentials for a collector stand everywhere. Its own retries would put the control
        // runtime's thread to sleep; ours do not.
        let built = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_shared_http_client(http)
            .with_endpoint(plan.endpoint.to_string())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(plan.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .build();
        let mut otlp = built.map_err(|fault| fault.to_string())?;
        let attributes = [
            KeyValue::new("service.name", resource.service.clone()),
            KeyValue::new("service.version", resource.version.clone()),
            KeyValue::new("service.instance.id", resource.instance.clone()),
        ];
        otlp.set_resource(&opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build());
        let scope = InstrumentationScope::builder("gateway").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { otlp, timeout: plan.timeout, scope, books, settled: 0, hurry, warned: None })
    }

    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<SpanFacts>, settle: watch::Sender<u64>) {
        let mut gathered = Vec::with_capacity(BATCH_SPANS_MAX);
        while self.gather(&mut gathered, &mut waiting).await {
            let batch: Vec<SpanData> = gathered.drain(..).map(|facts| facts.into_span(&self.scope)).collect();
            let spans = batch.len() as u64;
            let counter = if self.send(batch).await { &self.books.exported } else { &self.books.lost_export };
            counter.inc_by(spans);
            self.settled += spans;
            settle.send_replace(self.settled);
        }
    }

    /// Fills `batch` from the queue. Answers false when there is nothing more to come.
    async fn gather(&mut self, batch: &mut Vec<SpanFacts>, waiting: &mut mpsc::Receiver<SpanFacts>) -> bool {
        if waiting.recv_many(batch, BATCH_SPANS_MAX).await == 0 {
            return false;
        }
        let until = time::sleep(GATHER);
        tokio::pin!(until);
        while batch.len() < BATCH_SPANS_MAX {
            let room = BATCH_SPANS_MAX - batch.len();
            tokio::select! {
                biased;
                more = waiting.recv_many(batch, room) => if more == 0 { break },
                () = hurried(&mut self.hurry, self.settled) => break,
                () = &mut until => break,
            }
        }
        true
    }

    async fn send(&mut self, batch: Vec<SpanData>) -> bool {
        let mut batch = Some(batch);
        for attempt in 1..=ATTEMPTS_MAX {
            // The last attempt needs no copy to come back to.
            let copy = if attempt == ATTEMPTS_MAX { batch.take() } else { batch.clone() };
            let fault = match time::timeout(self.timeout, self.otlp.export(copy.unwrap_or_default())).await {
                Ok(Ok(())) => return true,
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => format!("no answer within {} ms", self.timeout.as_millis()),
            };
            self.warn(&fault);
            if attempt < ATTEMPTS_MAX {
                tokio::select! {
                    () = time::sleep(BACKOFF * 2_u32.pow(attempt - 1)) => {}
                    () = hurried(&mut self.hurry, self.settled) => {}
                }
            }
        }
        false
    }

    fn warn(&mut self, fault: &str) {
        if self.warned.is_some_and(|warned| warned.elapsed() < WARN_EVERY) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(
            error = fault,
            lost = self.books.lost_export.get(),
            "the trace collector does not take spans; requests are not affected"
        );
    }
}

/// Returns when somebody waits for more than `settled` spans, or nobody is left to wait.
async fn hurried(hurry: &mut watch::Receiver<u64>, settled: u64) {
    let _ = hurry.wait_for(|goal| *goal > settled).await;
}
