//! How good an instance is for a request.
//!
//! In: what is known of the instance and of the request. Out: its rank by the truth table (`health::verdict`). Never: a look at load; that is the
//! pickers'.

use crate::endpoint::Endpoint;
use crate::health::standing::Standing;
use crate::health::verdict::{self, Evidence, Rank};
use crate::pick::Asked;

/// `None` for one that is never used.
pub(crate) fn rank(endpoint: &Endpoint, asked: &Asked<'_>) -> Option<Rank> {
    verdict::rank(Evidence {
        held: endpoint.is_held(),
        standing: endpoint.standing(),
        checked: asked.checked,
        left_alone: endpoint.is_left_alone(asked.now_ms, asked.may_try),
    })
}

/// The same in panic: that it fails its checks is doubted, and that it was ejected for its answers. What it says of itself is not, nor that a
/// connection to it has just failed.
pub(crate) fn rank_in_panic(endpoint: &Endpoint, asked: &Asked<'_>) -> Option<Rank> {
    let standing = match endpoint.standing() {
        Standing::Unhealthy => Standing::Healthy,
        standing => standing,
    };
    let left_alone = endpoint.is_unreachable(asked.now_ms);
    verdict::rank(Evidence { held: endpoint.is_held(), standing, checked: asked.checked, left_alone })
}

/// Whether it says nothing against itself: its own word is no reason to doubt what is said of others.
pub(crate) fn is_willing(endpoint: &Endpoint) -> bool {
    !matches!(endpoint.standing(), Standing::Draining | Standing::NotReady | Standing::Foreign)
}

/// Whether it counts for its level as one that may be used.
pub(crate) fn is_usable(endpoint: &Endpoint, now_ms: u64) -> bool {
    let left_alone = endpoint.is_left_alone(now_ms, true);
    let evidence = Evidence { held: endpoint.is_held(), standing: endpoint.standing(), checked: false, left_alone };
    verdict::rank(evidence) == Some(Rank::Good)
}
