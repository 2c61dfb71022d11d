//! The listener that publishes a tier's own public keys.
//!
//! In: any request. Out: the JWKS (RFC 7517) at `/.well-known/jwks.json`, for GET and HEAD. Refuses: nothing by itself; of everything else it says
//! that it is not there.
//! Never: shows a private half, a key that has ended, or anything of the request.

use std::collections::BTreeSet;

use bytes::Bytes;
use contract::signing_keys::SigningKeys;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use wire::body::Body;

/// Where the keys lie (RFC 8615).
pub const PATH: &str = "/.well-known/jwks.json";

/// A quarter of the time for which a new key is published before it signs, so that no cache on the way hides it until then.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// A tier's public keys as they are published, written out once for all times.
#[derive(Debug)]
pub struct Published {
    /// From when on (Unix seconds) which document is the one, in the order of time; the first from the beginning. One for each key and one more at most.
    documents: Vec<(u64, Bytes)>,
}

impl Published {
    /// Writes out the public halves of `keys`.
    #[must_use]
    pub fn new(keys: &SigningKeys) -> Self {
        let moments: BTreeSet<u64> = std::iter::once(0).chain(keys.ends()).collect();
        Self { documents: moments.into_iter().map(|from| (from, Bytes::from(keys.published_at(from).to_string()))).collect() }
    }

    /// The one at `now`.
    fn at(&self, now: u64) -> Bytes {
        self.documents.iter().rev().find(|(from, _)| *from <= now).map(|(_, document)| document.clone()).unwrap_or_default()
    }
}

/// The answer to `request` at `now` (Unix seconds); `None` where it asks for anything but the keys, which the tier refuses with its own reason.
#[must_use]
pub fn answer<B>(keys: &Published, request: &Request<B>, now: u64) -> Option<Response<Body>> {
    if request.uri().path() != PATH || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = Response::new(Body::Empty);
    let map = response.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    map.insert(CACHE_CONTROL, CACHING);
    if *request.method() == Method::GET {
        *response.body_mut() = Body::from(keys.at(now));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    /// RFC 8037, appendix A.1.
    const SET: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn only_the_one_document_is_there() {
        let keys = Published::new(&SigningKeys::from_jwks(SET).expect("keys"));
        let ask = |method: &str, target: &str| answer(&keys, &Request::builder().method(method).uri(target).body(()).expect("request"), 0);
        for (method, target, found) in [
            ("GET", PATH, true),
            ("HEAD", PATH, true),
            ("GET", "https://a.test/.well-known/jwks.json?x=1", true),
            ("POST", PATH, false),
            ("GET", "/", false),
            ("GET", "/.well-known/jwks.json/", false),
            ("GET", "/.well-known/", false),
        ] {
            let answer = ask(method, target);
            assert_eq!(answer.as_ref().is_some_and(|answer| answer.status() == StatusCode::OK), found, "{method} {target}");
            let Some(answer) = answer else { continue };
            assert_eq!(answer.headers().contains_key(CACHE_CONTROL), found, "{method} {target}");
            assert_eq!(matches!(answer.body(), Body::Empty), !(found && method == "GET"), "{method} {target}");
        }
    }

    #[test]
    fn what_is_written_out_is_what_is_published_at_every_moment() {
        let text = String::from_utf8(SET.to_vec()).expect("text");
        let one = |kid: &str, times: &str| text.replace(r#""kid":"k""#, &format!(r#""kid":"{kid}"{times}"#));
        let member = |set: String| set.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}").to_owned();
        let keys =
            [("a", r#","exp":10"#), ("b", r#","nbf":5,"exp":20"#), ("c", r#","nbf":15"#)].map(|(kid, times)| member(one(kid, times)));
        let keys = SigningKeys::from_jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).expect("keys");
        let published = Published::new(&keys);
        for now in [0, 9, 10, 11, 19, 20, 21, u64::MAX] {
            assert_eq!(published.at(now), keys.published_at(now).to_string(), "{now}");
        }
        assert_ne!(published.at(9), published.at(10));
    }
}
