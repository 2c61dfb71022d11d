//! What routing-gw proves of a request, room by room. Each fact is made from the one before and the thing just proved.
//!
//! Fields are private and each constructor is called in the room that earns the fact alone; the house test holds that.

use std::sync::Arc;
use std::time::Duration;

use contract::caller::Caller;
use contract::identity_token::IdentitySigner;
use http::HeaderValue;
use upstream::service::Service;
use wire::arrived::Arrived;

use crate::decision::DecisionId;
use crate::requirement::Requirement;

/// What is known of a route at run time.
#[derive(Debug)]
pub struct RouteFacts {
    /// Its name, for records, metrics and the Trail.
    pub name: Box<str>,
    /// The service that answers.
    pub service: Arc<Service>,
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
    /// Claims that instances of the service see as headers.
    pub claim_headers: Vec<(http::HeaderName, Box<str>)>,
    /// The sticky cookies of all services, in order: they are the gateway's, and no business of an instance. The same for all routes.
    pub own_cookies: Arc<[Box<str>]>,
    /// Signs this tier's own word on the caller, where the route says so.
    pub identity: Option<Arc<IdentitySigner>>,
}

/// Tier 1 vouches for the caller.
#[derive(Debug)]
pub struct Vouched {
    arrived: Arrived,
    caller: Arc<Caller>,
}

/// A route takes the request.
#[derive(Debug)]
pub struct Routed {
    vouched: Vouched,
    route: Arc<RouteFacts>,
}

/// The caller may do this.
#[derive(Debug)]
pub struct Permitted {
    routed: Routed,
    decision: DecisionId,
}

/// The instance can be told who is asking.
#[derive(Debug)]
pub struct Introduced {
    permitted: Permitted,
    identity: Option<HeaderValue>,
}

impl Vouched {
    pub(crate) fn new(arrived: Arrived, caller: Arc<Caller>) -> Self {
        Self { arrived, caller }
    }

    /// How it came here.
    #[must_use]
    pub fn arrived(&self) -> &Arrived {
        &self.arrived
    }
}

impl Routed {
    pub(crate) fn new(vouched: Vouched, route: Arc<RouteFacts>) -> Self {
        Self { vouched, route }
    }

    /// Who is asking.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.vouched.caller
    }

    /// The route that takes the request.
    #[must_use]
    pub fn route(&self) -> &Arc<RouteFacts> {
        &self.route
    }
}

impl Permitted {
    pub(crate) fn new(routed: Routed, decision: DecisionId) -> Self {
        Self { routed, decision }
    }

    /// Who is asking.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        self.routed.caller()
    }

    /// The route that takes the request.
    #[must_use]
    pub fn route(&self) -> &Arc<RouteFacts> {
        self.routed.route()
    }

    /// The decision that let it pass.
    #[must_use]
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// How it came here.
    #[must_use]
    pub fn arrived(&self) -> &Arrived {
        &self.routed.vouched.arrived
    }
}

impl Introduced {
    pub(crate) fn new(permitted: Permitted, identity: Option<HeaderValue>) -> Self {
        Self { permitted, identity }
    }

    /// Who may do what.
    #[must_use]
    pub fn permitted(&self) -> &Permitted {
        &self.permitted
    }

    /// This tier's own word on the caller, for the instance.
    #[must_use]
    pub fn identity(&self) -> Option<&HeaderValue> {
        self.identity.as_ref()
    }
}
