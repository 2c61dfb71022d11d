//! All routes as one tree by path segment, so that a thousand routes cost what ten do.
//!
//! In: patterns with the routes that bear them. Out: the most specific route that takes the path, the host and the method.
//! Never: depends on the order in which routes were written; `check` refuses two routes that could not be told apart.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use http::Method;

use crate::route::pattern::{Pattern, Segment};

/// The place of a route in the plan.
pub type RouteIndex = usize;

/// What a route demands besides its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Host names in lower case, without port, IPv6 addresses as [`address`] writes them; empty means any.
    pub hosts: Vec<Box<str>>,
    /// Methods; empty means any.
    pub methods: Vec<Method>,
}

impl Demands {
    fn host_fits(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Who may read may ask for the head of what would be read (RFC 9110 §9.3.2): a HEAD that its GET's route did not take would fall to a wider one.
    fn method_fits(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method) || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// Whether some method fits both.
    #[must_use]
    pub fn shares_method(&self, other: &Self) -> bool {
        self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|method| other.method_fits(method))
            || other.methods.iter().any(|method| self.method_fits(method))
    }
}

/// What the table answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This route takes the request.
    Route(RouteIndex),
    /// Routes take this path and host, but not the method; these methods they take.
    OtherMethods(Vec<Method>),
    /// No route takes the path and host.
    Nothing,
}

/// The compiled table.
#[derive(Debug, Default)]
pub struct Table {
    root: Node,
    demands: Vec<Demands>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    exact: Vec<RouteIndex>,
    below: Vec<RouteIndex>,
}

impl Table {
    /// Builds the table; the place of a route in `routes` becomes its index.
    #[must_use]
    pub fn build(routes: Vec<(Pattern, Demands)>) -> Self {
        let mut table = Self::default();
        for (index, (pattern, demands)) in routes.into_iter().enumerate() {
            let mut node = &mut table.root;
            for segment in pattern.segments {
                node = match segment {
                    Segment::Literal(text) => node.literals.entry(text).or_default(),
                    Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                };
            }
            if pattern.prefix { &mut node.below } else { &mut node.exact }.push(index);
            table.demands.push(demands);
        }
        table.sort();
        table
    }

    /// A route that names its host is more specific than one that takes any, and one that names HEAD than one that takes it with GET.
    fn sort(&mut self) {
        let demands = &self.demands;
        let mut nodes = vec![&mut self.root];
        while let Some(node) = nodes.pop() {
            let key = |index: &RouteIndex| (demands[*index].hosts.is_empty(), !demands[*index].methods.contains(&Method::HEAD));
            node.exact.sort_by_key(key);
            node.below.sort_by_key(key);
            nodes.extend(node.literals.values_mut());
            nodes.extend(node.parameter.as_deref_mut());
        }
    }

    /// Finds the most specific route: literal before parameter, longer before shorter, whole path before prefix.
    #[must_use]
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Found {
        // `OPTIONS *` asks of the server and not of a path, so no pattern takes it.
        let Some(rest) = path.strip_prefix('/') else { return Found::Nothing };
        let host = bare(host);
        let address = address(host);
        let mut search = Search { table: self, host: address.as_deref().unwrap_or(host), method, others: Vec::new() };
        match search.descend(&self.root, rest) {
            Some(index) => Found::Route(index),
            None if search.others.is_empty() => Found::Nothing,
            None => Found::OtherMethods(search.others),
        }
    }
}

/// One walk down the tree; it goes back where a branch takes the path but not the method.
struct Search<'a> {
    table: &'a Table,
    host: &'a str,
    method: &'a Method,
    others: Vec<Method>,
}

