//! Why a request got no answer from any instance.
//!
//! In: what went wrong below. Out: one closed set, and the reason that the client is told. Never: an address or a cause that the client could see.

use contract::reason::Reason;
use thiserror::Error;
use wire::body::BoxError;
use wire::body_rate::TooSlow;
use wire::counted::{Exceeded, TrailersExceeded};
use wire::guard::line::GuardLine;

/// Why [`crate::send::send`] has no response.
#[derive(Debug, Error)]
pub enum SendFault {
    /// Discovery has not found a single instance yet.
    #[error("no instance of the service is known")]
    NoInstances,
    /// Every known instance is avoided, ejected or fails its checks, and the service would rather fail than try one (`panic_percent: 0`).
    #[error("every instance of the service is unwell")]
    AllEjected,
    /// No connection could be made to any of the instances that were tried; nothing was sent.
    #[error("no connection to an instance could be made")]
    ConnectFailed,
    /// The connection ended before the head of the response.
    #[error("the instance closed the connection before it answered")]
    Reset,
    /// What the instance sent is no HTTP/1 response, or one that was not asked for.
    #[error("the instance's answer is not lawful HTTP")]
    Protocol,
    /// The instance did not begin to answer within the service's `first_byte`.
    #[error("the instance did not answer in time")]
    Timeout,
    /// The caller's deadline passed first.
    #[error("the deadline passed before the instance answered")]
    Deadline,
    /// The client sent nothing of its request's body for the service's `upload_idle`.
    #[error("the client stopped sending the request's body")]
    ClientStalled,
    /// The ceiling of connections to the service is reached.
    #[error("the service's ceiling of connections is reached")]
    Overloaded,
    /// The request's own body failed while it was being sent: the client left, or a limit cut it. The cause is the body's own error.
    /// What the guard of the client's connection knows of it is a better reason than the one given here, where it knows anything.
    #[error("the request's body ended in an error")]
    RequestBody(#[source] BoxError),
}

impl SendFault {
    /// The reason, where the client is at fault and nobody behind us: its body was too large, broke off or stood still. What the guard of its
    /// connection, `line`, knows of a body that broke off is said before everything else.
    #[must_use]
    pub fn of_client(&self, line: &GuardLine) -> Option<Reason> {
        match self {
            Self::RequestBody(cause) if !cause.is::<Exceeded>() && !cause.is::<TrailersExceeded>() && !cause.is::<TooSlow>() => {
                Some(line.refusal().map_or(Reason::ClientClosed, |fault| fault.reason()))
            }
            Self::RequestBody(_) | Self::ClientStalled => Some(self.reason()),
            _ => None,
        }
    }

    /// What the client is told where the instances are those of a service (tier 2).
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoInstances | Self::AllEjected => Reason::NoInstances,
            Self::ConnectFailed => Reason::UpstreamConnectFailed,
            Self::Reset => Reason::UpstreamReset,
            Self::Protocol => Reason::UpstreamProtocol,
            Self::Timeout => Reason::UpstreamTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
            Self::ClientStalled => Reason::BodyTimeout,
            Self::Overloaded => Reason::UpstreamOverloaded,
            Self::RequestBody(cause) if cause.is::<Exceeded>() => Reason::BodyTooLarge,
            Self::RequestBody(cause) if cause.is::<TrailersExceeded>() => Reason::HeadTooLarge,
            Self::RequestBody(cause) if cause.is::<TooSlow>() => Reason::BodyTimeout,
            Self::RequestBody(_) => Reason::ClientClosed,
        }
    }

    /// What the client is told where the instances are replicas of routing-gw (tier 1).
    #[must_use]
    pub fn link_reason(&self) -> Reason {
        match self {
            Self::NoInstances | Self::AllEjected | Self::ConnectFailed => Reason::LinkUnavailable,
            Self::Reset | Self::Protocol => Reason::LinkReset,
            Self::Timeout => Reason::LinkTimeout,
            Self::Deadline => Reason::DeadlineExceeded,
            Self::ClientStalled => Reason::BodyTimeout,
            Self::Overloaded => Reason::Overloaded,
            Self::RequestBody(cause) if cause.is::<Exceeded>() => Reason::BodyTooLarge,
            Self::RequestBody(cause) if cause.is::<TrailersExceeded>() => Reason::HeadTooLarge,
            Self::RequestBody(cause) if cause.is::<TooSlow>() => Reason::BodyTimeout,
            Self::RequestBody(_) => Reason::ClientClosed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_did_is_not_blamed_on_a_service_nor_on_a_limit_of_ours() {
        for (fault, reason, link_reason) in [
            (SendFault::ClientStalled, Reason::BodyTimeout, Reason::BodyTimeout),
            (SendFault::Overloaded, Reason::UpstreamOverloaded, Reason::Overloaded),
            (SendFault::RequestBody("the client left".into()), Reason::ClientClosed, Reason::ClientClosed),
            (SendFault::RequestBody(TooSlow.into()), Reason::BodyTimeout, Reason::BodyTimeout),
        ] {
            assert_eq!((fault.reason(), fault.link_reason()), (reason, link_reason), "{fault}");
        }
    }
}
