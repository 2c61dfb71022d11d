//! A service as written in the configuration.
//!
//! In: a section of YAML. Out: the same as types, defaults filled in. Refuses: unknown keys and wrong types. Whether it makes sense: `check`.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::units::Span;

/// A service: where its instances are found and how they are spoken to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// How its instances are found.
    pub discover: DiscoverConfig,
    /// How one of them is picked for a request.
    #[serde(default)]
    pub balance: Balance,
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
}

/// How the instances of a service are found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DiscoverConfig {
    /// At these addresses.
    Static {
        /// `IP:PORT` each.
        addresses: Vec<String>,
    },
    /// At every A and AAAA address of a name.
    Dns {
        /// The name.
        name: String,
        /// The port of all of them.
        port: u16,
    },
    /// At the targets of the SRV records of a name: those of the lowest priority, in proportion to their weights.
    Srv {
        /// `_service._proto.domain`.
        name: String,
    },
    /// At a Unix socket on this host.
    Unix {
        /// Its path, relative to the configuration file.
        path: String,
    },
}

/// How an instance is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with fewer requests under way, of two drawn at random.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
}

/// TLS towards instances.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceTlsConfig {
    /// PEM file of the authorities whose certificates are believed.
    pub ca: String,
    /// PEM file of the certificate chain that we show.
    #[serde(default)]
    pub certificate: Option<String>,
    /// PEM file of its private key.
    #[serde(default)]
    pub key: Option<String>,
    /// The name asked for and proved by the instance; by default the discovered name (for SRV without `_service._proto`).
    #[serde(default)]
    pub server_name: Option<String>,
    /// `dns:NAME` or `uri:spiffe://…`: the names of which an instance must prove one, instead of `server_name`.
    #[serde(default)]
    pub peers: Vec<String>,
}

/// The clamp around the time to live of DNS answers, and around the pause after a failed look-up.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TtlConfig {
    /// The shortest time between two look-ups.
    pub min: Span,
    /// The longest time between two look-ups.
    pub max: Span,
}

impl Default for TtlConfig {
    fn default() -> Self {
        Self { min: Span::secs(1), max: Span::secs(5) }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsConfig {
    /// Making a connection, TLS included.
    pub connect: Span,
    /// Until the answer begins, counted from the last byte of the request that the instance took; `null` waits as long as the request may live.
    pub first_byte: Option<Span>,
    /// The longest silence of a client in the middle of its request's body, until the answer begins; then the request ends with 408. While the
    /// body moves no other limit runs: `first_byte` and the request's own deadline count from the last piece that the instance took.
    pub upload_idle: Span,
    /// The longest silence inside an answer.
    pub idle: Span,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self { connect: Span::secs(2), first_byte: Some(Span::secs(30)), upload_idle: Span::secs(30), idle: Span::secs(60) }
    }
}

/// The ceilings of the connections to a service. A request occupies a connection, so that `connections_max` bounds the requests under way as well.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Idle connections that one worker keeps to one instance.
    pub idle_max: usize,
    /// Connections to all instances, over all workers.
    pub connections_max: usize,
    /// How long an idle connection is kept. It should be shorter than what the instances do.
    pub idle: Span,
    /// How long a connection is used before it is replaced.
    pub age: Span,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { idle_max: 32, connections_max: 1024, idle: Span::secs(60), age: Span::secs(600) }
    }
}

/// Attempts at other instances.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetriesConfig {
    /// The most attempts for one request, the first one included.
    pub attempts_max: u32,
    /// Of a hundred requests of the last ten seconds so many may be sent again although something of them may have reached an instance.
    /// Attempts of which nothing was sent are free.
    pub budget_percent: u32,
    /// So many per second beside that share, saved up over ten seconds, for a service that is asked rarely.
    pub per_second_min: u32,
}

impl Default for RetriesConfig {
    fn default() -> Self {
        Self { attempts_max: 3, budget_percent: 20, per_second_min: 10 }
    }
}

/// Active checks: each instance is asked how it does, and one that does not do well gets nothing new while another one does.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// The pause between two checks of one instance, give or take a tenth.
    pub every: Span,
    /// How long one check may take, connection included.
    pub timeout: Span,
    /// So many failed checks in a row make an instance unhealthy.
    pub unhealthy_threshold: u32,
    /// So many good checks in a row make it healthy again.
    pub healthy_threshold: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { every: Span::secs(1), timeout: Span::secs(1), unhealthy_threshold: 3, healthy_threshold: 1 }
    }
}

impl ServiceConfig {
    /// A service found this way, and everything else by default.
    #[must_use]
    pub fn new(discover: DiscoverConfig) -> Self {
        Self {
            discover,
            balance: Balance::default(),
            tls: None,
            ttl: TtlConfig::default(),
            timeouts: TimeoutsConfig::default(),
            pool: PoolConfig::default(),
            retries: RetriesConfig::default(),
        }
    }
}
