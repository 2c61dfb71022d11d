//! Which route takes the request.
//!
//! In: `Exchange<Vouched>`. Out: `Exchange<Routed>`.
//! Refuses: `NoRoute`, `MethodNotAllowed`; `Target` where the path has another route to some servers, or encoded slashes that its route does not allow.
//! Never: looks at who is asking; a route is chosen by host, path and method alone.

pub mod claims;
pub mod pattern;
pub mod table;

use std::collections::HashMap;
use std::sync::Arc;

use contract::headers;
use contract::target::{TargetFault, readings};
use http::header::{self, HeaderName};
use wire::body::Body;
use wire::exchange::Exchange;
use wire::withheld::Withheld;

use crate::facts::{RouteFacts, Routed, Vouched};
use crate::refusal::Refusal;
use crate::route::table::{Found, Table};

/// The routes of one generation.
#[derive(Debug)]
pub struct Routes {
    table: Table,
    facts: Vec<Arc<RouteFacts>>,
    /// For each route, the claim headers of every route to the same service: what a service believes on one route no client may say on another.
    claimed: Vec<Arc<[HeaderName]>>,
}

impl Routes {
    /// Routes behind a table; `facts` are in the table's order.
    #[must_use]
    pub fn new(table: Table, facts: Vec<Arc<RouteFacts>>) -> Self {
        let claimed = claimed(&facts);
        Self { table, facts, claimed }
    }

    /// Finds the route of a request.
    ///
    /// # Errors
    /// No route takes the path, or none takes the method on it.
    pub fn find(&self, mut exchange: Exchange<Vouched>) -> Result<Exchange<Routed>, Refusal> {
        let request = &exchange.request;
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let shape = exchange.known.arrived().shape();
        // A reading that is another route's, if with other methods, is not nobody's.
        let found = readings::agree(request.uri().path(), shape, |path| match self.table.find(host, path, request.method()) {
            Found::Nothing => None,
            found => Some(found),
        });
        let (route, others) = match found.map_err(Refusal::Target)? {
            Some(Found::Route(index)) => (self.facts.get(index).map(|facts| (index, facts)), Vec::new()),
            Some(Found::OtherMethods(methods)) => (None, methods),
            Some(Found::Nothing) | None => (None, Vec::new()),
        };
        if shape.encoded_slashes && !route.is_some_and(|(_, facts)| facts.allow_encoded_slashes) {
            return Err(Refusal::Target(TargetFault::EncodedSlash));
        }
        let Some((index, facts)) = route else {
            return Err(if others.is_empty() { Refusal::NoRoute } else { Refusal::MethodNotAllowed(others) });
        };
        if let Some(claimed) = self.claimed.get(index).filter(|names| !names.is_empty()) {
            for name in &**claimed {
                headers::remove_folded(exchange.request.headers_mut(), name);
            }
            // A server that folds trailers into the head would believe them there too.
            if !exchange.request.body().is_empty() {
                let body = std::mem::take(exchange.request.body_mut());
                *exchange.request.body_mut() = Body::boxed(Withheld::new(body, claimed.clone()));
            }
        }
        Ok(exchange.learn(|vouched| Routed::new(vouched, facts.clone())))
    }
}

/// For each route the claim headers of all routes to its service, each once; routes of one service share them.
fn claimed(routes: &[Arc<RouteFacts>]) -> Vec<Arc<[HeaderName]>> {
    let mut by_service: HashMap<&str, Vec<HeaderName>> = HashMap::new();
    for route in routes {
        let names = by_service.entry(route.service.name()).or_default();
        for (name, _) in &route.claim_headers {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let by_service: HashMap<&str, Arc<[HeaderName]>> = by_service.into_iter().map(|(service, names)| (service, names.into())).collect();
    // One for each route, whatever happens: the table finds them by place.
    routes.iter().map(|route| by_service.get(route.service.name()).cloned().unwrap_or_default()).collect()
}
