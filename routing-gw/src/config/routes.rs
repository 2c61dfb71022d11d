//! Routes as written: `routes:` in the configuration, and what `check` makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::headers;
use http::Method;
use http::header::{self, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::{Size, Span};
use wire::door::can_be_forwarded;

use crate::authorize::config::RequireConfig;
use crate::config::keys::AssertConfig;
use crate::requirement::Requirement;
use crate::route::pattern::{Pattern, Segment};
use crate::route::table::{Demands, Found, Table, address};

/// One entry of `routes:`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Names the route in records, metrics, decisions and the Trail; unique.
    pub name: String,
    /// `/orders` exactly, `/orders/{id}` with a parameter, `/orders/` for everything below.
    pub path: String,
    /// Host names without port; none means any.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Methods; none means any.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The service that answers; one of `services`.
    pub service: String,
    /// What a caller must prove. A route needs this, or `public: true`.
    pub require: Option<RequireConfig>,
    /// Lets everyone in, also anonymous callers.
    #[serde(default)]
    pub public: bool,
    /// From the request's arrival at this tier to the head of the answer, over all attempts; default 60 s.
    pub timeout: Option<Span>,
    /// Bytes of one request body at most, where that is less than `limits.body_bytes_max`.
    pub body_bytes_max: Option<Size>,
    /// Asks no `limits.body_rate_min` of request bodies, for clients that send when they have something to say, such as those of an event ingest.
    /// `limits.request` and the service's `timeouts.upload_idle` bound them still. The rule of tier 1 must say it too. gRPC needs neither.
    #[serde(default)]
    pub slow_bodies: bool,
    /// Admits `%2F` in the path, as some services have it in ids; to the pattern it is part of a segment. The rule of tier 1 must allow it too, and
    /// where `/` in its place would lead to another route, the request is refused.
    #[serde(default)]
    pub allow_encoded_slashes: bool,
    /// Headers that tell the service a claim of the caller: header name to claim name. They are taken out of what the client sent.
    #[serde(default)]
    pub claim_headers: BTreeMap<String, String>,
    /// Tells instances who is asking in a signed word of this tier's own, `x-gw-identity`, meant for the service or for another `audience`.
    #[serde(default, rename = "assert")]
    pub identity: AssertConfig,
}

/// A route as meant: everything resolved.
#[derive(Clone, Debug)]
pub struct RoutePlan {
    /// Its name.
    pub name: String,
    /// Its path.
    pub pattern: Pattern,
    /// Its hosts and methods.
    pub demands: Demands,
    /// The name of its service, which exists.
    pub service: String,
    /// Who may pass.
    pub requirement: Requirement,
    /// From arrival to the head of the answer.
    pub timeout: Duration,
    /// Bytes of one request body at most, where that is less than what the process takes.
    pub body_bytes_max: Option<u64>,
    /// Whether no rate is asked of request bodies.
    pub slow_bodies: bool,
    /// Whether `%2F` may stand in the path.
    pub allow_encoded_slashes: bool,
    /// Headers that tell a claim of the caller.
    pub claim_headers: Vec<(HeaderName, Box<str>)>,
    /// For whom this tier vouches for the caller, if it does.
    pub identity: Option<Box<str>>,
}

/// Routes of one configuration at most.
pub(crate) const ROUTES_MAX: usize = 100_000;
/// The default of `timeout`.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// Checks all routes against each other, against the names of the services, and against the ceiling of the process.
///
/// `signs` says whether this tier has keys of its own.
pub fn check<'a>(
    routes: &[RouteConfig],
    services: impl Iterator<Item = &'a str> + Clone,
    signs: bool,
    body_bytes_max: u64,
    report: &mut Report,
) -> Vec<RoutePlan> {
    if routes.len() > ROUTES_MAX {
        report.complain("routes", format!("there are {} routes", routes.len()), format!("keep at most {ROUTES_MAX}"));
    }
    let plans: Vec<Option<RoutePlan>> = routes
        .iter()
        .enumerate()
        .map(|(index, route)| check_one(route, &format!("routes[{index}]"), services.clone(), signs, report))
        .collect();
    for (index, _) in routes.iter().enumerate().filter(|(_, route)| route.body_bytes_max.is_some_and(|own| own.get() > body_bytes_max)) {
        report.complain(
            &format!("routes[{index}].body_bytes_max"),
            "the route would take a larger body than the process does",
            "write at most what limits.body_bytes_max has, or raise that",
        );
    }
    complain_about_twins(routes, &plans, report);
    complain_about_slashes(&plans, report);
    plans.into_iter().flatten().collect()
}

