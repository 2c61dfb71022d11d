//! The door that every request of both tiers comes through.
//!
//! In: a request as hyper read it, and its connection. Out: `Exchange<Arrived>`: one host, a canonical target in origin form, no field that
//! only we may set, no field of another connection, a request id, a place in a trace, a client address.
//! Refuses: an ambiguous host or target, CONNECT, and whatever the framing guard refused before us.
//! Never: believes an address, a trace or a reserved field from a peer that the plan does not name.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use contract::headers;
use contract::reason::Reason;
use contract::request_id::RequestId;
use contract::target::{self, TargetFault};
use contract::trace_context::{self, TraceContext};
use http::header::{self, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, Request};
use ipnet::IpNet;
use telemetry::traces::Tracing;

use crate::arrived::{Arrived, Stamp};
use crate::body::Body;
use crate::connection::Connection;
use crate::exchange::Exchange;
use crate::forwarded::{self, Origin, Proxies};
use crate::guard::{REFUSED_METHOD, authority, unpacked};
use crate::{hop_by_hop, seen};

/// Whom the door believes, and what.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The edge: strangers are believed nothing.
    Edge {
        /// Proxies in front of us, whose word on client, scheme and host and whose request ids are believed.
        proxies: Proxies,
        /// Peers whose trace is continued; every other trace is begun anew.
        trace: Vec<IpNet>,
    },
    /// Behind tier 1, which alone can connect: its request id, trace and forwarded address are believed, and its assertion is let in for `vouch`.
    Tier1,
}

/// Why the door turns a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The target is not canonical.
    Target(TargetFault),
    /// Anything else.
    Away(Reason),
}

impl Turned {
    /// The stable code.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Target(fault) => fault.reason(),
            Self::Away(reason) => reason,
        }
    }
}

impl From<Reason> for Turned {
    fn from(reason: Reason) -> Self {
        Self::Away(reason)
    }
}

impl From<TargetFault> for Turned {
    fn from(fault: TargetFault) -> Self {
        Self::Target(fault)
    }
}

/// The door of one generation.
#[derive(Debug)]
pub struct Door {
    trust: Trust,
    tracing: Arc<Tracing>,
}

impl Door {
    /// A door that believes as `trust` says and samples as `tracing` says.
    #[must_use]
    pub fn new(trust: Trust, tracing: Arc<Tracing>) -> Self {
        Self { trust, tracing }
    }

    /// Names a request before anything is asked of it, so that a refused one has its id and trace too.
    pub fn stamp<B>(&self, request: &Request<B>, connection: &Connection, at_ms: u64) -> Stamp {
        let map = request.headers();
        let peer = connection.peer.ip();
        let (believe_id, believe_trace, client, origin) = match &self.trust {
            Trust::Edge { proxies, trace } => {
                let (believed, trace) = (proxies.believes(connection), peer.is_some_and(|ip| forwarded::is_in(ip, trace)));
                let told = peer.map(|ip| if believed { proxies.read(ip, map) } else { (ip.to_canonical(), Origin::default()) });
                let (client, origin) = told.unzip();
                (believed, trace, client, origin.unwrap_or_default())
            }
            Trust::Tier1 => (true, true, first_forwarded(map), Origin::default()),
        };
        let inbound_id = believe_id.then(|| map.get(&headers::REQUEST_ID)).flatten();
        let request_id =
            inbound_id.and_then(|value| RequestId::parse(value.as_bytes())).unwrap_or_else(|| RequestId::new(at_ms, rand::random()));
        let outer =
            believe_trace.then(|| single(map, &headers::TRACEPARENT)).flatten().and_then(|value| TraceContext::parse(value.as_bytes()));
        let (trace, parent) = match outer {
            Some(outer) => (outer.child(rand::random()), Some(outer.span_id)),
            None => (TraceContext::start(random_ids(), self.tracing.sample(None, rand::random())), None),
        };
        Stamp { request_id, trace, parent, client, origin, at: Instant::now(), at_ms }
    }

