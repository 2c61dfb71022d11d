//! How much at once, and how much in one body: what both tiers ask of a request before they work for it.
//!
//! In: an arrived request. Out: its place among those in flight, and a body with a ceiling. Refuses: `Overloaded`, `BodyTooLarge`.
//! Never: queues; beyond the ceiling the answer is immediate, so that a client can go elsewhere.

use std::rc::Rc;

use contract::grpc_answer;
use contract::reason::Reason;
use http::Request;
use http_body::Body as _;

use crate::body::Body;
use crate::body_rate::BodyRate;
use crate::counted::{BodyCount, Counted};
use crate::guard::line::GuardLine;
use crate::places::{Place, Places};

/// The ceilings of one process.
#[derive(Clone, Debug)]
pub struct Limits {
    places: Places,
    body_bytes_max: u64,
    body_rate: Option<BodyRate>,
}

impl Limits {
    /// `in_flight_max` requests over all workers, `body_bytes_max` bytes in one request body.
    #[must_use]
    pub fn new(in_flight_max: usize, body_bytes_max: u64) -> Self {
        Self { places: Places::new(in_flight_max), body_bytes_max, body_rate: None }
    }

    /// The ceilings of a newer configuration: those in flight under `before` count on.
    #[must_use]
    pub fn after(before: Option<&Self>, in_flight_max: usize, body_bytes_max: u64) -> Self {
        match before {
            Some(before) => Self { places: before.places.with_ceiling(in_flight_max), ..Self::new(in_flight_max, body_bytes_max) },
            None => Self::new(in_flight_max, body_bytes_max),
        }
    }

    /// With bodies that come at least so fast until their answer begins.
    #[must_use]
    pub fn with_body_rate(mut self, body_rate: BodyRate) -> Self {
        self.body_rate = Some(body_rate);
        self
    }

    /// Takes a place for a request; it is held until what is returned is dropped.
    ///
    /// # Errors
    /// `Overloaded` when no place is free.
    pub fn place(&self) -> Result<Place, Reason> {
        self.places.take().ok_or(Reason::Overloaded)
    }

    /// Gives the body of a request that came over `line` its ceiling, that of the process or a lower one of its rule or route, and counts it into `count` from now on. Nothing may have
    /// been read of it. `may_be_slow` asks no rate of it, and neither is one asked of gRPC, whose requests may be streams that a client adds to when it
    /// has something to say; both have to be whole in the time for the whole.
    ///
    /// # Errors
    /// `BodyTooLarge` when the body says that it is too large.
    pub fn bound(
        &self,
        request: &mut Request<Body>,
        line: &GuardLine,
        count: &Rc<BodyCount>,
        own_max: Option<u64>,
        may_be_slow: bool,
    ) -> Result<(), Reason> {
        let body_bytes_max = own_max.map_or(self.body_bytes_max, |own| own.min(self.body_bytes_max));
        if request.body().size_hint().lower() > body_bytes_max {
            return Err(Reason::BodyTooLarge);
        }
        if !request.body().is_empty() {
            let may_be_slow = may_be_slow || grpc_answer::is_grpc(request.headers());
            let body = std::mem::take(request.body_mut());
            let body = Counted::new(body, Rc::clone(count), body_bytes_max).with_trailers_of(line);
            *request.body_mut() = Body::boxed(match self.body_rate {
                Some(rate) if may_be_slow => body.paced(rate.of_whole()),
                Some(rate) => body.paced(rate),
                None => body,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limits: &Limits, body: &'static str) -> Result<Place, Reason> {
        let place = limits.place()?;
        bound(limits, body, None).map(|()| place)
    }

    fn bound(limits: &Limits, body: &'static str, own_max: Option<u64>) -> Result<(), Reason> {
        limits.bound(&mut Request::new(Body::from(body.as_bytes().to_vec())), &GuardLine::default(), &Rc::default(), own_max, false)
    }

    #[test]
    fn the_lower_ceiling_holds() {
        let limits = Limits::new(1, 4);
        for (own_max, longest) in [(None, "4444"), (Some(2), "22"), (Some(9), "4444"), (Some(0), "")] {
            assert_eq!(bound(&limits, longest, own_max), Ok(()), "{own_max:?}");
            assert_eq!(bound(&limits, ["1", "333", "55555"][longest.len() / 2], own_max), Err(Reason::BodyTooLarge), "{own_max:?}");
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
