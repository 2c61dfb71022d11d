//! How much at once, and how much in one body: what both tiers ask of a request before they work for it.
//!
//! In: an arrived request. Out: its place among those in flight, and a body with a ceiling. Refuses: `Overloaded`, `BodyTooLarge`.
//! Never: queues; beyond the ceiling the answer is immediate, so that a client can go elsewhere.

use std::rc::Rc;

use contract::reason::Reason;
use http::Request;
use http_body::Body as _;

use crate::body::Body;
use crate::counted::{BodyCount, Counted};
use crate::places::{Place, Places};

/// The ceilings of one process.
#[derive(Clone, Debug)]
pub struct Limits {
    places: Places,
    body_bytes_max: u64,
}

impl Limits {
    /// `in_flight_max` requests over all workers, `body_bytes_max` bytes in one request body.
    #[must_use]
    pub fn new(in_flight_max: usize, body_bytes_max: u64) -> Self {
        Self { places: Places::new(in_flight_max), body_bytes_max }
    }

    /// Takes a place for the request and counts its body into `count` from now on.
    ///
    /// # Errors
    /// `Overloaded` when no place is free, `BodyTooLarge` when the body says that it is too large.
    pub fn admit(&self, request: &mut Request<Body>, count: &Rc<BodyCount>) -> Result<Place, Reason> {
        let place = self.places.take().ok_or(Reason::Overloaded)?;
        if request.body().size_hint().lower() > self.body_bytes_max {
            return Err(Reason::BodyTooLarge);
        }
        if !request.body().is_empty() {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::boxed(Counted::new(body, Rc::clone(count), self.body_bytes_max));
        }
        Ok(place)
    }
}
