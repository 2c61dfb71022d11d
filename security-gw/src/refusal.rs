//! Every way in which security-gw turns a request away, and the answer to each.
//!
//! In: what a room found. Out: an RFC 9457 problem document with a stable reason code. Never: tells internals; those are for the log.

use contract::problem::Problem;
use contract::reason::Reason;
use http::Response;
use upstream::fault::SendFault;
use wire::arrived::Stamp;
use wire::body::Body;

/// The closed list.
#[derive(Debug)]
pub enum Refusal {
    /// The door: an ambiguous target, host or framing.
    Door(Reason),
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

impl Refusal {
    /// The stable code of the refusal.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Door(reason) | Self::Limit(reason) | Self::Credential(reason) => *reason,
            Self::NoRule => Reason::NoRule,
            Self::Signing(_) => Reason::InternalError,
            Self::Link(fault) => fault.link_reason(),
        }
    }

    /// Whether what was sent can be read in two ways. What follows it on an HTTP/1 connection is then believed no more than it: that ends.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(
            self.reason(),
            Reason::TargetNotCanonical | Reason::HostMissing | Reason::HostMalformed | Reason::HostMismatch | Reason::FramingInvalid
        )
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
            Self::Door(_) | Self::Limit(_) | Self::NoRule | Self::Credential(_) => {}
        }
        let trace_id = stamp.trace.trace_id_hex();
        let problem = Problem {
            reason: self.reason(),
            request_id: Some(&stamp.request_id),
            trace_id: str::from_utf8(&trace_id).ok(),
            decision: None,
        };
        problem.response().map(Body::from)
    }
}
