//! Every way in which routing-gw turns a request away, and the answer to each.
//!
//! In: what a room found. Out: an RFC 9457 problem document with a stable reason code. Never: tells internals; those are for the log.

use std::sync::Arc;

use contract::assertion::{AssertionFault, KeyFault};
use contract::problem::Problem;
use contract::reason::Reason;
use contract::target::TargetFault;
use http::{HeaderValue, Method, Response, header};
use upstream::fault::SendFault;
use wire::arrived::Stamp;
use wire::body::Body;
use wire::door::Turned;

use crate::decision::DecisionId;
use crate::facts::RouteFacts;

/// The closed list.
#[derive(Debug)]
pub enum Refusal {
    /// The door: an ambiguous host or framing, or not what tier 1 saw.
    Door(Reason),
    /// The target is not canonical, or its path has another route to some servers.
    Target(TargetFault),
    /// All places are taken, or the request body is over its ceiling.
    Limit(Reason),
    /// Tier 1 says nothing of the caller.
    AssertionMissing,
    /// What tier 1 says of the caller is not believed.
    Assertion(AssertionFault),
    /// No route takes the path and host.
    NoRoute,
    /// Routes take the path with other methods.
    MethodNotAllowed(Vec<Method>),
    /// The caller is anonymous on a route that is not public.
    AuthenticationRequired {
        /// The route that took the request.
        route: Arc<RouteFacts>,
        /// The decision.
        decision: DecisionId,
    },
    /// The caller lacks what the route demands.
    NotPermitted {
        /// The route that took the request.
        route: Arc<RouteFacts>,
        /// The decision.
        decision: DecisionId,
    },
    /// Tier 1's keys have never been fetched.
    KeysUnavailable,
    /// The instance cannot be told who is asking.
    Identity(KeyFault),
    /// No instance gave an answer.
    Upstream(SendFault),
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Target(fault) => Self::Target(fault),
            Turned::Away(reason) => Self::Door(reason),
        }
    }
}

impl Refusal {
    /// The stable code of the refusal.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Door(reason) | Self::Limit(reason) => *reason,
            Self::Target(fault) => fault.reason(),
            Self::AssertionMissing => Reason::AssertionMissing,
            Self::Assertion(fault) => fault.reason(),
            Self::NoRoute => Reason::NoRoute,
            Self::MethodNotAllowed(_) => Reason::MethodNotAllowed,
            Self::AuthenticationRequired { .. } => Reason::AuthenticationRequired,
            Self::NotPermitted { .. } => Reason::NotPermitted,
            Self::KeysUnavailable => Reason::KeysUnavailable,
            // The credential ended on its way here.
            Self::Identity(KeyFault::CallerExpired) => Reason::TokenExpired,
            Self::Identity(KeyFault::TooLarge) => Reason::TokenTooLarge,
            Self::Identity(_) => Reason::InternalError,
            Self::Upstream(fault) => fault.reason(),
        }
    }

    /// The route and decision that the refusal came from, where there was one.
    #[must_use]
    pub fn decision(&self) -> Option<(&Arc<RouteFacts>, DecisionId)> {
        match self {
            Self::AuthenticationRequired { route, decision } | Self::NotPermitted { route, decision } => Some((route, *decision)),
            Self::Door(_)
            | Self::Target(_)
            | Self::Limit(_)
            | Self::AssertionMissing
            | Self::Assertion(_)
            | Self::NoRoute
            | Self::MethodNotAllowed(_)
            | Self::KeysUnavailable
            | Self::Identity(_)
            | Self::Upstream(_) => None,
        }
    }

    /// The answer to tier 1, which passes it on unchanged.
    #[must_use]
    pub fn answer(&self, stamp: &Stamp) -> Response<Body> {
        if let Self::AssertionMissing | Self::Assertion(_) = self {
            tracing::warn!(request_id = %stamp.request_id, reason = %self.reason(), "a peer's word on a caller was not believed; see `vouch` here and `link` at tier 1");
        }
        if let Self::Identity(fault) = self
            && self.reason() == Reason::InternalError
        {
            tracing::error!(request_id = %stamp.request_id, %fault, "no service can be told who is asking; check assertions.signing_key");
        }
        let decision = self.decision().map(|(_, decision)| decision.to_string());
        let trace_id = stamp.trace.trace_id_hex();
        let problem = Problem {
            reason: self.reason(),
            request_id: Some(&stamp.request_id),
            trace_id: str::from_utf8(&trace_id).ok(),
            decision: decision.as_deref(),
        };
        let mut response = problem.response().map(Body::from);
        if let Self::Upstream(fault) = self
            && let Some(seconds) = fault.retry_after_s()
        {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::MethodNotAllowed(methods) = self {
            let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
            if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
                response.headers_mut().insert(header::ALLOW, value);
            }
        }
        response
    }
}
