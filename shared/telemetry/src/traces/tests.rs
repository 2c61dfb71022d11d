//! Sampled spans arrive at a collector, and nothing a collector does is felt elsewhere.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::trace_context::TraceContext;
use http::{Method, Request, Response, StatusCode};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Verdict};
use prost::Message;

use super::config::{OtlpPlan, TracesPlan};
use super::http_span::HttpSpan;
use super::{Resource, SPANS_QUEUED_MAX, Tracing, Work};
use crate::metrics::Metrics;

/// Long enough for any healthy machine; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that keeps what it gets and answers by script; after the script it answers 200.
#[derive(Debug, Default)]
struct Collector {
    got: Mutex<Vec<Request<Bytes>>>,
    script: Mutex<Vec<Answer>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Broken,
    Silence,
}

type Answered<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Answered<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        self.got.lock().unwrap().push(request);
        let answer = self.script.lock().unwrap().pop().unwrap_or(Answer::Status(200));
        Box::pin(async move {
            match answer {
                Answer::Status(status) => Ok(Response::builder().status(status).body(Bytes::new())?),
                Answer::Broken => Err("connection refused".into()),
                Answer::Silence => std::future::pending().await,
            }
        })
    }
}

impl Collector {
    fn answering(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let mut script: Vec<Answer> = script.into_iter().collect();
        script.reverse();
        Arc::new(Self { script: Mutex::new(script), ..Self::default() })
    }

    fn requests(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let decode = |request: &Request<Bytes>| ExportTraceServiceRequest::decode(request.body().clone()).unwrap();
        let of_resources = got.iter().map(decode).flat_map(|batch| batch.resource_spans);
        of_resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn start(collector: &Arc<Collector>, ratio: f64, metrics: &Metrics, spawn: impl FnOnce(&'static str, Work)) -> Tracing {
    let endpoint = "http://collector.example:4318/v1/traces".parse().unwrap();
    let plan = TracesPlan { otlp: Some(OtlpPlan { endpoint, timeout: Duration::from_millis(100) }), ratio };
    let resource = Resource { service: "security-gw".to_owned(), version: "1.2.3".to_owned(), instance: "replica-1".to_owned() };
    Tracing::start(&plan, &resource, Arc::clone(collector) as Arc<dyn HttpClient>, metrics, spawn).unwrap()
}

/// Runs `test` on a control runtime of its own.
fn on_control(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test());
}

fn spawn(_: &'static str, work: Work) {
    tokio::runtime::Handle::current().spawn(work);
}

fn context(sampled: bool) -> TraceContext {
    TraceContext::start([7; 24], sampled)
}

fn exchange(method: &Method) -> HttpSpan<'_> {
    HttpSpan {
        context: context(true),
        parent: Some([3; 8]),
        start_ms: 1_767_225_600_123,
        duration: Duration::from_micros(1500),
        method,
        scheme: "https",
        host: Some("api.example.org"),
        port: Some(8443),
        path: "/orders/1",
        route: Some("/orders/{id}"),
        protocol_version: "2",
        status: Some(StatusCode::NOT_FOUND),
        reason: None,
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()).unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    of.iter().map(|attribute| (attribute.key.as_str(), text(attribute))).collect()
}

fn metric(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).trim().parse().unwrap()
}

