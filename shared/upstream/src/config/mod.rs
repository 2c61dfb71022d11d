//! A service as written in the configuration, and from there to a service as meant.
//!
//! In: a section of YAML. Out: a `ServicePlan`, defaults filled in. Refuses, all at once and each with its key and a remedy: unknown keys, wrong
//! types, and whatever makes no sense; each part stands in a file of its own. Never: resolves a name.

pub mod balance;
pub mod breaker;
pub mod discover;
pub mod entries;
pub mod health;
pub mod limits;
pub mod outliers;
pub mod pool;
pub mod protocol;
pub mod retries;
pub mod service_health;
pub mod timeouts;
pub mod tls;

use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::config::balance::{Balance, HashConfig, StickyConfig, Written, default_panic_percent};
use crate::config::breaker::BreakerConfig;
use crate::config::discover::{DiscoverConfig, TtlConfig};
use crate::config::limits::LimitsConfig;
use crate::config::outliers::{OutliersConfig, Whose};
use crate::config::pool::PoolConfig;
use crate::config::protocol::ProtocolConfig;
use crate::config::retries::RetriesConfig;
use crate::config::service_health::ServiceHealthConfig;
use crate::config::timeouts::TimeoutsConfig;
use crate::config::tls::InstanceTlsConfig;
use crate::plan::ServicePlan;

/// Bytes of a service's name at most.
const NAME_BYTES_MAX: usize = 128;

/// A service: where its instances are found and how they are spoken to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// How its instances are found.
    pub discover: DiscoverConfig,
    /// How one of them is picked for a request.
    #[serde(default)]
    pub balance: Balance,
    /// What `consistent_hash` goes by.
    #[serde(default)]
    pub hash: Option<HashConfig>,
    /// A cookie that brings a client back to the instance that has served it.
    #[serde(default)]
    pub sticky: Option<StickyConfig>,
    /// How long an instance that comes beside others, or comes back, is spared: its part rises from a tenth to all of its share; 0s for not at all.
    #[serde(default)]
    pub slow_start: Span,
    /// Below so many percent of usable instances a priority passes its requests to the next one; where all are below, failing checks are doubted
    /// and all instances used. 0 uses the last usable one, and then refuses.
    #[serde(default = "default_panic_percent")]
    pub panic_percent: u32,
    /// What is spoken to them.
    #[serde(default)]
    pub protocol: ProtocolConfig,
    /// TLS towards the instances; without it they are spoken to in plain HTTP.
    #[serde(default)]
    pub tls: Option<InstanceTlsConfig>,
    /// The clamp around the time to live of DNS answers.
    #[serde(default)]
    pub ttl: TtlConfig,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: TimeoutsConfig,
    /// The ceilings of the connections.
    #[serde(default)]
    pub pool: PoolConfig,
    /// Attempts at other instances.
    #[serde(default)]
    pub retries: RetriesConfig,
    /// Requests under way at a time, and those that wait.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The circuit breaker; `null` for none.
    #[serde(default = "BreakerConfig::usual")]
    pub breaker: Option<BreakerConfig>,
    /// Active checks; without it instances are not asked how they do.
    #[serde(default)]
    pub health: Option<ServiceHealthConfig>,
    /// When an instance is left alone for what its answers have shown.
    #[serde(default)]
    pub outliers: OutliersConfig,
}

impl ServiceConfig {
    /// A service found this way, and everything else by default.
    #[must_use]
    pub fn new(discover: DiscoverConfig) -> Self {
        Self {
            discover,
            balance: Balance::default(),
            hash: None,
            sticky: None,
            slow_start: Span::default(),
            panic_percent: default_panic_percent(),
            protocol: ProtocolConfig::default(),
            tls: None,
            ttl: TtlConfig::default(),
            timeouts: TimeoutsConfig::default(),
            pool: PoolConfig::default(),
            retries: RetriesConfig::default(),
            limits: LimitsConfig::default(),
            breaker: BreakerConfig::usual(),
            health: None,
            outliers: OutliersConfig::default(),
        }
    }

    /// Checks the service at `key` (`services.NAME`, or a lone name); `files` are those of the configuration.
    ///
    /// Every complaint goes to `report`; `None` when there was one.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<ServicePlan> {
        // What follows the first dot, for the name may hold dots itself.
        let name = key.split_once('.').map_or(key, |(_, name)| name);
        let written_name = name;
        let name = lawful_name(name, key, report);
        let discover = self.discover.check(&format!("{key}.discover"), files, report);
        let balance = Written {
            name: written_name,
            balance: self.balance,
            hash: self.hash.as_ref(),
            sticky: self.sticky.as_ref(),
            slow_start: self.slow_start,
            panic_percent: self.panic_percent,
        };
        let balance = balance.check(key, files, report);
        let tls = match &self.tls {
            None => Some(None),
            Some(tls) => tls.check(&format!("{key}.tls"), files, discover.as_ref(), self.protocol, report).map(Some),
        };
        let ttl = self.ttl.check(&format!("{key}.ttl"), report);
        let timeouts = self.timeouts.check(&format!("{key}.timeouts"), report);
        let pool = self.pool.check(&format!("{key}.pool"), report);
        let retries = self.retries.check(&format!("{key}.retries"), report);
        let limits = self.limits.check(&format!("{key}.limits"), report);
        let breaker = match &self.breaker {
            None => Some(None),
            Some(breaker) => breaker.check(&format!("{key}.breaker"), report).map(Some),
        };
        let health = match &self.health {
            None => Some(None),
            Some(health) => health.check(&format!("{key}.health"), discover.as_ref(), report).map(Some),
        };
        let outliers = self.outliers.check(&format!("{key}.outliers"), Whose::Service, report);
        Some(ServicePlan {
            name: name?.into(),
            discover: discover?,
            balance: balance?,
            protocol: self.protocol.plan(),
            tls: tls?,
            ttl: ttl?,
            timeouts: timeouts?,
            pool: pool?,
            retries: retries?,
            limits: limits?,
            breaker: breaker?,
            health: health?,
            outliers: outliers?,
        })
    }
}

/// Complaints about the parts of one section, each told at once.
pub(crate) struct Demands<'r> {
    key: &'r str,
    report: &'r mut Report,
    met: bool,
}

impl<'r> Demands<'r> {
    /// Of the section at `key`.
    pub(crate) fn of(key: &'r str, report: &'r mut Report) -> Self {
        Self { key, report, met: true }
    }

    /// Complains of `part` unless `holds`.
    pub(crate) fn that(&mut self, holds: bool, part: &str, what: &str, remedy: &str) {
        if !holds {
            self.report.complain(&format!("{}.{part}", self.key), what, remedy);
            self.met = false;
        }
    }

    /// Whether there was nothing to complain of.
    pub(crate) fn met(self) -> bool {
        self.met
    }
}

/// Names stand in metrics, records and traces, and operators write them into queries.
fn lawful_name<'n>(name: &'n str, key: &str, report: &mut Report) -> Option<&'n str> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(lawful) {
        return Some(name);
    }
    let remedy = format!("write 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores");
    report.complain(key, format!("{name:.80?} is no name for a service"), remedy);
    None
}

#[cfg(test)]
mod tests;
