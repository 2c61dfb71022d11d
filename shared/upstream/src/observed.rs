//! What one attempt at an instance has shown of it.
//!
//! In: how the attempt ended and when it was begun. Out: one value for all who learn from it: the ejection of outliers, the picks by speed, the
//! breaker. Never: holds against an instance what its client did, or a caller's impatience.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use http::{Response, StatusCode};
use wire::body::Body;

/// The longest time that an instance may ask to be spared for; more is taken for this.
const PUSHBACK_MAX: Duration = Duration::from_secs(300);

/// A deadline tells of the instance when that was waited for at least this long; below, what went before had taken the time.
const DEADLINE_TELLS: Duration = Duration::from_secs(1);

/// The status of a call that ended without a message (gRPC over HTTP/2, "Trailers-Only").
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How long a gRPC server asks to be spared for (gRPC A6, "Pushback").
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// One attempt that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// When it was begun ([`crate::moment`]).
    pub begun_ms: u64,
    /// When it had ended, or the head of its answer had come.
    pub now_ms: u64,
    /// How long the instance took: from the beginning, or from the last frame of the upload that it took, to the head or the failure.
    pub took: Duration,
    /// How it ended.
    pub what: What,
}

/// How an attempt ended, as far as the instance is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// With the head of an answer.
    Answered {
        /// Its status; that of a gRPC call that ended at once is told as its next of kin in HTTP.
        status: StatusCode,
        /// How long it asks to be spared for, at most five minutes; only with a status of overload (429, 503).
        pushback: Option<Duration>,
    },
    /// Without a connection that could be written to.
    ConnectFailed,
    /// With the end of the connection before the head.
    Reset,
    /// With what is no lawful answer.
    Protocol,
    /// Without an answer in time.
    Timeout,
}

impl What {
    /// What an answer says; `now_s` is Unix time, read where an answer names a date.
    pub(crate) fn answered(response: &Response<Body>, now_s: impl FnOnce() -> u64) -> Self {
        let status = status(response);
        let overload = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let pushback = if overload { pushback(response.headers(), now_s) } else { None };
        Self::Answered { status, pushback }
    }

    /// What a deadline of ours says that passed after `took`, while it was the instance that was waited for; `None` when it says nothing of it.
    pub(crate) fn deadline(took: Duration) -> Option<Self> {
        (took >= DEADLINE_TELLS).then_some(Self::Timeout)
    }
}

/// A call of gRPC that fails at once is a `200` with its status beside it: too fast and too well to be believed.
fn status(response: &Response<Body>) -> StatusCode {
    if response.status() != StatusCode::OK || !matches!(response.body(), Body::Empty) {
        return response.status();
    }
    match response.headers().get(GRPC_STATUS).map(|value| value.as_bytes()) {
        // RESOURCE_EXHAUSTED and UNAVAILABLE.
        Some(b"8") => StatusCode::TOO_MANY_REQUESTS,
        Some(b"14") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

/// `grpc-retry-pushback-ms`, or else `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn pushback(headers: &HeaderMap, now_s: impl FnOnce() -> u64) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = match text(&GRPC_PUSHBACK).and_then(|text| text.parse().ok()) {
        Some(ms) => Duration::from_millis(ms),
        None => {
            let text = text(&RETRY_AFTER)?;
            match text.parse() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => {
                    let until = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
                    until.saturating_sub(Duration::from_secs(now_s()))
                }
            }
        }
    };
    Some(asked.min(PUSHBACK_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)]) -> What {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::from_u16(status).expect("status");
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().expect("value"));
        }
        // 1994-11-06T08:49:00Z.
        What::answered(&response, || 784_111_740)
    }

    fn asks(status: u16, headers: &[(&'static str, &str)]) -> Option<Duration> {
        match told(status, headers) {
            What::Answered { pushback, .. } => pushback,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_is_overloaded_says_for_how_long() {
        for (headers, wanted) in [
            (&[("retry-after", "7")][..], Some(Duration::from_secs(7))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(Duration::from_secs(37))),
            (&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(Duration::ZERO)),
            (&[("retry-after", "86400")], Some(PUSHBACK_MAX)),
            (&[("grpc-retry-pushback-ms", "250"), ("retry-after", "7")], Some(Duration::from_millis(250))),
            (&[("grpc-retry-pushback-ms", "-1"), ("retry-after", "7")], Some(Duration::from_secs(7))),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "99999999999999999999999")], None),
            (&[], None),
        ] {
            assert_eq!((asks(429, headers), asks(503, headers)), (wanted, wanted), "{headers:?}");
        }
        assert_eq!(asks(301, &[("retry-after", "7")]), None, "a redirect's patience is the client's");
    }

    #[test]
    fn a_call_that_failed_at_once_is_no_fast_answer() {
        let status = |grpc| match told(200, &[("grpc-status", grpc), ("grpc-retry-pushback-ms", "9")]) {
            What::Answered { status, pushback } => (status.as_u16(), pushback.is_some()),
            other => panic!("{other:?}"),
        };
        assert_eq!([status("0"), status("5"), status("8"), status("14")], [(200, false), (200, false), (429, true), (503, true)]);
    }

    #[test]
    fn a_hurried_caller_says_nothing_of_the_instance() {
        assert_eq!(What::deadline(Duration::from_millis(999)), None);
        assert_eq!(What::deadline(Duration::from_secs(1)), Some(What::Timeout));
    }
}