    /// Lets a lawful request in.
    ///
    /// # Errors
    /// Why the request is turned away; nothing of it may travel on then.
    pub fn enter(&self, mut request: Request<Body>, connection: &Rc<Connection>, stamp: Stamp) -> Result<Exchange<Arrived>, Turned> {
        if request.method().as_str() == REFUSED_METHOD {
            return Err(Turned::Away(connection.line.refusal().map_or(Reason::FramingInvalid, |fault| fault.reason())));
        }
        if !can_be_forwarded(request.method()) {
            return Err(Turned::Away(Reason::MethodNotSupported));
        }
        let scheme = if connection.tls.is_some() { "https" } else { "http" };
        if let Some(reason) = unpacked::refusal(&connection.line, scheme, request.method(), request.uri(), request.headers()) {
            return Err(Turned::Away(reason));
        }
        let host = one_host(&request)?;
        let path = origin_form(request.uri())?;
        let shape = target::check(path.as_str(), request.method() == Method::OPTIONS)?;
        *request.uri_mut() = Uri::from(path);

        let map = request.headers_mut();
        let upgrade = hop_by_hop::strip(map);
        map.remove(header::EXPECT);
        if let Some(credential) = map.get_mut(header::AUTHORIZATION) {
            credential.set_sensitive(true);
        }
        join_cookies(map);
        let seen_before = self.scrub(map, &stamp);
        if let Trust::Edge { .. } = self.trust {
            let scheme = stamp.origin.scheme.unwrap_or(scheme);
            forwarded::write(map, stamp.client, scheme, stamp.origin.host.as_ref().unwrap_or(&host).clone());
        }
        map.insert(header::HOST, host);
        map.insert(headers::REQUEST_ID.clone(), stamp.request_id.header());
        map.insert(headers::TRACEPARENT.clone(), stamp.trace.header());
        // Last, when this tier has read everything: the two must have read the same.
        if !seen_before.agrees(|| seen::digest(&request)) {
            return Err(Turned::Away(Reason::SplitView));
        }
        Ok(Exchange::new(request, Arrived { connection: connection.clone(), stamp, upgrade, shape }))
    }

    /// Takes out what only we may set, and the companions of a trace that was not continued. What tier 1 saw is told.
    fn scrub(&self, map: &mut HeaderMap, stamp: &Stamp) -> SeenBefore {
        let mut seen_before = SeenBefore::Untold;
        match self.trust {
            Trust::Edge { .. } => {
                headers::remove_where(map, headers::is_not_for_clients);
            }
            Trust::Tier1 => {
                let told = [&headers::ASSERTION, &headers::DEADLINE, &headers::ATTEMPT].map(|name| (name, single(map, name).cloned()));
                if map.contains_key(&headers::SEEN) {
                    seen_before = single(map, &headers::SEEN).cloned().map_or(SeenBefore::Twice, SeenBefore::Told);
                }
                headers::remove_where(map, |name| headers::is_reserved(name) || headers::rewrites(name));
                for (name, value) in told {
                    if let Some(value) = value {
                        map.insert(name.clone(), value);
                    }
                }
            }
        }
        let lawful = map.get_all(&headers::TRACESTATE).iter().all(|state| trace_context::tracestate_is_lawful(state.as_bytes()));
        if stamp.parent.is_none() || !lawful {
            map.remove(&headers::TRACESTATE);
        }
        if stamp.parent.is_none() {
            map.remove(&headers::BAGGAGE);
        }
        seen_before
    }
}

/// What tier 1 says that it saw.
enum SeenBefore {
    /// Nothing: this is tier 1, or tier 1 does not know the header (`contract::treaty`).
    Untold,
    /// Two things.
    Twice,
    /// This digest.
    Told(HeaderValue),
}

impl SeenBefore {
    fn agrees(&self, seen: impl FnOnce() -> [u8; 32]) -> bool {
        match self {
            Self::Untold => true,
            Self::Twice => false,
            Self::Told(told) => told.as_bytes() == contract::seen::text(&seen()),
        }
    }
}

