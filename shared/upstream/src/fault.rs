//! Why a request got no answer from any instance.
//!
//! In: what went wrong below. Out: one closed set, and the reason that the client is told. Never: an address or a cause that the client could see.

use std::time::Duration;

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
    /// Every instance that is known is set aside because it failed.
    #[error("every instance of the service is set aside")]
    AllEjected,
    /// The service's breaker is open; the next request may try after that time.
    #[error("the breaker of the service is open")]
    BreakerOpen {
        /// Until then every request is refused.
        left: Duration,
    },
    /// As many requests wait for the service as may.
    #[error("too many requests wait for the service")]
    QueueFull,
    /// No place at the service came free within its `queue_wait`.
    #[error("the request has waited too long for a place at the service")]
    QueueTimeout,
    /// No connection could be made to any of the instances that were tried; nothing was sent.
    #[error("no connection to an instance could be made")]
    ConnectFailed,
    /// The connection ended before the head of the response.
    #[error("the instance closed the connection before it answered")]
    Reset,
    /// What the instance sent is no HTTP/1 response, or one that was not asked for.
    #[error("the instance's answer is not lawful HTTP")]
    Protocol,
    /// The instance did not begin to answer within the service's `first_byte` or `per_try`.
    #[error("the instance did not answer in time")]
    Timeout,
    /// The caller's deadline passed first, or the service's `total`.
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

    /// After how many seconds the client may come again, where this knows it better than the reason does.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::BreakerOpen { left } => Some(left.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)),
            _ => None,
        }
    }

    /// What the client is told where the instances are those of a service (tier 2).
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoInstances => Reason::NoInstances,
            Self::AllEjected => Reason::AllEjected,
            Self::BreakerOpen { .. } => Reason::BreakerOpen,
            Self::QueueFull => Reason::QueueFull,
            Self::QueueTimeout => Reason::QueueTimeout,
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
            Self::NoInstances => Reason::LinkNoReplicas,
            Self::AllEjected => Reason::LinkAllEjected,
            Self::BreakerOpen { .. } => Reason::LinkBreakerOpen,
            Self::QueueFull => Reason::LinkQueueFull,
            Self::QueueTimeout => Reason::LinkQueueTimeout,
            Self::ConnectFailed => Reason::LinkUnavailable,
            Self::Reset => Reason::LinkReset,
            Self::Protocol => Reason::LinkProtocol,
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
