//! What security-gw proves of a request, room by room. Each fact is made from the one before and the thing just proved.
//!
//! Fields are private and each constructor is called in the room that earns the fact alone; the house test holds that.

use std::sync::Arc;

use contract::caller::Caller;
use http::HeaderValue;
use wire::arrived::Arrived;

use crate::ask::Rule;

/// A rule takes the request, and no other one under any reading of its path.
#[derive(Debug)]
pub struct Ruled {
    arrived: Arrived,
    rule: Arc<Rule>,
}

/// The request has a place among those in flight, and its body the ceiling of its rule.
#[derive(Debug)]
pub struct Admitted {
    ruled: Ruled,
}

/// It is known who is asking.
#[derive(Debug)]
pub struct Identified {
    admitted: Admitted,
    caller: Arc<Caller>,
    relay: Option<HeaderValue>,
}

/// Tier 2 can be told who is asking.
#[derive(Debug)]
pub struct Asserted {
    identified: Identified,
    assertion: HeaderValue,
}

impl Ruled {
    pub(crate) fn new(arrived: Arrived, rule: Arc<Rule>) -> Self {
        Self { arrived, rule }
    }

    /// The rule that takes the request.
    #[must_use]
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// What the door proved.
    #[must_use]
    pub fn arrived(&self) -> &Arrived {
        &self.arrived
    }
}

impl Admitted {
    pub(crate) fn new(ruled: Ruled) -> Self {
        Self { ruled }
    }

    /// The rule that takes the request.
    #[must_use]
    pub fn rule(&self) -> &Arc<Rule> {
        &self.ruled.rule
    }

    /// How it came here.
    #[must_use]
    pub fn arrived(&self) -> &Arrived {
        &self.ruled.arrived
    }
}

impl Identified {
    pub(crate) fn new(admitted: Admitted, caller: Arc<Caller>, relay: Option<HeaderValue>) -> Self {
        Self { admitted, caller, relay }
    }

    /// Who is asking; the anonymous caller where a rule lets everyone in.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

impl Asserted {
    pub(crate) fn new(identified: Identified, assertion: HeaderValue) -> Self {
        Self { identified, assertion }
    }

    /// The signed identity for tier 2.
    #[must_use]
    pub fn assertion(&self) -> &HeaderValue {
        &self.assertion
    }

    /// The client's own credential, where a rule relays it.
    #[must_use]
    pub fn relay(&self) -> Option<&HeaderValue> {
        self.identified.relay.as_ref()
    }

    /// How it came here.
    #[must_use]
    pub fn arrived(&self) -> &Arrived {
        self.identified.admitted.arrived()
    }
}
