//! Every way in which security-gw turns a request away, and the answer to each.
//!
//! In: what a room found. Out: an RFC 9457 problem document with a stable reason code. Never: tells internals; those are for the log.

use contract::problem::Problem;
use contract::reason::Reason;
use contract::target::TargetFault;
use http::Response;
use http::header::{HeaderValue, RETRY_AFTER};
use upstream::fault::SendFault;
use wire::arrived::Stamp;
use wire::body::Body;
use wire::door::Turned;

/// The closed list.
#[derive(Debug)]
pub enum Refusal {
    /// The door: an ambiguous host or framing.
    Door(Reason),
    /// The target is not canonical, or its path has another rule to some servers.
    Target(TargetFault),
    /// All places are taken, or the request body is over its ceiling, broke off or stood still.
    Limit(Reason),
    /// No rule names the path.
    NoRule,
    /// The credential is missing, was not proved, or cannot be checked now.
    Credential(Reason),
    /// The link's signing key failed; the text is for the log.
    Signing(String),
    /// No replica of tier 2 gave an answer.
    Link(SendFault),
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Target(fault) => Self::Target(fault),
            Turned::Away(reason) => Self::Door(reason),
        }
    }
}

/// Whether what was refused for this reason, by either tier, can be read in two ways. What follows it on an HTTP/1 connection is then believed no
/// more than it: that ends.
#[must_use]
pub fn is_ambiguous(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TargetNotCanonical
            | Reason::HostMissing
            | Reason::HostMalformed
            | Reason::HostMismatch
            | Reason::FramingInvalid
            | Reason::SplitView
    )
}

impl Refusal {
    /// The stable code of the refusal.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Door(reason) | Self::Limit(reason) | Self::Credential(reason) => *reason,
            Self::Target(fault) => fault.reason(),
            Self::NoRule => Reason::NoRule,
            Self::Signing(_) => Reason::InternalError,
            Self::Link(fault) => fault.link_reason(),
        }
    }

    /// What was wrong with the target, for the record.
    #[must_use]
    pub fn target_fault(&self) -> Option<TargetFault> {
        match self {
            Self::Target(fault) => Some(*fault),
            Self::Door(_) | Self::Limit(_) | Self::NoRule | Self::Credential(_) | Self::Signing(_) | Self::Link(_) => None,
        }
    }

    /// The answer to the client.
    #[must_use]
    pub fn answer(&self, stamp: &Stamp) -> Response<Body> {
        match self {
            Self::Signing(cause) => {
                tracing::error!(request_id = %stamp.request_id, cause, "the link's signing key cannot sign; check link.signing_key")
            }
            Self::Link(fault) => tracing::warn!(request_id = %stamp.request_id, %fault, "no replica of routing-gw gave an answer"),
            // The client is at fault: nothing is wrong here, and any client could fill the log.
            Self::Door(_) | Self::Target(_) | Self::Limit(_) | Self::NoRule | Self::Credential(_) => {}
        }
        let trace_id = stamp.trace.trace_id_hex();
        let problem = Problem {
            reason: self.reason(),
            request_id: Some(&stamp.request_id),
            trace_id: str::from_utf8(&trace_id).ok(),
            decision: None,
        };
        let mut response = problem.response().map(Body::from);
        if let Self::Link(fault) = self
            && let Some(seconds) = fault.retry_after_s()
        {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
