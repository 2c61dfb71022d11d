//! A service as `/services` shows it.

use std::sync::Arc;

use serde::Serialize;

use crate::discover::generation::Generation;
use crate::endpoint::Endpoint;

/// One service at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServiceSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// The generation of its instances; those of a former configuration of the service count.
    pub generation: u64,
    /// Where this generation came from, and what it changed; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Arc<Generation>>,
    /// When discovery last got an answer, in Unix milliseconds.
    pub refreshed_at_ms: Option<u64>,
    /// Why discovery fails now; absent while it does not.
    pub failure: Option<FailureSnapshot>,
    /// Connections that this process has open to its instances.
    pub connections: usize,
    /// Whether a former way of discovery has found its instances, which stay in use until the present one answers; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub handed_down: bool,
    /// The tiers of failover, in their order.
    pub levels: Vec<LevelSnapshot>,
    /// Its instances, ordered by address.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// The last generations of a service, as `/services/NAME/history` shows them.
#[derive(Clone, Debug, Serialize)]
pub struct HistorySnapshot {
    /// The service's name in the configuration.
    pub name: String,
    /// The generation that serves.
    pub generation: u64,
    /// The last ones, the newest first.
    pub generations: Vec<Arc<Generation>>,
}

/// The present failure of discovery.
#[derive(Clone, Debug, Serialize)]
pub struct FailureSnapshot {
    /// `no-such-name`, `server-failure`, `timeout`, `no-records`…
    pub code: &'static str,
    /// The family of addresses (`ipv4`, `ipv6`) that alone is unanswered; absent where nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// When it began, in Unix milliseconds.
    pub since_ms: u64,
    /// Whether a name service said for certain that there is nothing, as [`crate::lookup::LookupFault`] has it.
    #[serde(skip)]
    pub definite: bool,
    /// When the service will have no instances any more if it stays so, in Unix milliseconds; absent where there is no such time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until_ms: Option<u64>,
}

impl FailureSnapshot {
    /// What fails and why, as the checks of `/readyz` tell it.
    #[must_use]
    pub fn told(&self) -> String {
        match self.family {
            None => format!("discovery fails ({})", self.code),
            Some(family) => format!("{family} unanswered ({})", self.code),
        }
    }
}

/// One instance at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EndpointSnapshot {
    /// `IP:PORT` or `unix:PATH`.
    pub address: String,
    /// The name that led to it.
    pub host: Option<String>,
    /// Its share against the others of its priority.
    pub weight: u16,
    /// The lowest number is used first.
    pub priority: u16,
    /// Requests under way.
    pub in_flight: u32,
    /// Failed connection attempts since the last good one.
    pub consecutive_failures: u32,
    /// Whether it is left alone for the moment, because of them or of its answers.
    pub ejected: bool,
    /// Why and until when; absent while nothing is held against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejection: Option<EjectionSnapshot>,
    /// How often it was left alone since it was found.
    pub ejections: u32,
    /// Whether no answer of discovery names it any more, so that it is asked only while no other may answer; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What the active checks say of it; absent where there are none, or none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSnapshot>,
}

/// The instances of one priority at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LevelSnapshot {
    /// Their number in SRV records.
    pub priority: u16,
    /// How many there are.
    pub instances: usize,
    /// How many of them may be used.
    pub usable: usize,
    /// Whether requests go there now.
    #[serde(rename = "in_use")]
    pub is_in_use: bool,
    /// Whether too few are usable everywhere, so that failing checks are doubted.
    #[serde(rename = "panic")]
    pub is_panic: bool,
}

/// Why one instance is left alone at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EjectionSnapshot {
    /// `connect_failed`, `failures`, `gateway_errors` or `latency`.
    pub cause: &'static str,
    /// Until when, in Unix milliseconds. If that is over, the next request that may be repeated tries it.
    pub until_ms: u64,
}

impl EjectionSnapshot {
    /// That of `endpoint` at `now_ms` ([`crate::moment`]), which is `unix_ms` of the day.
    pub(crate) fn of(endpoint: &Endpoint, now_ms: u64, unix_ms: u64) -> Option<Self> {
        let (cause, until) = endpoint.ejection(now_ms)?;
        Some(Self { cause: cause.word(), until_ms: (unix_ms + until).saturating_sub(now_ms) })
    }
}

/// What the active checks say of one instance at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthSnapshot {
    /// When it was last checked, in Unix milliseconds.
    pub checked_at_ms: u64,
    /// `unknown`, `healthy`, `draining`, `not_ready`, `unhealthy` or `treaty_not_understood`.
    pub state: &'static str,
    /// Why the last check failed; absent while checks pass: `connect`, `timeout`, `reset`, `status`, `malformed`.
    pub failure: Option<&'static str>,
    /// The treaty that it said it speaks, where it says so; likewise the others.
    pub treaty: Option<u64>,
    /// The version of its build.
    pub build: Option<String>,
    /// The generation of its configuration.
    pub generation: Option<u64>,
    /// Whether it is leaving.
    pub draining: Option<bool>,
}
