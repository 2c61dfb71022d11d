//! Fields that belong to one connection and must not travel on (RFC 9110 §7.6.1).
//!
//! In: the headers of a request or response. Out: the same without connection-scoped fields.
//! Never: lets `Connection` take away what a gateway or a believed proxy said, or what decides who is asked, by whom, and how much is read.

use contract::headers;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// Fields that are always scoped to one connection, whether `Connection` names them or not.
static SCOPED: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that `Connection` cannot remove: taking them away would change who is asked, by whom, how much is read, or whose trace it is.
static KEPT: [HeaderName; 10] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Whether `Connection` may not name it: what is kept, and all that only a gateway or a proxy says, which the door itself takes from strangers.
fn is_kept(name: &HeaderName) -> bool {
    KEPT.contains(name) || headers::is_reserved(name) || headers::tells_origin(name)
}

/// Options that name no further field: `close` and `keep-alive` speak of the connection, and `TE` has its own rule below.
const OPTIONS: [&str; 3] = ["close", "keep-alive", "te"];

/// The one protocol that connections may change to. After `h2c` a client would speak HTTP to the instance itself, past every room of both tiers.
const WEBSOCKET: &[u8] = b"websocket";

/// Removes connection-scoped fields and those that `Connection` names, and returns the protocol that was asked for by a lawful upgrade.
///
/// Another protocol than `WEBSOCKET` is as good as none: the request goes on without it (RFC 9110 §7.8).
/// `TE: trailers` is kept, because gRPC servers demand it and it says nothing of the connection behind us.
pub fn strip(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrade = None;
    if headers.contains_key(header::CONNECTION) {
        let mut named: Vec<HeaderName> = Vec::new();
        for token in tokens(headers, &header::CONNECTION) {
            if token.eq_ignore_ascii_case("upgrade") {
                upgrade = headers.get(header::UPGRADE).filter(|protocol| protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET)).cloned();
            } else if OPTIONS.iter().any(|option| token.eq_ignore_ascii_case(option)) {
                // Nearly every `Connection` says one of these alone: there is no name to be made of it.
            } else if let Ok(name) = HeaderName::from_bytes(token.as_bytes())
                && !is_kept(&name)
            {
                named.push(name);
            }
        }
        for name in named {
            headers.remove(name);
        }
    }
    let trailers = tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    for name in &SCOPED {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    upgrade
}

/// The comma-separated tokens of every line of a field; text that is not ASCII names nothing.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn fields_named_by_connection_go_and_ours_stay() {
        let mut map =
            headers(&[("connection", "x-private, Host, close"), ("x-private", "1"), ("host", "a"), ("accept", "*/*"), ("keep-alive", "5")]);
        assert!(strip(&mut map).is_none());
        assert_eq!(map.len(), 2);
        assert!(map.contains_key("host") && map.contains_key("accept"));
    }

    #[test]
    fn an_upgrade_is_reported_only_when_connection_names_it() {
        let mut asked = headers(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(strip(&mut asked).expect("asked"), "websocket");
        assert!(asked.is_empty());
        let mut unasked = headers(&[("upgrade", "websocket")]);
        assert!(strip(&mut unasked).is_none());
        assert!(unasked.is_empty());
    }

    #[test]
    fn no_upgrade_leads_past_the_gateway() {
        for protocol in ["h2c", "HTTP/2.0", "websocket, h2c", "TLS/1.0", ""] {
            let mut asked = headers(&[("connection", "Upgrade"), ("upgrade", protocol), ("http2-settings", "AAMAAABk")]);
            assert!(strip(&mut asked).is_none(), "{protocol}");
            assert!(asked.is_empty(), "{protocol}");
        }
        assert!(strip(&mut headers(&[("connection", "upgrade"), ("upgrade", "WebSocket")])).is_some());
    }

    #[test]
    fn te_keeps_trailers_alone() {
        let mut map = headers(&[("te", "gzip, trailers")]);
        strip(&mut map);
        assert_eq!(map.get("te").expect("te"), "trailers");
        // RFC 9110 §10.1.4: who sends it names it in `Connection`.
        let mut named = headers(&[("connection", "TE, close"), ("te", "trailers")]);
        strip(&mut named);
        assert!(named.len() == 1 && named["te"] == "trailers");
        let mut other = headers(&[("te", "gzip")]);
        strip(&mut other);
        assert!(other.is_empty());
    }

    proptest::proptest! {
        /// Whatever `Connection` says, ours stay; what it names of the others goes, and stripping again changes nothing.
        #[test]
        fn connection_takes_what_is_named_and_nothing_of_ours(
            named in proptest::collection::vec(
                "[ ]?(host|Host|HOST|authorization|cookie|x-gw-assertion|X_GW_Subject|x-forwarded-for|X-Real-IP|forwarded|x-request-id|traceparent|tracestate|content-length|x-own|x-other|close|keep-alive|upgrade|te|;|\u{e9}|)[ ]?",
                0..8,
            ),
            lines in 1usize..3,
        ) {
            const OURS: [&str; 12] = [
                "host", "authorization", "cookie", "x-gw-assertion", "x_gw_subject", "x-forwarded-for", "x-real-ip", "forwarded", "x-request-id",
                "traceparent", "tracestate", "content-length",
            ];
            let mut map = HeaderMap::new();
            for name in OURS.into_iter().chain(["x-own", "x-other", "upgrade", "keep-alive", "te"]) {
                map.insert(HeaderName::from_static(name), HeaderValue::from_static("a"));
            }
            for line in named.chunks(named.len().div_ceil(lines).max(1)) {
                map.append(header::CONNECTION, HeaderValue::from_bytes(line.join(",").as_bytes()).expect("value"));
            }
            strip(&mut map);
            for name in OURS {
                proptest::prop_assert!(map.contains_key(name), "{name} went by {named:?}");
            }
            for name in &SCOPED {
                proptest::prop_assert!(!map.contains_key(name));
            }
            let ascii = |line: &[String]| line.iter().all(|token| token.is_ascii());
            for line in named.chunks(named.len().div_ceil(lines).max(1)).filter(|line| ascii(line)) {
                for own in ["x-own", "x-other"] {
                    proptest::prop_assert!(!(line.iter().any(|token| token.trim() == own) && map.contains_key(own)));
                }
            }
            let once = map.clone();
            strip(&mut map);
            proptest::prop_assert_eq!(map, once);
        }
    }

    #[test]
    fn stripping_twice_changes_nothing_more() {
        let mut map = headers(&[("connection", "te, x-a"), ("te", "trailers"), ("x-a", "1"), ("x-b", "2")]);
        strip(&mut map);
        let once = map.clone();
        strip(&mut map);
        assert_eq!(map, once);
    }
}
