//! Spans of HTTP exchanges, by OpenTelemetry's semantic conventions for HTTP (stable, 1.23 and later).
//!
//! In: the facts of one exchange. Out: a server's or a client's span, with the names, attributes and status that the
//! conventions ask for; in particular a 4xx is an error of a client's span and not of a server's.

use std::borrow::Cow;
use std::time::Duration;

use contract::trace_context::TraceContext;
use http::{Method, StatusCode};

use crate::names::field;
use crate::traces::span::{Attribute, Role, SpanFacts};

/// The facts of one exchange.
#[derive(Clone, Debug)]
pub struct HttpSpan<'a> {
    /// The trace, and this span's own id.
    pub context: TraceContext,
    /// The span that caused this one.
    pub parent: Option<[u8; 8]>,
    /// When it began, in Unix milliseconds.
    pub start_ms: u64,
    /// How long it lasted.
    pub duration: Duration,
    /// The method as sent.
    pub method: &'a Method,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host that was asked for; on a client's span the instance that was asked.
    pub host: Option<&'a str>,
    /// The port that was asked for, or the instance's.
    pub port: Option<u16>,
    /// The path, without query.
    pub path: &'a str,
    /// The template of the route, where one was found.
    pub route: Option<&'a str>,
    /// `1.0`, `1.1` or `2`.
    pub protocol_version: &'static str,
    /// The status, where an answer came.
    pub status: Option<StatusCode>,
    /// A stable reason code, where the gateway refused or the attempt failed.
    pub reason: Option<&'static str>,
}

impl HttpSpan<'_> {
    /// The span of a request that came in; its parent is the caller's span.
    #[must_use]
    pub fn server(self) -> SpanFacts {
        let failed = self.status.is_none_or(|status| status.is_server_error());
        let mut span = self.span(Role::Server, failed);
        span.parent_is_remote = span.parent.is_some();
        span.attributes.push((field::URL_SCHEME, self.scheme.into()));
        span.attributes.push((field::URL_PATH, self.path.to_owned().into()));
        span
    }

    /// The span of one attempt at a request that was sent on; its parent is a span of this process.
    #[must_use]
    pub fn client(self) -> SpanFacts {
        let failed = self.status.is_none_or(|status| status.is_client_error() || status.is_server_error());
        let mut span = self.span(Role::Client, failed);
        let authority = match (self.host, self.port) {
            (Some(host), Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        span.attributes.push((field::URL_FULL, format!("{}://{authority}{}", self.scheme, self.path).into()));
        span
    }

    fn span(&self, role: Role, failed: bool) -> SpanFacts {
        let known = known_method(self.method);
        let mut attributes: Vec<(&'static str, Attribute)> = Vec::with_capacity(12);
        attributes.push((field::HTTP_REQUEST_METHOD, known.unwrap_or("_OTHER").into()));
        if known.is_none() {
            attributes.push((field::HTTP_REQUEST_METHOD_ORIGINAL, self.method.as_str().to_owned().into()));
        }
        attributes.push((field::NETWORK_PROTOCOL_NAME, "http".into()));
        attributes.push((field::NETWORK_PROTOCOL_VERSION, self.protocol_version.into()));
        attributes.extend(self.host.map(|host| (field::SERVER_ADDRESS, host.to_owned().into())));
        attributes.extend(self.port.map(|port| (field::SERVER_PORT, Attribute::Number(port.into()))));
        attributes.extend(self.route.map(|route| (field::HTTP_ROUTE, route.to_owned().into())));
        attributes.extend(self.status.map(|status| (field::HTTP_RESPONSE_STATUS_CODE, Attribute::Number(status.as_u16().into()))));
        attributes.extend(self.reason.map(|reason| (field::REASON, reason.into())));
        SpanFacts {
            name: name(known, self.route),
            role,
            context: self.context,
            parent: self.parent,
            parent_is_remote: false,
            start_ms: self.start_ms,
            duration: self.duration,
            attributes,
            error: failed.then(|| self.error()),
        }
    }

    /// `error.type`: our own reason says more than a status, and a status more than nothing.
    fn error(&self) -> Cow<'static, str> {
        match (self.reason, self.status) {
            (Some(reason), _) => reason.into(),
            (None, Some(status)) => status.as_str().to_owned().into(),
            (None, None) => "_OTHER".into(),
        }
    }
}

/// `{method} {route}`, without what there is none of; an unknown method is called HTTP.
fn name(method: Option<&'static str>, route: Option<&str>) -> Cow<'static, str> {
    match (method.unwrap_or("HTTP"), route) {
        (method, None) => method.into(),
        (method, Some(route)) => format!("{method} {route}").into(),
    }
}

/// The methods that the conventions know: RFC 9110, RFC 5789 and QUERY. Others could be made up without end.
#[must_use]
pub fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}
