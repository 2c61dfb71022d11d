//! The names of the headers that the tiers own or touch, and the scrubbing of those that nobody else may send.
//!
//! In: a header map from outside. Out: the same map without what its sender may not say. Never: believes a reserved header.

use http::header::{self, HeaderMap, HeaderName};

/// Everything that starts so belongs to the link between the tiers and to nobody else.
pub const RESERVED_PREFIX: &str = "x-gw-";

/// The signed identity assertion of tier 1 (`contract::assertion`).
pub static ASSERTION: HeaderName = HeaderName::from_static("x-gw-assertion");
/// Tier 2's report of what happened, on the way back (`contract::trail`).
pub static TRAIL: HeaderName = HeaderName::from_static("x-gw-trail");
/// The treaty version that a tier speaks (`contract::TREATY`).
pub static TREATY: HeaderName = HeaderName::from_static("x-gw-treaty");
/// On a request of tier 1 to a replica of tier 2: it asks how the replica does (`contract::health`), and for nothing else.
pub static HEALTH: HeaderName = HeaderName::from_static("x-gw-health");
/// On a request of tier 1 to tier 2: a digest of what tier 1 read (`contract::seen`).
pub static SEEN: HeaderName = HeaderName::from_static("x-gw-seen");
/// The milliseconds that a request has left (`contract::deadline`): of tier 1 to tier 2, and of tier 2 to instances.
pub static DEADLINE: HeaderName = HeaderName::from_static("x-gw-deadline-ms");
/// Which attempt of tier 1 a request is (`contract::attempt`).
pub static ATTEMPT: HeaderName = HeaderName::from_static("x-gw-attempt");
/// The caller's subject, told to instances.
pub static SUBJECT: HeaderName = HeaderName::from_static("x-gw-subject");
/// The issuer that vouched for the subject, told to instances.
pub static ISSUER: HeaderName = HeaderName::from_static("x-gw-issuer");
/// The caller's scopes, space separated, told to instances.
pub static SCOPES: HeaderName = HeaderName::from_static("x-gw-scopes");
/// Tier 2's own signed word on the caller, told to instances (`contract::identity_token`).
pub static IDENTITY: HeaderName = HeaderName::from_static("x-gw-identity");
/// The id of the request (`contract::request_id`).
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context, level 2.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C Trace Context, level 2: what vendors add.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// W3C Baggage.
pub static BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// RFC 7239.
pub static FORWARDED: HeaderName = HeaderName::from_static("forwarded");
/// The client's addresses, as the field writes them.
pub static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme that the client spoke.
pub static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client asked for.
pub static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The client's address, as nginx writes it.
pub static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether a header belongs to the link alone.
///
/// An underscore counts as a hyphen: CGI and WSGI servers fold both into one variable, so `x_gw_subject` would reach them as `x-gw-subject`.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    folds_to_prefix(name, RESERVED_PREFIX)
}

/// Whether a name begins with `prefix`, which is in lower case, where an underscore counts as a hyphen.
#[must_use]
pub fn folds_to_prefix(name: &HeaderName, prefix: &str) -> bool {
    let (name, prefix) = (name.as_str().as_bytes(), prefix.as_bytes());
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(found, wanted)| fold(*found) == fold(*wanted))
}

/// Whether two names are one to a server that counts an underscore as a hyphen.
#[must_use]
pub fn folds_to(name: &HeaderName, other: &HeaderName) -> bool {
    name.as_str().len() == other.as_str().len() && folds_to_prefix(name, other.as_str())
}

/// Removes a header under every spelling that a server could take for it.
pub fn remove_folded(headers: &mut HeaderMap, name: &HeaderName) {
    remove_where(headers, |found| folds_to(found, name));
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Whether a field makes some servers and frameworks read another request than the one that was checked: its method, target or host, or what a
/// proxy in front is said to have done to it. `Proxy` becomes `HTTP_PROXY` in CGI (CVE-2016-5385).
#[must_use]
pub fn rewrites(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes(), [b'x' | b'p', ..]) && with_folded(name, is_rewriting)
}

fn is_rewriting(name: &[u8]) -> bool {
    name.starts_with(b"x-envoy-")
        || matches!(
            name,
            b"x-http-method-override"
                | b"x-http-method"
                | b"x-method-override"
                | b"x-original-method"
                | b"x-original-url"
                | b"x-original-uri"
                | b"x-original-path"
                | b"x-original-host"
                | b"x-rewrite-url"
                | b"x-rewrite-uri"
                | b"x-override-url"
                | b"x-http-path-override"
                | b"x-http-host-override"
                | b"x-http-destinationurl"
                | b"x-host"
                | b"proxy"
        )
}

