//! The slip that a request collects on its way, for the access record. Rooms write to it, `access_log` alone reads it.
//!
//! Never: decides anything; it is data for people.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::caller::Caller;
use contract::reason::Reason;
use contract::target::TargetFault;
use contract::trail::Trail;
use http::{HeaderValue, Method, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use upstream::endpoint::Endpoint;
use wire::arrived::Stamp;
use wire::connection::Connection;
use wire::counted::BodyCount;
use wire::places::Place;

/// What is known of a request for its record.
#[derive(Debug)]
pub struct Docket {
    /// The connection it came over.
    pub connection: Rc<Connection>,
    /// Its id, trace, client address and time.
    pub stamp: Stamp,
    /// The method as sent.
    pub method: Method,
    /// The target as sent.
    pub target: Uri,
    /// The `Host` field or authority as sent.
    pub host: Option<HeaderValue>,
    /// Who is asking, once proved.
    pub caller: Option<Arc<Caller>>,
    /// The rule that said how to ask for credentials.
    pub rule: Option<Arc<str>>,
    /// Bytes of the request body that were read.
    pub body_in: Rc<BodyCount>,
    /// How long the credential took to prove.
    pub authentication: Option<Duration>,
    /// From handing over to the head of tier 2's answer.
    pub tier2: Option<Duration>,
    /// Tries over the link.
    pub link_attempts: u32,
    /// The replica of tier 2 that answered.
    pub replica: Option<Arc<Endpoint>>,
    /// What tier 2 says it did.
    pub trail: Option<Trail>,
    /// The status of the answer.
    pub status: Option<StatusCode>,
    /// Why we refused, if we did; tier 2's own reason stands in the trail.
    pub refused: Option<Reason>,
    /// What was wrong with the target, if that was why.
    pub target_fault: Option<TargetFault>,
    /// The two ends of an upgraded connection, to be joined once the answer is on its way.
    pub tunnel: Option<(OnUpgrade, OnUpgrade)>,
    /// Holds the request's place among those in flight until the record is closed.
    pub place: Option<Place>,
}

impl Docket {
    /// Why the request was refused, by this tier or by tier 2.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.refused.or(self.trail.as_ref().and_then(|trail| trail.reason))
    }
}
