//! One finished span, as the gateway knows it.
//!
//! In: ids that went over the wire, times, attributes. Out: the form that OpenTelemetry's exporter takes.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use contract::trace_context::TraceContext;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::names::field;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
}

/// What the span was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A request that came in.
    Server,
    /// A request that was sent on.
    Client,
    /// Work in between.
    Internal,
}

/// The facts of one finished span.
#[derive(Clone, Debug)]
pub struct SpanFacts {
    /// Of low cardinality: `GET /orders/{id}`, never a path as asked for.
    pub name: Cow<'static, str>,
    /// What it was for.
    pub role: Role,
    /// The trace, and this span's own id.
    pub context: TraceContext,
    /// The span that caused this one.
    pub parent: Option<[u8; 8]>,
    /// Whether the parent is a span of another process.
    pub parent_is_remote: bool,
    /// When it began, in Unix milliseconds.
    pub start_ms: u64,
    /// How long it lasted.
    pub duration: Duration,
    /// Named by `names::field`.
    pub attributes: Vec<(&'static str, Attribute)>,
    /// What failed, if something did, one word or reason code: it becomes `error.type` and the span's status.
    pub error: Option<Cow<'static, str>>,
}

impl SpanFacts {
    /// The form that the exporter takes; built on the control runtime, not where the request was served.
    pub(super) fn into_span(self, scope: &InstrumentationScope) -> SpanData {
        let start_time = SystemTime::UNIX_EPOCH + Duration::from_millis(self.start_ms);
        let mut attributes: Vec<KeyValue> = self.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let status = match self.error {
            None => Status::Unset,
            Some(error) => {
                attributes.push(KeyValue::new(field::ERROR_TYPE, text(error)));
                Status::error("")
            }
        };
        let (trace_id, span_id) = (TraceId::from_bytes(self.context.trace_id), SpanId::from_bytes(self.context.span_id));
        SpanData {
            // The trace state stays in the headers, untouched; collectors do not need it.
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: self.parent_is_remote,
            span_kind: match self.role {
                Role::Server => SpanKind::Server,
                Role::Client => SpanKind::Client,
                Role::Internal => SpanKind::Internal,
            },
            name: self.name,
            start_time,
            end_time: start_time + self.duration,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope.clone(),
        }
    }
}

fn text(text: Cow<'static, str>) -> Value {
    match text {
        Cow::Borrowed(text) => Value::from(text),
        Cow::Owned(text) => Value::from(text),
    }
}

impl From<Attribute> for Value {
    fn from(value: Attribute) -> Self {
        match value {
            Attribute::Text(value) => text(value),
            Attribute::Number(value) => Self::from(value),
            Attribute::Flag(value) => Self::from(value),
        }
    }
}

impl From<&'static str> for Attribute {
    fn from(value: &'static str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Attribute {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}