/// Whether a field tells where a request comes from, or who its sender is by certificate: a proxy's word, which an outsider cannot give.
#[must_use]
pub fn tells_origin(name: &HeaderName) -> bool {
    is_maybe_of_origin(name) && with_folded(name, is_of_origin)
}

/// Most names begin otherwise and are done with here: `sec-fetch-mode`, `range`, `accept`.
fn is_maybe_of_origin(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes(), [b'x' | b'f' | b'c' | b't', ..] | [b's', b's', ..] | [b'r', b'e', ..])
}

/// Prefixes of the fields in which proxies tell of a client and of the certificate that it showed.
const ORIGIN_PREFIXES: [&[u8]; 4] = [b"x-forwarded-", b"ssl-client-", b"x-ssl-client-", b"x-amzn-mtls-"];

fn is_of_origin(name: &[u8]) -> bool {
    ORIGIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            b"forwarded"
                | b"x-forwarded"
                | b"x-real-ip"
                | b"x-request-id"
                | b"x-client-ip"
                | b"client-ip"
                | b"true-client-ip"
                | b"cf-connecting-ip"
                | b"cf-connecting-ipv6"
                | b"fastly-client-ip"
                | b"x-cluster-client-ip"
                | b"x-original-forwarded-for"
                | b"x-original-remote-addr"
                | b"x-remote-ip"
                | b"x-remote-addr"
                | b"client-cert"
                | b"client-cert-chain"
                | b"x-client-cert"
                | b"x-arr-clientcert"
                | b"x-azure-clientip"
                | b"x-true-client-ip"
                | b"x-originating-ip"
                | b"remote-user"
                | b"x-remote-user"
        )
}

/// Whether a client may not send this: what is reserved, what tells origin, what rewrites. The door of tier 1 asks it of every name.
#[must_use]
pub fn is_not_for_clients(name: &HeaderName) -> bool {
    (is_maybe_of_origin(name) || name.as_str().starts_with('p'))
        && with_folded(name, |name| name.starts_with(RESERVED_PREFIX.as_bytes()) || is_of_origin(name) || is_rewriting(name))
}

/// Whether a field may not stand in trailers (RFC 9110 §6.5.1): a server that folds them into the head would take it for what was checked there.
#[must_use]
pub fn is_not_for_trailers(name: &HeaderName) -> bool {
    is_not_for_clients(name) || NOT_FOR_TRAILERS.iter().any(|other| folds_to(name, other))
}

