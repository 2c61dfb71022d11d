//! Tells tier 1 how this replica does, before it refuses anything.
//!
//! In: any request of the link. Out: the answer, where it asks for this and nothing else; the caller has been proved by the listener to be tier 1.
//! Refuses: nothing; what does not ask goes on through the corridor. Never: takes a place among those in flight or counts as a request, so
//! that a tier that is full still answers; tells anything of services, routes or callers.

use std::sync::Arc;

use bytes::Bytes;
use contract::headers;
use contract::health::{ASKED, Word};
use host::boot::BUILD;
use host::drain::LifeWatch;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use upstream::service::Service;
use wire::body::Body;

use crate::trusted::Trusted;

/// What the answer is made from.
#[derive(Debug)]
pub struct Health {
    tier: &'static str,
    life: LifeWatch,
    generation: u64,
    workers: u32,
    services: Vec<Arc<Service>>,
    trusted: Arc<Trusted>,
}

impl Health {
    /// How `generation` of the `tier` does, by so many `workers`, in a process whose life is `life`.
    #[must_use]
    pub(crate) fn new(
        tier: &'static str,
        life: LifeWatch,
        (generation, workers): (u64, usize),
        services: Vec<Arc<Service>>,
        trusted: Arc<Trusted>,
    ) -> Self {
        Self { tier, life, generation, workers: u32::try_from(workers).unwrap_or(u32::MAX), services, trusted }
    }

    /// The answer, if `request` asks how the tier does.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if request.method() != Method::GET || request.headers().get(&headers::HEALTH).is_none_or(|value| value != ASKED) {
            return None;
        }
        let mut response = Response::new(Body::from(Bytes::from(self.word().encode())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// What it says.
    pub(crate) fn word(&self) -> Word {
        Word {
            tier: self.tier.to_owned(),
            treaty: u64::from(contract::TREATY),
            build: BUILD.to_owned(),
            generation: self.generation,
            draining: self.life.turns_away(),
            ready: is_of_use(&self.services) && self.trusted.is_ready(),
            workers: self.workers,
        }
    }
}

/// Whether the tier is ready as far as its services are, for `/readyz` and for the link alike: it has found an instance of one, or has none to
/// look for.
pub(crate) fn is_of_use(services: &[Arc<Service>]) -> bool {
    services.is_empty() || services.iter().any(|service| !service.endpoints().endpoints().is_empty())
}

#[cfg(test)]
mod tests {
    use host::drain::{Life, Phase};

    use super::*;

    fn ask(health: &Health, method: &str, values: &[&str]) -> bool {
        let request =
            values.iter().fold(Request::builder().method(method).uri("/"), |request, value| request.header(&headers::HEALTH, *value));
        health.answer(&request.body(()).expect("request")).is_some()
    }

    #[test]
    fn only_the_question_is_answered_and_leaving_is_told() {
        let (life, watch) = Life::begin();
        let health = Health::new("routing-gw", watch, (4, 2), Vec::new(), Trusted::of_file());
        assert!(ask(&health, "GET", &["1"]));
        for (method, values) in [("GET", &[][..]), ("GET", &["0"]), ("GET", &["1 "]), ("POST", &["1"]), ("HEAD", &["1"])] {
            assert!(!ask(&health, method, values), "{method} {values:?}");
        }
        let word = health.word();
        assert_eq!((word.tier.as_str(), word.generation, word.workers, word.draining, word.ready), ("routing-gw", 4, 2, false, true));
        life.advance(Phase::Leaving);
        assert!(health.word().draining);
    }
}