/// `made`, `exported`, lost in the queue, lost in export.
fn books(metrics: &Metrics) -> [u64; 4] {
    [
        metric(metrics, "gateway_spans_made_total"),
        metric(metrics, "gateway_spans_exported_total"),
        metric(metrics, r#"gateway_spans_lost_total{reason="queue_full"}"#),
        metric(metrics, r#"gateway_spans_lost_total{reason="export_failed"}"#),
    ]
}

#[test]
fn a_sampled_span_arrives_with_the_ids_that_went_over_the_wire() {
    on_control(async || {
        let (collector, metrics) = (Arc::new(Collector::default()), Metrics::new());
        let tracing = start(&collector, 1.0, &metrics, spawn);
        tracing.record_span(true, || exchange(&Method::GET).server());
        assert_eq!(tracing.flush(PATIENCE).await, 0);

        let spans = collector.spans();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((span.trace_id.as_slice(), span.span_id.as_slice()), (&[7; 16][..], &[7; 8][..]));
        assert_eq!(span.parent_span_id, [3; 8]);
        assert_eq!(span.kind, SpanKind::Server as i32);
        assert_eq!(span.name, "GET /orders/{id}");
        assert_eq!(span.start_time_unix_nano, 1_767_225_600_123_000_000);
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1_500_000);
        assert_eq!(span.flags, 0x301, "sampled; the parent is known to be remote");
        let found = attributes(&span.attributes);
        for (key, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/orders/1"),
            ("url.scheme", "https"),
            ("http.route", "/orders/{id}"),
            ("server.address", "api.example.org"),
            ("server.port", "8443"),
            ("http.response.status_code", "404"),
            ("network.protocol.version", "2"),
        ] {
            assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(books(&metrics), [1, 1, 0, 0]);

        let got = collector.got.lock().unwrap();
        assert_eq!(got[0].uri(), "http://collector.example:4318/v1/traces");
        assert_eq!(got[0].headers()["content-type"], "application/x-protobuf");
        let batch = ExportTraceServiceRequest::decode(got[0].body().clone()).unwrap();
        let resource = batch.resource_spans[0].resource.as_ref().unwrap();
        let expected = [("service.instance.id", "replica-1"), ("service.name", "security-gw"), ("service.version", "1.2.3")];
        assert!(attributes(&resource.attributes).iter().map(|(key, value)| (*key, value.as_str())).eq(expected));
    });
}

#[test]
fn errors_are_told_by_the_conventions() {
    on_control(async || {
        let (collector, metrics) = (Arc::new(Collector::default()), Metrics::new());
        let tracing = start(&collector, 1.0, &metrics, spawn);
        let odd = Method::from_bytes(b"BREW").unwrap();
        let refused = HttpSpan { status: Some(StatusCode::BAD_GATEWAY), reason: Some("upstream-reset"), ..exchange(&Method::GET) };
        tracing.record_span(true, || exchange(&Method::GET).server());
        tracing.record_span(true, || exchange(&Method::GET).client());
        tracing.record_span(true, || refused.server());
        tracing.record_span(true, || HttpSpan { status: None, route: None, host: Some("2001:db8::1"), ..exchange(&odd) }.client());
        assert_eq!(tracing.flush(PATIENCE).await, 0);

        let spans = collector.spans();
        let verdicts: Vec<(&str, i32)> = spans.iter().map(|span| (span.name.as_str(), span.status.as_ref().unwrap().code)).collect();
        let (unset, error) = (Verdict::Unset as i32, Verdict::Error as i32);
        let name = "GET /orders/{id}";
        assert_eq!(verdicts, [(name, unset), (name, error), (name, error), ("HTTP", error)]);
        let found: Vec<_> = spans.iter().map(|span| attributes(&span.attributes)).collect();
        assert_eq!(found[0].get("error.type"), None);
        assert_eq!(found[1]["error.type"], "404");
        assert_eq!(found[1]["url.full"], "https://api.example.org:8443/orders/1");
        assert_eq!(found[2]["error.type"], "upstream-reset");
        assert_eq!((found[3]["http.request.method"].as_str(), found[3]["http.request.method_original"].as_str()), ("_OTHER", "BREW"));
        assert_eq!(found[3]["url.full"], "https://[2001:db8::1]:8443/orders/1");
        assert_eq!(found[3]["error.type"], "_OTHER");
    });
}

#[test]
fn an_unsampled_span_is_not_even_made() {
    on_control(async || {
        let (collector, metrics) = (Arc::new(Collector::default()), Metrics::new());
        let tracing = start(&collector, 1.0, &metrics, spawn);
        tracing.record_span(false, || panic!("unsampled"));
        assert_eq!(tracing.flush(PATIENCE).await, 0);
        assert_eq!(collector.requests(), 0);
        assert_eq!(books(&metrics), [0, 0, 0, 0]);

        let off = Tracing::off();
        assert!(!off.is_on());
        off.record_span(true, || panic!("there is nowhere to send it"));
        assert_eq!(off.flush(PATIENCE).await, 0);
    });
}

#[test]
fn a_parent_decides_and_without_one_the_ratio() {
    let collector = Arc::new(Collector::default());
    let taken = |ratio: f64| {
        let tracing = start(&collector, ratio, &Metrics::new(), |_, _| ());
        assert!(tracing.sample(Some(true), u64::MAX));
        assert!(!tracing.sample(Some(false), 0));
        (0..1000_u64).filter(|step| tracing.sample(None, step * (u64::MAX / 1000) + u64::MAX / 2000)).count()
    };
    assert_eq!([taken(0.0), taken(0.25), taken(0.5), taken(1.0)], [0, 250, 500, 1000]);
    assert!(Tracing::off().sample(Some(true), 0), "a trace that was begun is carried on");
    assert!(!Tracing::off().sample(None, 0));
}

#[test]
fn a_batch_is_sent_again_until_it_is_taken() {
    on_control(async || {
        let collector = Collector::answering([Answer::Status(503), Answer::Broken]);
        let metrics = Metrics::new();
        let tracing = start(&collector, 1.0, &metrics, spawn);
        tracing.record_span(true, || exchange(&Method::GET).server());
        assert_eq!(tracing.flush(PATIENCE).await, 0);
        assert_eq!(collector.requests(), 3);
        assert_eq!(books(&metrics), [1, 1, 0, 0]);
    });
}

#[test]
fn a_collector_that_never_takes_a_batch_loses_it_and_gets_the_next() {
    on_control(async || {
        let collector = Collector::answering([Answer::Silence, Answer::Broken, Answer::Status(400)]);
        let metrics = Metrics::new();
        let tracing = start(&collector, 1.0, &metrics, spawn);
        tracing.record_span(true, || exchange(&Method::GET).server());
        tracing.record_span(true, || exchange(&Method::GET).client());
        assert_eq!(tracing.flush(PATIENCE).await, 0, "given up is settled too");
        assert_eq!(books(&metrics), [2, 0, 0, 2]);
        tracing.record_span(true, || exchange(&Method::POST).server());
        assert_eq!(tracing.flush(PATIENCE).await, 0);
        assert_eq!(books(&metrics), [3, 1, 0, 2]);
    });
}

#[test]
fn a_full_queue_loses_spans_and_nothing_waits() {
    on_control(async || {
        let (collector, metrics) = (Arc::new(Collector::default()), Metrics::new());
        let mut held: Option<Work> = None;
        let tracing = start(&collector, 1.0, &metrics, |_, work| held = Some(work));
        for _ in 0..SPANS_QUEUED_MAX + 10 {
            tracing.record_span(true, || exchange(&Method::GET).server());
        }
        assert_eq!(tracing.flush(Duration::from_millis(1)).await, SPANS_QUEUED_MAX as u64);
        assert_eq!(books(&metrics), [SPANS_QUEUED_MAX as u64 + 10, 0, 10, 0]);
        // When the exporter comes to run, it takes the whole queue in bounded batches, and ends with the last handle.
        drop(tracing);
        held.unwrap().await;
        assert_eq!(books(&metrics), [SPANS_QUEUED_MAX as u64 + 10, SPANS_QUEUED_MAX as u64, 10, 0]);
        assert_eq!(collector.requests(), SPANS_QUEUED_MAX / 512);
    });
}

#[test]
fn work_is_spawned_once_under_a_name() {
    let spawned = AtomicUsize::new(0);
    start(&Arc::new(Collector::default()), 1.0, &Metrics::new(), |name, _| {
        assert_eq!(name, "export spans");
        spawned.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(spawned.load(Ordering::Relaxed), 1);
}