/// What decides about routing, framing, credentials, how the message is read, and the place in a trace. The framing guard refuses them in HTTP/1.
static NOT_FOR_TRAILERS: [HeaderName; 25] = [
    header::CACHE_CONTROL,
    header::EXPECT,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::RANGE,
    HeaderName::from_static("baggage"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("tracestate"),
    header::HOST,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::LOCATION,
    HeaderName::from_static("traceparent"),
];

/// Whether an answer's field tells clients only what the service was built with.
#[must_use]
pub fn tells_software(name: &HeaderName) -> bool {
    matches!(name.as_str(), "server" | "x-powered-by" | "x-aspnet-version" | "x-aspnetmvc-version")
}

/// Bytes of the longest name that is looked for; a longer name is none of them, or one by its prefix.
const NAME_BYTES_MAX: usize = 32;

/// Hands a name over with its underscores as hyphens, without allocating.
fn with_folded(name: &HeaderName, says: impl FnOnce(&[u8]) -> bool) -> bool {
    let mut buffer = [0; NAME_BYTES_MAX];
    let name = name.as_str().as_bytes();
    let mut length = 0;
    for (place, byte) in buffer.iter_mut().zip(name) {
        *place = fold(*byte);
        length += 1;
    }
    buffer.get(..length).is_some_and(says)
}

/// Removes every reserved header, and says how many names it removed.
pub fn scrub(headers: &mut HeaderMap) -> usize {
    remove_where(headers, is_reserved)
}

/// Removes every field whose name is one of those, and says how many names it removed.
///
/// One pass over the names; it allocates nothing where there is nothing to remove, which is every honest request.
pub fn remove_where(headers: &mut HeaderMap, is_one: impl Fn(&HeaderName) -> bool) -> usize {
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| is_one(name)).cloned().collect();
    for name in &doomed {
        headers.remove(name);
    }
    doomed.len()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn scrubbing_takes_every_reserved_name_with_all_its_values_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in ["x-gw-subject", "x-gw-subject", "X-GW-Assertion", "x_gw_scopes", "x-gw_anything", "x-gw-"] {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("forged"));
        }
        for name in ["x-gwen", "x-gw", "x-request-id", "accept"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("kept"));
        }
        assert_eq!(scrub(&mut headers), 5);
        assert_eq!(headers.len(), 4);
        assert!(headers.values().all(|value| value == "kept"));
        assert_eq!(scrub(&mut headers), 0);
    }

    #[test]
    fn a_name_goes_under_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in ["x-user-role", "x_user_role", "x-user_role", "x-user-roles", "x-user"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("a"));
        }
        remove_folded(&mut headers, &HeaderName::from_static("x-user-role"));
        assert!(headers.len() == 2 && headers.contains_key("x-user-roles") && headers.contains_key("x-user"));
        remove_folded(&mut headers, &HeaderName::from_static("x_user"));
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn all_names_of_the_link_are_reserved() {
        for name in [&ASSERTION, &TRAIL, &TREATY, &HEALTH, &SEEN, &DEADLINE, &ATTEMPT, &SUBJECT, &ISSUER, &SCOPES, &IDENTITY] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [&REQUEST_ID, &TRACEPARENT, &TRACESTATE, &BAGGAGE, &FORWARDED, &X_FORWARDED_FOR, &X_REAL_IP] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn what_clients_may_not_send_is_known_under_every_spelling() {
        for name in [
            "x-gw-subject",
            "x_gw_assertion",
            "x-forwarded-for",
            "x_forwarded-client_cert",
            "forwarded",
            "x-real_ip",
            "x_request_id",
            "true_client_ip",
            "client-cert",
            "ssl-client-cert",
            "ssl_client_verify",
            "x-ssl-client-s-dn",
            "x-amzn-mtls-clientcert-subject-and-more-behind-it",
            "x_client_cert",
            "x-arr-clientcert",
            "x-azure-clientip",
            "x-true-client-ip",
            "x-originating-ip",
            "remote_user",
            "x-remote-user",
            "x-http-method-override",
            "x_http_method",
            "x-method_override",
            "x-original-url",
            "x_rewrite_url",
            "x-original-host",
            "x-envoy-original-path-and-a-very-long-name-behind-it",
            "proxy",
        ] {
            assert!(is_not_for_clients(&HeaderName::from_static(name)), "{name}");
            assert!(is_not_for_trailers(&HeaderName::from_static(name)), "{name}");
            // By one of the three, so that no filter by its first letters hides it from those who ask for that one alone.
            let name = HeaderName::from_static(name);
            assert_ne!(is_reserved(&name) || tells_origin(&name), rewrites(&name), "{name}");
        }
        for name in [
            "accept",
            "host",
            "authorization",
            "x-own",
            "x-originality",
            "ssl-clients",
            "sec-fetch-mode",
            "range",
            "referer",
            "remote-users",
            "x-forward",
            "forwarded-by",
            "x-http-method-overrides",
            "proxy-status",
            "content-type",
            "cookie",
            "traceparent",
            "x-requested-with",
            "x",
        ] {
            assert!(!is_not_for_clients(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["host", "authorization", "content_length", "transfer-encoding", "set-cookie"] {
            assert!(is_not_for_trailers(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["grpc-status", "grpc-message", "digest", "server-timing", "x-checksum"] {
            assert!(!is_not_for_trailers(&HeaderName::from_static(name)), "{name}");
        }
    }

    proptest::proptest! {
        /// No spelling gets around the first byte that sorts most names out.
        #[test]
        fn folding_is_all_there_is_to_a_spelling(name in "([xfctpsr]|ssl|remote|x-ssl)[a-z_-]{0,12}", at in 0usize..14) {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let mut other = name.as_str().as_bytes().to_vec();
            if let Some(byte) = other.get_mut(at) {
                *byte = match *byte { b'-' => b'_', b'_' => b'-', byte => byte };
            }
            let other = HeaderName::from_bytes(&other).unwrap();
            proptest::prop_assert_eq!(is_not_for_clients(&name), is_not_for_clients(&other));
            proptest::prop_assert_eq!(is_not_for_trailers(&name), is_not_for_trailers(&other));
        }
    }
}