fn check_one<'a>(
    route: &RouteConfig,
    key: &str,
    services: impl Iterator<Item = &'a str>,
    signs: bool,
    report: &mut Report,
) -> Option<RoutePlan> {
    let lawful_name = !route.name.is_empty() && route.name.len() <= 128 && route.name.bytes().all(|byte| byte.is_ascii_graphic());
    if !lawful_name {
        let what = format!("{:.160?} is no name for a route", route.name);
        report.complain(&format!("{key}.name"), what, "write 1 to 128 visible ASCII characters without spaces, as in read-orders");
    }
    let pattern = Pattern::parse(&route.path).map_err(|(what, remedy)| report.complain(&format!("{key}.path"), what, remedy)).ok();
    let takes_more = |pattern: &Pattern| pattern.prefix || pattern.segments.iter().any(|segment| matches!(segment, Segment::Parameter(_)));
    if route.allow_encoded_slashes && pattern.as_ref().is_some_and(|pattern| !takes_more(pattern)) {
        report.complain(
            &format!("{key}.allow_encoded_slashes"),
            "a path with an encoded slash is never this one path",
            "take it away, or write a parameter where the slash may stand, as in /orders/{id}",
        );
    }
    let services: Vec<&str> = services.collect();
    if !services.contains(&route.service.as_str()) {
        report.unknown_name(&format!("{key}.service"), "service", &route.service, "services", services.into_iter());
    }
    if route.timeout == Some(Span::default()) {
        report.complain(&format!("{key}.timeout"), "no service answers in no time", "set a time above 0");
    }
    let methods = methods(&route.methods, key, report);
    let hosts = hosts(&route.hosts, key, report);
    let identity = route.identity.check(&route.service, signs, &format!("{key}.assert"), report);
    let claim_headers = claim_headers(&route.claim_headers, key, report);
    let requirement = match (&route.require, route.public) {
        (Some(_), true) => {
            report.complain(
                &format!("{key}.public"),
                "the route is public and has requirements",
                "take one of `public` and `require` away",
            );
            None
        }
        (Some(require), false) => require.check(&format!("{key}.require"), report),
        (None, true) => Some(Requirement::Public),
        (None, false) => {
            report.complain_of_absence(
                key,
                format!("the route {:?} has no policy", route.name),
                "add `require:`, or say `public: true` to let everyone in",
            );
            None
        }
    };
    Some(RoutePlan {
        name: route.name.clone(),
        pattern: pattern?,
        demands: Demands { hosts: hosts?, methods: methods? },
        service: route.service.clone(),
        requirement: requirement?,
        timeout: route.timeout.map_or(TIMEOUT_DEFAULT, Span::get),
        body_bytes_max: route.body_bytes_max.map(Size::get),
        slow_bodies: route.slow_bodies,
        allow_encoded_slashes: route.allow_encoded_slashes,
        claim_headers: claim_headers?,
        identity,
    })
}

