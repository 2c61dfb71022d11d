//! routing-gw's configuration as meant: after `check` nothing in it can be wrong.

use std::path::PathBuf;

use upstream::plan::ServicePlan;

use crate::config::routes::RoutePlan;

/// Everything that routing-gw runs by, beside what the host needs.
#[derive(Clone, Debug)]
pub struct RoutingPlan {
    /// Whom it believes.
    pub vouch: VouchPlan,
    /// Its services.
    pub services: Vec<ServicePlan>,
    /// Its routes; each names a service that exists.
    pub routes: Vec<RoutePlan>,
    /// Requests in flight at most.
    pub in_flight_max: usize,
    /// Bytes of one request body at most.
    pub body_bytes_max: u64,
}

/// Whom routing-gw believes.
#[derive(Clone, Debug)]
pub struct VouchPlan {
    /// Names of tiers 1.
    pub issuers: Vec<String>,
    /// This tier's name in assertions.
    pub audience: String,
    /// Where tier 1's public keys lie.
    pub jwks: PathBuf,
}
