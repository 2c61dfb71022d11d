//! routing-gw's configuration as meant: after `check` nothing in it can be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::signing_keys::SigningKeys;
use upstream::plan::ServicePlan;
use wire::body_rate::BodyRate;

use crate::config::routes::RoutePlan;
use crate::trusted::TrustedPlan;

/// Everything that routing-gw runs by, beside what the host needs.
#[derive(Clone, Debug)]
pub struct RoutingPlan {
    /// Whom it believes, and by which keys.
    pub trusted: TrustedPlan,
    /// What it signs its own word on callers by, if it does.
    pub keys: Option<Arc<SigningKeys>>,
    /// The file that they were read from; empty without one.
    pub keys_file: Arc<str>,
    /// Whether there are keys in files, its own or tier 1's, of which a rotation is not read by itself in time.
    pub misses_rotations: bool,
    /// The name under which it signs.
    pub name: String,
    /// For each listener, whether it publishes this tier's keys and serves nothing else.
    pub publishes: Vec<bool>,
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