/// CONNECT asks for a tunnel; TRACE for the head as an instance got it, with what both tiers put there (RFC 9110 §9.3.8); PRI is the first word of
/// HTTP/2's preface. The guard of tier 2 bounds a method's length, and what it refuses costs a connection of the link. `delete` is another method
/// than `DELETE` to a route (RFC 9110 §9.1) and the same to many an instance, so no letter may be a small one.
#[must_use]
pub fn can_be_forwarded(method: &Method) -> bool {
    let name = method.as_str();
    method != Method::CONNECT
        && method != Method::TRACE
        && name != "PRI"
        && name.len() <= METHOD_BYTES_MAX
        && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Bytes of a method at most; the longest that is registered has 17.
const METHOD_BYTES_MAX: usize = 32;

/// The value of a field that may stand once; a repeated one counts as absent, because its readers could disagree.
fn single<'a>(map: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = map.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// Tier 1 writes exactly one address.
fn first_forwarded(map: &HeaderMap) -> Option<IpAddr> {
    single(map, &headers::X_FORWARDED_FOR)?.to_str().ok()?.parse().ok()
}

/// Random bytes for a trace id and a span id; all zeroes, which the recommendation forbids, come up once in 2^64 tries and are avoided.
fn random_ids() -> [u8; 24] {
    let mut ids: [u8; 24] = rand::random();
    ids[0] |= 1;
    ids[16] |= 1;
    ids
}

/// The one host that the request names (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn one_host(request: &Request<Body>) -> Result<HeaderValue, Reason> {
    let mut hosts = request.headers().get_all(header::HOST).into_iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Reason::HostMalformed);
    }
    let authority = request.uri().authority();
    let text = match (authority, host) {
        (None, None) => return Err(Reason::HostMissing),
        (Some(authority), None) => authority.as_str(),
        (None, Some(host)) => host.to_str().map_err(|_| Reason::HostMalformed)?,
        (Some(authority), Some(host)) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => authority.as_str(),
        (Some(_), Some(_)) => return Err(Reason::HostMismatch),
    };
    if text.is_empty() {
        return Err(Reason::HostMissing);
    }
    // As strict as the guard is with HTTP/1: an HTTP/2 host that only the next tier's guard refuses would cost a connection of the link each time.
    if !authority::is_lawful(text.as_bytes()) {
        return Err(Reason::HostMalformed);
    }
    match host {
        Some(host) => Ok(host.clone()),
        None => HeaderValue::from_str(text).map_err(|_| Reason::HostMalformed),
    }
}

/// The path and query alone; the scheme and authority have become facts of the connection and the host.
fn origin_form(uri: &Uri) -> Result<PathAndQuery, Reason> {
    uri.path_and_query().cloned().ok_or(Reason::TargetNotCanonical)
}

