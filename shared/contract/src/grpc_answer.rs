//! What gRPC needs of a gateway that is no party to it (gRPC over HTTP/2, `PROTOCOL-HTTP2.md` of grpc/grpc).
//!
//! In: heads of requests and answers. Out: the trailers that must survive a link of HTTP/1.1, and a refusal in gRPC's own terms. Never: reads a
//! message; takes gRPC-Web, which has its trailers in its body, for gRPC.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use http::{Response, StatusCode};

use crate::reason::Reason;

/// The status of a call, a number of gRPC's own.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What a caller is told beside it.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The trailers that gRPC itself knows. HTTP/1.1 lets those pass that are named before the body (RFC 9110 §6.6.2).
const TRAILERS: HeaderValue = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");

/// Whether a message says that it is gRPC: `application/grpc`, and a suffix.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"));
    kind.is_some_and(|suffix| matches!(suffix.first(), None | Some(b'+' | b';')))
}

/// Names gRPC's trailers in the head of its answer, beside those that it names itself; unless it has the status already.
pub fn announce_trailers(answer: &mut HeaderMap) {
    if is_grpc(answer) && !answer.contains_key(STATUS) {
        answer.append(TRAILER, TRAILERS);
    }
}

/// A refusal as gRPC has it: status 200, no body, its own status and the reason's code in the head ("Trailers-Only").
#[must_use]
pub fn refusal<B: Default>(answer: Response<B>, reason: Reason) -> Response<B> {
    let (mut head, _) = answer.into_parts();
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(STATUS, HeaderValue::from(status(reason)));
    head.headers.insert(MESSAGE, HeaderValue::from_static(reason.code()));
    head.status = StatusCode::OK;
    Response::from_parts(head, B::default())
}

/// The status of gRPC for a reason: that which gRPC has for its status of HTTP (`http-grpc-status-mapping.md`), which is UNKNOWN for most. Closer is
/// UNIMPLEMENTED for a method, DEADLINE_EXCEEDED for time that ran out, RESOURCE_EXHAUSTED for what is too large or too long, CANCELLED for a caller
/// that left, and INTERNAL for a fault of ours.
#[must_use]
pub fn status(reason: Reason) -> u16 {
    match reason.status().as_u16() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 414 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 => UNAVAILABLE,
        499 => CANCELLED,
        400 | 500 => INTERNAL,
        _ => UNKNOWN,
    }
}

const CANCELLED: u16 = 1;
const UNKNOWN: u16 = 2;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpcx", false),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&of(kind)), is, "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn trailers_are_named_where_they_are_to_come() {
        let announced = |mut headers: HeaderMap| {
            announce_trailers(&mut headers);
            let names: Vec<_> = headers.get_all(TRAILER).iter().map(|value| value.to_str().expect("text").to_owned()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        assert_eq!(announced(of("application/grpc")).as_deref(), Some("grpc-status, grpc-message, grpc-status-details-bin"));
        assert_eq!(announced(of("text/plain")), None);
        let mut own = of("application/grpc");
        own.insert(TRAILER, HeaderValue::from_static("x-sum"));
        assert_eq!(announced(own).as_deref(), Some("x-sum, grpc-status, grpc-message, grpc-status-details-bin"));
        let mut ended = of("application/grpc");
        ended.insert(STATUS, HeaderValue::from_static("5"));
        assert_eq!(announced(ended), None);
    }

    #[test]
    fn a_refusal_keeps_what_else_its_head_says() {
        for (reason, status) in [
            (Reason::NoCredentials, "16"),
            (Reason::NotPermitted, "7"),
            (Reason::NoRoute, "12"),
            (Reason::DeadlineExceeded, "4"),
            (Reason::BodyTooLarge, "8"),
            (Reason::NoInstances, "14"),
            (Reason::InternalError, "13"),
            (Reason::FramingInvalid, "13"),
            (Reason::TargetTooLong, "8"),
            (Reason::Misdirected, "2"),
            (Reason::VersionNotSupported, "2"),
        ] {
            let answer = Response::builder().status(reason.status()).header("retry-after", "1").body(vec![1_u8]).expect("an answer");
            let told = refusal(answer, reason);
            assert_eq!((told.status(), told.body().len()), (StatusCode::OK, 0));
            let header = |name: &str| told.headers()[name].to_str().expect("text").to_owned();
            assert_eq!(header("grpc-status"), status, "{reason}");
            assert_eq!((header("grpc-message").as_str(), header("retry-after").as_str()), (reason.code(), "1"));
        }
    }
}