impl Search<'_> {
    /// `rest` is what lies behind the slash that led to `node`.
    fn descend(&mut self, node: &Node, rest: &str) -> Option<RouteIndex> {
        let (segment, behind) = match rest.split_once('/') {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (rest, None),
        };
        let literal = node.literals.get(segment).and_then(|next| self.enter(next, behind));
        let parameter = || node.parameter.as_deref().filter(|_| !segment.is_empty());
        literal.or_else(|| parameter().and_then(|next| self.enter(next, behind))).or_else(|| self.choose(&node.below))
    }

    fn enter(&mut self, node: &Node, behind: Option<&str>) -> Option<RouteIndex> {
        match behind {
            None => self.choose(&node.exact),
            Some(rest) => self.descend(node, rest),
        }
    }

    fn choose(&mut self, candidates: &[RouteIndex]) -> Option<RouteIndex> {
        for index in candidates {
            let demands = &self.table.demands[*index];
            if !demands.host_fits(self.host) {
                continue;
            }
            if demands.method_fits(self.method) {
                return Some(*index);
            }
            for method in &demands.methods {
                if !self.others.contains(method) {
                    self.others.push(method.clone());
                }
            }
        }
        None
    }
}

/// `example.test:8443`, `example.test.` and `[::1]:8443` without port and root dot: to servers behind us they are one host, so to the table too.
fn bare(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') && !host[..colon].ends_with(':') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// The one spelling of an IPv6 address in brackets (RFC 5952), which has many; none for other hosts.
#[must_use]
pub fn address(host: &str) -> Option<String> {
    let address: Ipv6Addr = host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    Some(format!("[{address}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&str, &[Method], &[&str])]) -> Table {
        let build = |(path, methods, hosts): &(&str, &[Method], &[&str])| {
            let demands = Demands { hosts: hosts.iter().map(|host| (*host).into()).collect(), methods: methods.to_vec() };
            (Pattern::parse(path).expect("pattern"), demands)
        };
        Table::build(routes.iter().map(build).collect())
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let table = table(&[("/", &[], &[]), ("/orders/", &[], &[]), ("/orders/{id}", &[], &[]), ("/orders/new", &[], &[])]);
        let found = |path| table.find("any", path, &Method::GET);
        assert_eq!(found("/orders/new"), Found::Route(3));
        assert_eq!(found("/orders/7"), Found::Route(2));
        assert_eq!(found("/orders/7/lines"), Found::Route(1));
        assert_eq!(found("/orders/"), Found::Route(1));
        assert_eq!(found("/orders"), Found::Route(0));
        assert_eq!(found("/"), Found::Route(0));
    }

    #[test]
    fn another_method_falls_back_to_a_less_specific_route() {
        let table = table(&[("/orders/{id}", &[Method::GET], &[]), ("/orders/", &[Method::POST], &[])]);
        assert_eq!(table.find("h", "/orders/1", &Method::POST), Found::Route(1));
        assert_eq!(table.find("h", "/orders/1", &Method::PUT), Found::OtherMethods(vec![Method::GET, Method::POST]));
        assert_eq!(table.find("h", "/other", &Method::GET), Found::Nothing);
    }

    #[test]
    fn head_goes_where_get_goes_and_to_no_wider_route() {
        let routes = table(&[("/a/", &[Method::GET], &[]), ("/", &[], &[]), ("/b", &[Method::GET], &[]), ("/b", &[Method::HEAD], &[])]);
        assert_eq!(routes.find("h", "/a/1", &Method::HEAD), Found::Route(0));
        assert_eq!(routes.find("h", "/b", &Method::GET), Found::Route(2));
        assert_eq!(routes.find("h", "/b", &Method::HEAD), Found::Route(3), "a route of its own goes before");
        assert_eq!(table(&[("/a", &[Method::POST], &[])]).find("h", "/a", &Method::HEAD), Found::OtherMethods(vec![Method::POST]));
    }

    #[test]
    fn a_named_host_goes_before_any_host() {
        let table = table(&[("/", &[], &[]), ("/", &[], &["api.test"])]);
        assert_eq!(table.find("API.test:8443", "/x", &Method::GET), Found::Route(1));
        assert_eq!(table.find("other.test", "/x", &Method::GET), Found::Route(0));
    }

    #[test]
    fn an_address_is_one_host_however_it_is_written() {
        let host = address("[2001:DB8:0:0::1]").expect("an address");
        let table = table(&[("/", &[], &[]), ("/", &[], &[&host])]);
        for host in ["[2001:db8::1]", "[2001:0db8:0000::0001]:8443", "[2001:DB8::0:1]"] {
            assert_eq!(table.find(host, "/", &Method::GET), Found::Route(1), "{host}");
        }
        assert_eq!(table.find("[2001:db8::2]", "/", &Method::GET), Found::Route(0));
    }

    #[test]
    fn port_and_root_dot_are_no_part_of_a_host() {
        assert_eq!(bare("a.test:80"), "a.test");
        assert_eq!(bare("a.test.:80"), "a.test");
        assert_eq!(bare("a.test."), "a.test");
        assert_eq!(bare("[::1]:80"), "[::1]");
        assert_eq!(bare("[::1]"), "[::1]");
    }

    #[test]
    fn no_pattern_takes_the_server_as_a_whole() {
        let table = table(&[("/", &[], &[]), ("/{any}", &[], &[])]);
        assert_eq!(table.find("h", "*", &Method::OPTIONS), Found::Nothing);
    }

    #[test]
    fn a_literal_branch_that_leads_nowhere_gives_way_to_a_parameter() {
        let table = table(&[("/a/b/c", &[], &[]), ("/a/{x}/d", &[], &[])]);
        assert_eq!(table.find("h", "/a/b/d", &Method::GET), Found::Route(1));
    }

    /// As the room asks: what is taken with other methods is not nobody's.
    fn agreed(table: &Table, path: &str) -> Result<Option<Found>, contract::target::TargetFault> {
        let shape = contract::target::check(path, false)?;
        contract::target::readings::agree(path, shape, |path| {
            Some(table.find("h", path, &Method::GET)).filter(|found| *found != Found::Nothing)
        })
    }

    #[test]
    fn an_encoded_slash_leads_past_no_route_of_another_method() {
        let split = Err(contract::target::TargetFault::TwoReadings);
        let routes = table(&[("/orders/{id}", &[Method::GET], &[]), ("/orders/{id}/approve", &[Method::POST], &[])]);
        assert_eq!(agreed(&routes, "/orders/1%2Fapprove"), split);
        assert_eq!(agreed(&routes, "/orders/1%2Fother"), Ok(Some(Found::Route(0))), "nobody takes /orders/1/other");
        assert_eq!(agreed(&table(&[("/orders/", &[], &[]), ("/orders/a/b", &[], &[])]), "/orders/a%2Fb"), split);
        assert_eq!(agreed(&table(&[("/", &[], &[]), ("/a/b", &[], &[])]), "/a%2Fb;%2F"), split, "cut before it is decoded, it is /a/b");
    }

    proptest::proptest! {
        /// Whatever the routes are, an encoded slash or a parameter leads nowhere that the path without it does not lead, or nobody would be asked.
        #[test]
        fn no_reading_of_a_path_is_taken_by_another_route(
            path in "(/|%2F|%2f|;|;x|[abc]|%40|@){1,10}",
            patterns in proptest::collection::vec(("(/(a|b|c|@|%40|\\{x\\}|\\{y\\})){0,4}/?", proptest::prelude::any::<bool>()), 1..6),
        ) {
            let path = format!("/a{path}");
            let Ok(shape) = contract::target::check(&path, false) else { return Ok(()) };
            let demands = |get| Demands { hosts: Vec::new(), methods: vec![if get { Method::GET } else { Method::POST }] };
            let routes = patterns.iter().filter_map(|(path, get)| Some((Pattern::parse(path).ok()?, demands(*get))));
            let table = Table::build(routes.collect());
            let Ok(Some(found @ Found::Route(_))) = agreed(&table, &path) else { return Ok(()) };
            let cut = |path: &str| path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/");
            let plain = |path: &str| path.replace("%40", "@");
            let separated = |path: &str| plain(path).replace("%2F", "/").replace("%2f", "/");
            for reading in [separated(&path), cut(&separated(&path)), separated(&cut(&path))] {
                let other = table.find("h", &reading, &Method::GET);
                // Nobody's under any method, not only under this one.
                let granted = shape.encoded_slashes && other == Found::Nothing;
                proptest::prop_assert!(other == found || granted, "{path} is {found:?}, and {reading} is {other:?}");
            }
            if !shape.encoded_slashes {
                proptest::prop_assert_eq!(table.find("h", &cut(&plain(&path)), &Method::GET), found);
            }
        }
    }
}