/// A header that carries a claim must not change what the request is or who it is for.
fn claim_headers(written: &BTreeMap<String, String>, key: &str, report: &mut Report) -> Option<Vec<(HeaderName, Box<str>)>> {
    let mut headers = Vec::with_capacity(written.len());
    for (name, claim) in written {
        if claim.is_empty() {
            report.complain(
                &format!("{key}.claim_headers.{name}"),
                "the name of the claim is empty",
                "name a claim, as in x-user-role: role",
            );
        }
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) if may_carry_a_claim(&header) => headers.push((header, claim.as_str().into())),
            _ => report.complain(
                &format!("{key}.claim_headers.{name}"),
                format!("{name:?} cannot carry a claim"),
                "choose a header of your own, as in x-user-role; the subject, issuer and scopes have theirs already",
            ),
        }
    }
    (headers.len() == written.len()).then_some(headers)
}

/// Not what says something else to a server, under any spelling that one could take for it: the claim would take its place.
fn may_carry_a_claim(header: &HeaderName) -> bool {
    let others = [&headers::TRACEPARENT, &headers::TRACESTATE, &headers::BAGGAGE];
    let has_a_meaning = || FORBIDDEN_CLAIM_HEADERS.iter().chain(others).any(|other| headers::folds_to(header, other));
    !(headers::is_reserved(header) || headers::rewrites(header) || headers::tells_origin(header) || has_a_meaning())
}

/// Fields with a meaning of their own.
static FORBIDDEN_CLAIM_HEADERS: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::AUTHORIZATION,
    header::COOKIE,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::CONTENT_TYPE,
];

/// A host that no request can name would leave the route's requests to a less specific one, which may be public.
fn hosts(names: &[String], key: &str, report: &mut Report) -> Option<Vec<Box<str>>> {
    let mut hosts = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let is_of_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if let Some(address) = address(name) {
            hosts.push(address.into_boxed_str());
        } else if name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_of_label)) {
            hosts.push(name.to_ascii_lowercase().into_boxed_str());
        } else {
            report.complain(
                &format!("{key}.hosts[{index}]"),
                format!("no request can name the host {name:?}"),
                "write a whole name without port, wildcard or dot at the end, as in api.example.com",
            );
        }
    }
    (hosts.len() == names.len()).then_some(hosts)
}

fn methods(names: &[String], key: &str, report: &mut Report) -> Option<Vec<Method>> {
    let mut methods = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        match Method::from_bytes(name.as_bytes()) {
            Ok(method) if can_be_forwarded(&method) => methods.push(method),
            _ => report.complain(
                &format!("{key}.methods[{index}]"),
                format!("{name:?} is no method that can be routed"),
                "methods are upper-case tokens of at most 32 bytes, as in GET; CONNECT, TRACE and PRI are never routed",
            ),
        }
    }
    (methods.len() == names.len()).then_some(methods)
}

/// Two routes with one name, or with the same path, host and method, could not be told apart.
fn complain_about_twins(routes: &[RouteConfig], plans: &[Option<RoutePlan>], report: &mut Report) {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, route) in routes.iter().enumerate() {
        if let Some(first) = names.insert(&route.name, index) {
            report.complain(
                &format!("routes[{index}].name"),
                format!("routes[{first}] has the name {:?} too", route.name),
                "give each route its own name",
            );
        }
    }
    let mut by_shape: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let Some(plan) = plan else { continue };
        let twins = by_shape.entry(shape(&plan.pattern)).or_default();
        if let Some(twin) = twins.iter().find(|twin| plans[**twin].as_ref().is_some_and(|other| overlap(&plan.demands, &other.demands))) {
            report.complain(
                &format!("routes[{index}].path"),
                format!("the route {:?} takes the same requests as routes[{twin}], {:?}", plan.name, routes[*twin].name),
                "tell them apart by path, host or method",
            );
        }
        twins.push(index);
    }
}