/// HTTP/2 may split cookies over fields; HTTP/1.1 must see one (RFC 9113 §8.2.3).
fn join_cookies(map: &mut HeaderMap) {
    let mut crumbs = map.get_all(header::COOKIE).into_iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let mut joined = Vec::new();
    for crumb in map.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(mut value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        value.set_sensitive(true);
        map.insert(header::COOKIE, value);
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::connection::{PeerAddress, Protocol};
    use crate::farewell::Farewell;

    fn enter(request: http::request::Builder) -> Result<Exchange<Arrived>, Turned> {
        enter_by(Trust::Edge { proxies: Proxies::default(), trace: Vec::new() }, request)
    }

    fn enter_by(trust: Trust, request: http::request::Builder) -> Result<Exchange<Arrived>, Turned> {
        let connection = Rc::new(Connection {
            id: 1,
            listener: 0,
            listener_name: "test".into(),
            peer: PeerAddress::Tcp(([127, 0, 0, 1], 1).into()),
            proxy: None,
            local: None,
            tls: None,
            protocol: Protocol::Http2,
            line: Arc::default(),
            farewell: Farewell::default(),
            opened: Instant::now(),
        });
        let door = Door::new(trust, Arc::new(Tracing::off()));
        let request = request.body(Body::Empty).expect("request");
        let stamp = door.stamp(&request, &connection, 0);
        door.enter(request, &connection, stamp)
    }

    #[test]
    fn options_may_ask_of_all_and_may_not_hide_a_separator() {
        let ask = |method: &str, target: &str| {
            enter(Request::builder().method(method).uri(target).header("host", "a")).map(|exchange| exchange.request.uri().to_string())
        };
        assert_eq!(ask("OPTIONS", "*"), Ok("*".to_owned()));
        assert_eq!(ask("GET", "*"), Err(Turned::Target(TargetFault::NotAPath)));
        for method in ["OPTIONS", "GET"] {
            assert_eq!(ask(method, "/orders/1%5Csecret"), Err(Turned::Target(TargetFault::Encoded)), "{method}");
            assert_eq!(ask(method, "/orders/1"), Ok("/orders/1".to_owned()), "{method}");
        }
    }

    #[test]
    fn a_method_that_two_could_read_as_two_stays_out() {
        let ask = |method: &str| enter(Request::builder().method(method).uri("https://a/")).map(drop);
        for method in ["GET", "DELETE", "PROPFIND", "M-SEARCH", "X1"] {
            assert_eq!(ask(method), Ok(()), "{method}");
        }
        for method in ["get", "delete", "Delete", "DELETe", "trace", "connect", "pri", "TRACE", "PRI"] {
            assert_eq!(ask(method), Err(Turned::Away(Reason::MethodNotSupported)), "{method}");
        }
    }

    #[test]
    fn a_host_that_the_next_guard_refuses_is_refused_here() {
        let host = |authority: &str| {
            enter(Request::builder().uri(format!("https://{authority}/"))).map(|exchange| exchange.request.headers()["host"].clone())
        };
        assert_eq!(host("a.test:8443"), Ok(HeaderValue::from_static("a.test:8443")));
        for authority in ["a.test:", "a..test", "a~b", "a.test:0", "user:secret@a.test"] {
            assert_eq!(host(authority).err(), Some(Turned::Away(Reason::HostMalformed)), "{authority}");
        }
    }

    #[test]
    fn nothing_that_only_we_say_comes_in_under_any_spelling() {
        let names = [
            "x-gw-subject",
            "x_gw_subject",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-port",
            "X-Real_IP",
            "forwarded",
            "x_request_id",
            "x-http-method-override",
            "X_Original-URL",
            "true-client-ip",
            "proxy",
        ];
        let request = names.iter().fold(Request::builder().uri("https://a/"), |request, name| request.header(*name, "forged"));
        let arrived = enter(request).expect("lawful");
        assert!(arrived.request.headers().values().all(|value| value != "forged"), "{:?}", arrived.request.headers());
    }

    #[test]
    fn what_tier_one_saw_must_be_what_tier_two_reads() {
        let seen = |told: &[&str], target: &str| {
            let request = Request::builder().uri(target).header("host", "a.test");
            enter_by(Trust::Tier1, told.iter().fold(request, |request, told| request.header(&headers::SEEN, *told)))
        };
        let request = Request::builder().uri("/orders/1?x=1").header("host", "a.test").body(()).expect("request");
        let digest = contract::seen::header(&seen::digest(&request));
        let digest = digest.to_str().expect("text");
        let split = Some(Turned::Away(Reason::SplitView));
        let arrived = seen(&[digest], "/orders/1?x=1").expect("both read the same");
        assert!(!arrived.request.headers().contains_key(&headers::SEEN), "it never travels on");
        assert!(seen(&[], "/orders/1").is_ok(), "a tier 1 of the treaty before does not tell");
        for (told, target) in [
            (&[digest][..], "/orders/1"),
            (&[digest], "/orders/1?x=2"),
            (&[digest, digest], "/orders/1?x=1"),
            (&[""], "/orders/1?x=1"),
            (&[&digest[1..]], "/orders/1?x=1"),
            (&[&digest.to_uppercase()], "/orders/1?x=1"),
        ] {
            assert_eq!(seen(told, target).err(), split, "{told:?} {target}");
        }
    }

    #[test]
    fn an_honest_request_keeps_what_is_its_own() {
        let request = Request::builder().uri("https://a/").header("accept", "*/*").header("x-own", "1").header("cookie", "a=1");
        let arrived = enter(request).expect("lawful");
        let mut names: Vec<&str> = arrived.request.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let told = ["traceparent", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-own", "x-real-ip", "x-request-id"];
        assert_eq!(names, [&["accept", "cookie", "host"][..], &told].concat());
    }
}
