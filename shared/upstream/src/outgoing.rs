//! A request as it goes out to an instance.
//!
//! In: the request as the tier made it. Out: origin-form, HTTP/1.1, framed by its body, or the same as HTTP/2 has it; and a second one where
//! sending it twice is lawful. Never: lets a framing field pass that the body does not bear out.
//!
//! Over HTTP/1.1 trailers pass only if the request has a `trailer` field that names them: hyper's encoder drops all others. Over HTTP/2 all do.

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body as _;
use wire::body::Body;

/// Whether the request may be sent again after it may have been written: its method is idempotent and its body is at hand.
pub(crate) fn is_repeatable(request: &Request<Body>) -> bool {
    request.method().is_idempotent() && matches!(request.body(), Body::Empty | Body::Full(_))
}

/// Whether the request's body comes while it is sent, so that its client has a say in how that ends.
pub(crate) fn streams(request: &Request<Body>) -> bool {
    matches!(request.body(), Body::Incoming(_) | Body::Boxed(_))
}

/// The request again, for an attempt after this one may have been written; `None` where that would not be lawful.
pub(crate) fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    if !is_repeatable(request) {
        return None;
    }
    Some(twin(request))
}

/// The request again; in place of a body that streams there is none. It is for whoever is told that nothing was done of this one.
pub(crate) fn twin(request: &Request<Body>) -> Request<Body> {
    let body = match request.body() {
        Body::Full(bytes) => Body::Full(bytes.clone()),
        Body::Empty | Body::Incoming(_) | Body::Boxed(_) => Body::Empty,
    };
    let mut twin = Request::new(body);
    *twin.method_mut() = request.method().clone();
    *twin.uri_mut() = request.uri().clone();
    *twin.headers_mut() = request.headers().clone();
    twin
}

/// A prepared request as HTTP/2 has it: the host is part of the target, frames take the place of codings (RFC 9113 §8.2.2, §8.3.1). An upgrade
/// that was asked for is left out, as a server may that does not offer it (RFC 9110 §7.8). Doing it twice changes nothing.
pub(crate) fn multiplexed(mut request: Request<Body>, scheme: &Scheme) -> Request<Body> {
    let host = request.headers_mut().remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    if let Some(host) = host {
        let mut target = std::mem::take(request.uri_mut()).into_parts();
        target.scheme = Some(scheme.clone());
        target.authority = Some(host);
        // All three parts are there.
        *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }
    let map = request.headers_mut();
    map.remove(TRANSFER_ENCODING);
    map.remove(UPGRADE);
    map.remove(http::header::CONNECTION);
    *request.version_mut() = Version::HTTP_2;
    request
}

/// The request as it goes on the wire: origin-form, HTTP/1.1, framed by its body, nothing left of the connection it came over.
pub(crate) fn prepare(request: Request<Body>) -> Request<Body> {
    let (mut head, mut body) = request.into_parts();
    let target = head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    if body.is_empty() {
        body = Body::Empty;
    }
    frame(&head.method, &mut head.headers, &body);
    Request::from_parts(head, body)
}

fn frame(method: &Method, headers: &mut HeaderMap, body: &Body) {
    headers.remove(TRANSFER_ENCODING);
    match body.size_hint().exact() {
        // Without a body only the methods that usually have one say so (RFC 9110 §8.6).
        Some(0) if *method != Method::POST && *method != Method::PUT && *method != Method::PATCH => {
            headers.remove(CONTENT_LENGTH);
        }
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            // Said aloud, because hyper sends no body of unknown length with GET and HEAD otherwise.
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}