/// Many servers serve `/orders` and `/orders/` as one; where the same service is public under the other form, the route protects nothing.
fn complain_about_slashes(plans: &[Option<RoutePlan>], report: &mut Report) {
    let (places, known): (Vec<usize>, Vec<&RoutePlan>) =
        plans.iter().enumerate().filter_map(|(index, plan)| Some((index, plan.as_ref()?))).unzip();
    let table = Table::build(known.iter().map(|plan| (plan.pattern.clone(), plan.demands.clone())).collect());
    for (place, plan) in places.iter().zip(&known) {
        if plan.requirement == Requirement::Public || plan.pattern.segments.is_empty() {
            continue;
        }
        let other = other_form(&plan.pattern);
        let hosts = if plan.demands.hosts.is_empty() { vec![""] } else { plan.demands.hosts.iter().map(|host| &**host).collect() };
        let methods = if plan.demands.methods.is_empty() { &METHODS_ASKED[..] } else { &plan.demands.methods };
        let found = hosts.iter().flat_map(|host| methods.iter().map(|method| table.find(host, &other, method)));
        let public = found
            .filter_map(|found| if let Found::Route(index) = found { known.get(index) } else { None })
            .find(|found| found.requirement == Requirement::Public && found.service == plan.service);
        if let Some(public) = public {
            report.complain(
                &format!("routes[{place}].path"),
                format!(
                    "{} a slash at the end, which many servers take for the same, the public route {:?} leads to the same service",
                    if plan.pattern.prefix { "without" } else { "with" },
                    public.name
                ),
                "add a route for that path that demands the same",
            );
        }
    }
}

/// What is asked for where a route takes any method.
static METHODS_ASKED: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// A path that only the parameters of other patterns and this one's take, with the slash at its end that the pattern has not, or without.
fn other_form(pattern: &Pattern) -> String {
    let mut path = String::new();
    for segment in &pattern.segments {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Parameter(_) => path.push('\0'),
        }
    }
    if !pattern.prefix {
        path.push('/');
    }
    path
}

/// A pattern without the names of its parameters; a NUL, which no decoded path holds, stands for each.
fn shape(pattern: &Pattern) -> String {
    let mut shape = String::new();
    for segment in &pattern.segments {
        shape.push('/');
        match segment {
            Segment::Literal(text) => shape.push_str(text),
            Segment::Parameter(_) => shape.push('\0'),
        }
    }
    if pattern.prefix {
        shape.push('/');
    }
    shape
}

/// Whether two routes of one path could both take a request, neither being more specific by host.
fn overlap(one: &Demands, other: &Demands) -> bool {
    let hosts = match (one.hosts.is_empty(), other.hosts.is_empty()) {
        (true, true) => true,
        (false, false) => one.hosts.iter().any(|host| other.hosts.contains(host)),
        _ => false,
    };
    let methods = one.methods.is_empty() || other.methods.is_empty() || one.methods.iter().any(|method| other.methods.contains(method));
    hosts && methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_braces_are_no_parameter() {
        let shape = |path: &str| shape(&Pattern::parse(path).expect("a pattern"));
        assert_eq!(shape("/a/{x}"), shape("/a/{y}"));
        assert_ne!(shape("/a/%7B%7D"), shape("/a/{x}"));
    }

    #[test]
    fn a_claim_takes_the_place_of_no_other_field() {
        for (name, may) in [
            ("x-user-role", true),
            ("x_user_role", true),
            ("content_type", false),
            ("authorization", false),
            ("x-gw-subject", false),
            ("x-forwarded-user", false),
            ("x_real_ip", false),
            ("x-request-id", false),
            ("traceparent", false),
            ("tracestate", false),
            ("baggage", false),
        ] {
            assert_eq!(may_carry_a_claim(&HeaderName::from_static(name)), may, "{name}");
        }
    }

    #[test]
    fn a_host_that_no_request_can_name_is_a_mistake() {
        for (name, lawful) in [
            ("api.example.com", true),
            ("API", true),
            ("[::1]", true),
            ("10.0.0.1", true),
            ("", false),
            ("*.example.com", false),
            ("a.test:8443", false),
            ("a.test.", false),
            ("a..b", false),
            ("[::1", false),
            ("https://a.test", false),
        ] {
            let mut report = Report::default();
            assert_eq!(hosts(&[name.to_owned()], "routes[0]", &mut report).is_some(), lawful, "{name}");
            assert_eq!(report.is_clean(), lawful, "{name}");
        }
    }
}
