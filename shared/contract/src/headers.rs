//! The names of the headers that the tiers own or touch, and the scrubbing of the reserved ones.
//!
//! In: a header map from outside. Out: the same map without anything in the reserved space. Never: believes a reserved header.

use http::header::{HeaderMap, HeaderName};

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
    headers.remove(name);
    while let Some(alias) = headers.keys().find(|found| folds_to(found, name)).cloned() {
        headers.remove(alias);
    }
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

/// Removes every reserved header, and says how many names it removed.
///
/// It allocates nothing where there is nothing to remove, which is every honest request.
pub fn scrub(headers: &mut HeaderMap) -> usize {
    let mut removed = 0;
    while let Some(name) = headers.keys().find(|name| is_reserved(name)).cloned() {
        headers.remove(name);
        removed += 1;
    }
    removed
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
        for name in [&ASSERTION, &TRAIL, &TREATY, &HEALTH, &SUBJECT, &ISSUER, &SCOPES, &IDENTITY] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [&REQUEST_ID, &TRACEPARENT, &TRACESTATE, &BAGGAGE, &FORWARDED, &X_FORWARDED_FOR, &X_REAL_IP] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
