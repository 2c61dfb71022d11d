//! How much at once, and how much in one body: what both tiers ask of a request before they work for it.
//!
//! In: an arrived request. Out: its place among those in flight, and a body with a ceiling. Refuses: `Overloaded`, `TargetTooLong`, `BodyTooLarge`.
//! Never: queues; beyond the ceiling the answer is immediate, so that a client can go elsewhere.

use std::rc::Rc;

use contract::reason::Reason;
use http::Request;
use http_body::Body as _;

use crate::body::Body;
use crate::body_rate::BodyRate;
use crate::counted::{BodyCount, Counted};
use crate::places::{Place, Places};

/// The ceilings of one process.
#[derive(Clone, Debug)]
pub struct Limits {
    places: Places,
    body_bytes_max: u64,
    target_bytes_max: usize,
    body_rate: Option<BodyRate>,
}

impl Limits {
    /// `in_flight_max` requests over all workers, `body_bytes_max` bytes in one request body.
    #[must_use]
    pub fn new(in_flight_max: usize, body_bytes_max: u64) -> Self {
        Self { places: Places::new(in_flight_max), body_bytes_max, target_bytes_max: usize::MAX, body_rate: None }
    }

    /// The ceilings of a newer configuration: those in flight under `before` count on.
    #[must_use]
    pub fn after(before: Option<&Self>, in_flight_max: usize, body_bytes_max: u64) -> Self {
        match before {
            Some(before) => Self { places: before.places.with_ceiling(in_flight_max), ..Self::new(in_flight_max, body_bytes_max) },
            None => Self::new(in_flight_max, body_bytes_max),
        }
    }

    /// With targets of so many bytes at most. The guard holds HTTP/1 to it before; on HTTP/2 it sees no target.
    #[must_use]
    pub fn with_targets(mut self, target_bytes_max: usize) -> Self {
        self.target_bytes_max = target_bytes_max;
        self
    }

    /// With bodies that come at least so fast until their answer begins.
    #[must_use]
    pub fn with_body_rate(mut self, body_rate: BodyRate) -> Self {
        self.body_rate = Some(body_rate);
        self
    }

    /// Takes a place for the request and counts its body into `count` from now on.
    ///
    /// # Errors
    /// `Overloaded` when no place is free, `TargetTooLong`, `BodyTooLarge` when the body says that it is too large.
    pub fn admit(&self, request: &mut Request<Body>, count: &Rc<BodyCount>) -> Result<Place, Reason> {
        let place = self.places.take().ok_or(Reason::Overloaded)?;
        if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > self.target_bytes_max) {
            return Err(Reason::TargetTooLong);
        }
        if request.body().size_hint().lower() > self.body_bytes_max {
            return Err(Reason::BodyTooLarge);
        }
        if !request.body().is_empty() {
            let body = std::mem::take(request.body_mut());
            let body = Counted::new(body, Rc::clone(count), self.body_bytes_max);
            *request.body_mut() = Body::boxed(if let Some(rate) = self.body_rate { body.paced(rate) } else { body });
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limits: &Limits, body: &'static str) -> Result<Place, Reason> {
        limits.admit(&mut Request::new(Body::from(body.as_bytes().to_vec())), &Rc::default())
    }

    #[test]
    fn a_target_has_a_ceiling() {
        let limits = Limits::new(2, 10).with_targets(10);
        for (target, admitted) in [("/23456789?", true), ("/2345678?ab", false)] {
            let mut request = Request::new(Body::Empty);
            *request.uri_mut() = target.parse().unwrap();
            let outcome = limits.admit(&mut request, &Rc::default());
            assert_eq!(outcome.err(), (!admitted).then_some(Reason::TargetTooLong), "{target}");
        }
    }

    #[test]
    fn newer_ceilings_hold_for_those_who_come_and_count_those_who_are_in() {
        let first = Limits::after(None, 2, 10);
        let in_flight = [admit(&first, "").unwrap(), admit(&first, "").unwrap()];
        let wider = Limits::after(Some(&first), 3, 1);
        let third = admit(&wider, "").unwrap();
        assert_eq!(admit(&wider, "").err(), Some(Reason::Overloaded));
        drop(third);
        assert_eq!(admit(&wider, "22").err(), Some(Reason::BodyTooLarge));
        let narrower = Limits::after(Some(&wider), 1, 10);
        assert_eq!(admit(&narrower, "").err(), Some(Reason::Overloaded));
        drop(in_flight);
        admit(&narrower, "22").unwrap();
    }
}
