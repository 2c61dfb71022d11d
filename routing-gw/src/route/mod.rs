//! Which route takes the request.
//!
//! In: `Exchange<Vouched>`. Out: `Exchange<Routed>`.
//! Refuses: `NoRoute`, `MethodNotAllowed`.
//! Never: looks at who is asking; a route is chosen by host, path and method alone.

pub mod pattern;
pub mod table;

use std::sync::Arc;

use contract::headers;
use http::header::{self, HeaderName};
use wire::exchange::Exchange;

use crate::facts::{RouteFacts, Routed, Vouched};
use crate::refusal::Refusal;
use crate::route::table::{Found, Table};

/// The routes of one generation.
#[derive(Debug)]
pub struct Routes {
    table: Table,
    facts: Vec<Arc<RouteFacts>>,
    /// For each route, the claim headers of every route to the same service: what a service believes on one route no client may say on another.
    claimed: Vec<Vec<HeaderName>>,
}

impl Routes {
    /// Routes behind a table; `facts` are in the table's order.
    #[must_use]
    pub fn new(table: Table, facts: Vec<Arc<RouteFacts>>) -> Self {
        let claimed = facts.iter().map(|route| claimed(&facts, route)).collect();
        Self { table, facts, claimed }
    }

    /// Finds the route of a request.
    ///
    /// # Errors
    /// No route takes the path, or none takes the method on it.
    pub fn find(&self, mut exchange: Exchange<Vouched>) -> Result<Exchange<Routed>, Refusal> {
        let request = &exchange.request;
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        match self.table.find(host, request.uri().path(), request.method()) {
            Found::Route(index) => match self.facts.get(index) {
                Some(facts) => {
                    for name in self.claimed.get(index).into_iter().flatten() {
                        headers::remove_folded(exchange.request.headers_mut(), name);
                    }
                    Ok(exchange.learn(|vouched| Routed::new(vouched, facts.clone())))
                }
                None => Err(Refusal::NoRoute),
            },
            Found::OtherMethods(methods) => Err(Refusal::MethodNotAllowed(methods)),
            Found::Nothing => Err(Refusal::NoRoute),
        }
    }

    /// All routes, in the order of the table.
    #[must_use]
    pub fn facts(&self) -> &[Arc<RouteFacts>] {
        &self.facts
    }
}

/// The claim headers of all routes to the service of `route`, each once.
fn claimed(all: &[Arc<RouteFacts>], route: &RouteFacts) -> Vec<HeaderName> {
    let same = all.iter().filter(|other| Arc::ptr_eq(&other.service, &route.service));
    let mut names: Vec<HeaderName> = same.flat_map(|other| &other.claim_headers).map(|(name, _)| name.clone()).collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}
