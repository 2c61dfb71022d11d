//! Which requests routes lay claim to, whoever is more specific.
//!
//! In: routes, each with a mark of whoever wrote it. Out: those that one and the same request could fit as well as a given route. Never: asks which
//! of two the table would prefer: to be more specific is how one would take what is another's.

use std::collections::HashMap;

use crate::route::pattern::{Pattern, Segment};
use crate::route::table::Demands;

/// The routes that were added, by path.
#[derive(Debug)]
pub struct Claims<M> {
    root: Node,
    claims: Vec<(Demands, M)>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    exact: Vec<usize>,
    below: Vec<usize>,
}

impl<M> Default for Claims<M> {
    fn default() -> Self {
        Self { root: Node::default(), claims: Vec::new() }
    }
}

impl<M> Claims<M> {
    /// Adds a route.
    pub fn add(&mut self, pattern: &Pattern, demands: &Demands, mark: M) {
        let mut node = &mut self.root;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        if pattern.prefix { &mut node.below } else { &mut node.exact }.push(self.claims.len());
        self.claims.push((demands.clone(), mark));
    }

    /// The first mark that `wanted` says yes to, of the routes that some request fits which also fits this one.
    pub fn find(&self, pattern: &Pattern, demands: &Demands, wanted: impl Fn(&M) -> bool) -> Option<&M> {
        let pick = |indices: &[usize]| {
            let mut claims = indices.iter().filter_map(|index| self.claims.get(*index));
            claims.find(|(theirs, mark)| meet(demands, theirs) && wanted(mark)).map(|(_, mark)| mark)
        };
        let mut left = vec![(&self.root, Some(pattern.segments.as_slice()))];
        while let Some((node, rest)) = left.pop() {
            let found = match rest.map(<[Segment]>::split_first) {
                Some(Some((Segment::Literal(text), rest))) => {
                    left.extend(node.literals.get(text).into_iter().chain(node.parameter.as_deref()).map(|next| (next, Some(rest))));
                    pick(&node.below)
                }
                Some(Some((Segment::Parameter(_), rest))) => {
                    left.extend(node.all().map(|next| (next, Some(rest))));
                    pick(&node.below)
                }
                // `/a` is not below `/a/`.
                Some(None) if !pattern.prefix => pick(&node.exact),
                Some(None) => {
                    left.extend(node.all().map(|next| (next, None)));
                    pick(&node.below)
                }
                None => {
                    left.extend(node.all().map(|next| (next, None)));
                    pick(&node.below).or_else(|| pick(&node.exact))
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl Node {
    fn all(&self) -> impl Iterator<Item = &Self> {
        self.literals.values().chain(self.parameter.as_deref())
    }
}

/// Whether some host and method is what both demand.
fn meet(one: &Demands, other: &Demands) -> bool {
    shared(&one.hosts, &other.hosts) && one.shares_method(other)
}

/// An empty list takes anything.
fn shared<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|item| other.contains(item))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::route::table::{Found, Table};

    type Written = (String, Vec<&'static str>, Vec<&'static str>);

    fn route((path, hosts, methods): &Written) -> (Pattern, Demands) {
        let methods = methods.iter().map(|name| name.parse().expect("a method")).collect();
        (Pattern::parse(path).expect("a path"), Demands { hosts: hosts.iter().map(|host| (*host).into()).collect(), methods })
    }

    fn claimed(one: &Written, other: &Written) -> bool {
        let mut claims = Claims::default();
        let ((pattern, demands), (theirs, their_demands)) = (route(one), route(other));
        claims.add(&pattern, &demands, ());
        claims.find(&theirs, &their_demands, |()| true).is_some()
    }

    #[test]
    fn what_is_more_specific_is_claimed_by_what_is_less() {
        let any = |path: &str| (path.to_owned(), vec![], vec![]);
        for (one, other, both) in [
            (any("/orders/"), any("/orders/{id}"), true),
            (any("/orders/"), any("/orders/{id}/lines/"), true),
            (any("/orders/{id}"), any("/orders/new"), true),
            (any("/{team}/"), any("/orders/"), true),
            (any("/{a}/x"), any("/b/{y}"), true),
            (any("/"), any("/orders"), true),
            (any("/orders/"), any("/orders"), false),
            (any("/orders/"), any("/orders-old/"), false),
            (any("/orders/{id}"), any("/orders/"), true),
            (any("/orders/{id}"), any("/orders/{id}/"), false),
            (any("/orders/"), ("/orders/".to_owned(), vec!["api.example.com"], vec![]), true),
            (any("/orders/"), ("/orders/".to_owned(), vec![], vec!["PUT"]), true),
            (("/a/".to_owned(), vec!["a"], vec![]), ("/a/".to_owned(), vec!["b"], vec![]), false),
            (("/a/".to_owned(), vec![], vec!["GET"]), ("/a/b".to_owned(), vec![], vec!["PUT"]), false),
        ] {
            assert_eq!(claimed(&one, &other), both, "{one:?} {other:?}");
            assert_eq!(claimed(&other, &one), both, "{other:?} {one:?}");
        }
    }

    fn any_path() -> impl Strategy<Value = String> {
        let segments = prop::collection::vec(select(vec!["a", "b", "{}"]), 0..4);
        (segments, any::<bool>()).prop_map(|(segments, prefix)| {
            let named = segments.iter().enumerate().map(|(index, text)| text.replace("{}", &format!("{{p{index}}}")));
            let path: String = named.map(|text| format!("/{text}")).collect();
            if prefix || path.is_empty() { format!("{path}/") } else { path }
        })
    }

    fn any_route() -> impl Strategy<Value = Written> {
        (any_path(), subsequence(vec!["a.test", "b.test"], 0..=2), subsequence(vec!["GET", "HEAD", "PUT"], 0..=3))
    }

    /// Every request that could tell two such routes apart.
    fn requests() -> Vec<(&'static str, String, Method)> {
        let mut paths = vec![String::new()];
        for length in 0..5 {
            let longer: Vec<String> = paths.iter().filter(|path| path.matches('/').count() == length).cloned().collect();
            paths.extend(longer.iter().flat_map(|path| ["a", "b", "c"].map(|segment| format!("{path}/{segment}"))));
        }
        let slashed: Vec<String> = paths.iter().map(|path| format!("{path}/")).collect();
        let all = paths.into_iter().filter(|path| !path.is_empty()).chain(slashed);
        all.flat_map(|path| ["a.test", "b.test", "c.test"].map(|host| (host, path.clone())))
            .flat_map(|(host, path)| [Method::GET, Method::HEAD, Method::PUT, Method::POST].map(|method| (host, path.clone(), method)))
            .collect()
    }

    proptest! {
        /// The table is asked of each route alone, so that none can hide behind the other.
        #[test]
        fn two_routes_are_claimed_by_each_other_exactly_if_the_table_lets_one_request_into_both(one in any_route(), other in any_route()) {
            let [first, second] = [&one, &other].map(|written| Table::build(vec![route(written)]));
            let takes = |table: &Table, (host, path, method): &(&str, String, Method)| table.find(host, path, method) == Found::Route(0);
            let both = requests().into_iter().find(|request| takes(&first, request) && takes(&second, request));
            prop_assert_eq!(claimed(&one, &other), both.is_some(), "{:?}", both);
            prop_assert_eq!(claimed(&other, &one), both.is_some());
        }
    }
}
