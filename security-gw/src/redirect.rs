//! The listener that only says where the door is.
//!
//! In: an arrived request. Out: 308 to the same target at the given origin. Never: forwards, or reflects a host that the client chose.

use http::{HeaderValue, Response, StatusCode, Uri, header};
use wire::body::Body;

/// Answers with a permanent redirect that keeps method and body (RFC 9110 §15.4.9).
#[must_use]
pub fn to(origin: &str, target: &Uri) -> Response<Body> {
    // `OPTIONS *` has no path; appended to the origin it would name another host.
    let path = target.path_and_query().map(|path| path.as_str()).filter(|path| path.starts_with('/')).unwrap_or("/");
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    if let Ok(location) = HeaderValue::try_from(format!("{}{path}", origin.trim_end_matches('/'))) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
