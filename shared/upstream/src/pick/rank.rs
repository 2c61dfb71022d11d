//! How good an instance is for a request.
//!
//! In: what is known of the instance and of the service. Out: its rank. Never: a look at load; that is the pickers'.

use crate::endpoint::Endpoint;
use crate::health::standing::Standing;

/// How good an instance is for a request, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Good,
    Unchecked,
    Draining,
    Bad,
}

/// `None` for one that is never used.
pub(crate) fn rank(endpoint: &Endpoint, checked: bool, now_ms: u64) -> Option<Rank> {
    match endpoint.standing() {
        Standing::Foreign => None,
        Standing::NotReady | Standing::Unhealthy => Some(Rank::Bad),
        _ if endpoint.is_avoided(now_ms) => Some(Rank::Bad),
        Standing::Draining => Some(Rank::Draining),
        Standing::Unknown if checked => Some(Rank::Unchecked),
        Standing::Unknown | Standing::Healthy => Some(Rank::Good),
    }
}

/// The same in panic: that it fails its checks is doubted. What it says of itself is not, nor that a connection to it has just failed.
pub(crate) fn rank_in_panic(endpoint: &Endpoint, checked: bool, now_ms: u64) -> Option<Rank> {
    match endpoint.standing() {
        Standing::Unhealthy if !endpoint.is_avoided(now_ms) => Some(Rank::Good),
        _ => rank(endpoint, checked, now_ms),
    }
}

/// Whether it counts for its level.
pub(crate) fn is_usable(endpoint: &Endpoint, now_ms: u64) -> bool {
    rank(endpoint, false, now_ms) == Some(Rank::Good)
}
