//! routing-gw's configuration as meant: after `check` nothing in it can be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::assertion::Verifier;
use upstream::plan::ServicePlan;
use wire::body_rate::BodyRate;

use crate::config::routes::RoutePlan;

/// Everything that routing-gw runs by, beside what the host needs.
#[derive(Clone, Debug)]
pub struct RoutingPlan {
    /// Whom it believes, and by which keys.
    pub verifier: Arc<Verifier>,
    /// Its services, with those of the drop-ins.
    pub services: Vec<ServicePlan>,
    /// Its routes, with those of the drop-ins; each names a service that exists.
    pub routes: Vec<RoutePlan>,
    /// The drop-ins whose services and routes these are, by file name.
    pub drop_ins: BTreeMap<String, DropInPlan>,
    /// Requests in flight at most.
    pub in_flight_max: usize,
    /// Bytes of one request body at most.
    pub body_bytes_max: u64,
    /// Bytes of one request target at most.
    pub target_bytes_max: usize,
    /// How slowly a request body may come.
    pub body_rate: BodyRate,
}

/// The services and routes of one team.
#[derive(Clone, Debug)]
pub struct DropInPlan {
    /// Its own services.
    pub services: Vec<ServicePlan>,
    /// Its routes; each names a service of its own or of the main file.
    pub routes: Vec<RoutePlan>,
}
