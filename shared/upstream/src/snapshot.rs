//! A service as `/services` shows it.

use serde::Serialize;

/// One service at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// The generation of its instances; 0 means that none was found yet.
    pub generation: u64,
    /// When discovery last got an answer, in Unix milliseconds.
    pub refreshed_at_ms: Option<u64>,
    /// Why discovery fails now; absent while it does not.
    pub failure: Option<FailureSnapshot>,
    /// Connections that this process has open to its instances.
    pub connections: usize,
    /// Its instances, ordered by address.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// The present failure of discovery.
#[derive(Clone, Debug, Serialize)]
pub struct FailureSnapshot {
    /// `no-such-name`, `server-failure`, `timeout`, `no-records`…
    pub code: &'static str,
    /// When it began, in Unix milliseconds.
    pub since_ms: u64,
}

/// One instance at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointSnapshot {
    /// `IP:PORT` or `unix:PATH`.
    pub address: String,
    /// The name that led to it.
    pub host: Option<String>,
    /// Requests under way.
    pub in_flight: u32,
    /// Failed connection attempts since the last good one.
    pub consecutive_failures: u32,
    /// Whether it is left alone for the moment because of them.
    pub ejected: bool,
}
