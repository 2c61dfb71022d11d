//! `link:` as written: how security-gw finds, proves and believes the replicas of routing-gw, and how it proves itself.

use std::sync::Arc;
use std::time::Duration;

use contract::assertion::Signer;
use contract::signing_keys::SigningKeys;
use identity::signing::SigningKeyConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;
use upstream::config::ServiceConfig;
use upstream::config::balance::{Balance, default_panic_percent};
use upstream::config::breaker::BreakerConfig;
use upstream::config::discover::{DiscoverConfig, TtlConfig};
use upstream::config::health::HealthConfig;
use upstream::config::outliers::{OutliersConfig, Whose};
use upstream::config::protocol::ProtocolConfig;
use upstream::config::retries::RetriesConfig;
use upstream::config::timeouts::TimeoutsConfig;
use upstream::config::tls::InstanceTlsConfig;
use upstream::plan::ServicePlan;
use upstream::plan::breaker::BreakerPlan;
use upstream::plan::health::ProbePlan;

use crate::config::link_room::{LinkLimitsConfig, LinkPoolConfig, room};

/// The way to tier 2.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// What tier 2 calls itself in assertions: its `vouch.audience`.
    pub audience: String,
    /// How the replicas of routing-gw are found.
    pub discover: DiscoverConfig,
    /// How one of them is picked for a request.
    #[serde(default)]
    pub balance: Balance,
    /// How long a replica that comes beside others, or comes back, is spared; 0s for not at all.
    #[serde(default)]
    pub slow_start: Span,
    /// Below so many percent of usable replicas a priority passes its requests to the next one; where all are below, failing checks are doubted.
    #[serde(default = "default_panic_percent")]
    pub panic_percent: u32,
    /// What is spoken to the replicas. HTTP/1.1 spreads requests over all workers of a replica; HTTP/2 lets every trailer pass.
    #[serde(default)]
    pub protocol: ProtocolConfig,
    /// mTLS towards the replicas. A TCP link needs this, or `allow_plaintext`.
    pub tls: Option<InstanceTlsConfig>,
    /// Lets identities travel where anybody on the network can read and replay them for a minute.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// What assertions are signed with; shared by all replicas of this tier.
    pub signing_key: SigningKeyConfig,
    /// From handing over to the head of tier 2's answer; default 75 s, longer than tier 2's own default, so that its reason arrives.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// The clamp on the life of DNS answers.
    #[serde(default)]
    pub ttl: TtlConfig,
    /// How long parts of an exchange may take.
    #[serde(default = "default_timeouts")]
    pub timeouts: TimeoutsConfig,
    /// Connections that are kept.
    #[serde(default)]
    pub pool: LinkPoolConfig,
    /// Tries on other replicas, where nothing was answered yet.
    #[serde(default)]
    pub retries: RetriesConfig,
    /// Requests under way at a time, and those that wait.
    #[serde(default)]
    pub limits: LinkLimitsConfig,
    /// The circuit breaker; `null` for none. Here only connections that cannot be made or break off are failures.
    #[serde(default = "BreakerConfig::usual")]
    pub breaker: Option<BreakerConfig>,
    /// How often each replica is asked how it does.
    #[serde(default)]
    pub health: HealthConfig,
    /// When a replica is left alone for what its answers have shown.
    #[serde(default)]
    pub outliers: OutliersConfig,
}

/// The way to tier 2 as meant.
#[derive(Clone)]
pub struct LinkPlan {
    /// The replicas as a service.
    pub service: ServicePlan,
    /// Signs assertions.
    pub signer: Arc<Signer>,
    /// What it signs by.
    pub keys: Arc<SigningKeys>,
    /// The file that they were read from.
    pub keys_file: Arc<str>,
    /// Whether they are a set, which is rotated.
    pub keys_rotate: bool,
    /// From handing over to the head of the answer.
    pub timeout: Duration,
    /// Whether the link is a plain one over TCP, for the warning at every start.
    pub plaintext: bool,
}

fn default_timeout() -> Span {
    Span::secs(75)
}

/// Tier 2 knows how long each of its routes may take; the link's own `timeout` bounds the whole.
fn default_timeouts() -> TimeoutsConfig {
    TimeoutsConfig { first_byte: None, ..TimeoutsConfig::default() }
}

impl LinkConfig {
    /// Checks the link; `name` is what this tier signs as, `in_flight_max` how many requests it lets in.
    pub fn check(&self, name: &str, in_flight_max: u32, files: &Files, report: &mut Report) -> Option<LinkPlan> {
        if self.audience.is_empty() {
            report.complain("link.audience", "the audience is empty", "write what tier 2 has as `vouch.audience`");
        }
        let on_one_host = matches!(self.discover, DiscoverConfig::Unix { .. });
        let plaintext = self.tls.is_none() && !on_one_host;
        if plaintext && !self.allow_plaintext {
            report.complain(
                "link",
                "identities would travel unprotected: the link has no `tls`",
                "add `tls: {ca, certificate, key, peers}`, discover a `unix` socket, or accept it with `allow_plaintext: true`",
            );
        }
        if let Some(tls) = &self.tls
            && (tls.certificate.is_none() || tls.peers.is_empty())
        {
            report.complain(
                "link.tls",
                "only one end of the link would be proved",
                "set `certificate`, `key` and `peers`, so that both ends are",
            );
        }
        let by_key = self.balance == Balance::ConsistentHash;
        if by_key {
            let what = "replicas of routing-gw are all the same to every request: there is no key to pick one by";
            report.complain("link.balance", what, "set least_request, round_robin, weighted or peak_ewma");
        }
        let (limits, pool) = room(self.limits, self.pool, in_flight_max);
        let service = ServiceConfig {
            discover: self.discover.clone(),
            balance: if by_key { Balance::default() } else { self.balance },
            hash: None,
            sticky: None,
            slow_start: self.slow_start,
            panic_percent: self.panic_percent,
            protocol: self.protocol,
            tls: self.tls.clone(),
            ttl: self.ttl,
            timeouts: self.timeouts,
            pool,
            retries: self.retries,
            limits,
            breaker: self.breaker,
            // Those of the link are checked beside this: a replica is no instance of a service.
            health: None,
            outliers: OutliersConfig::default(),
        };
        let service = service.check("link", files, report);
        let health = self.health.check("link.health", ProbePlan::Link, report);
        let outliers = self.outliers.check("link.outliers", Whose::Link, report);
        let keys = self.signing_key.check("link.signing_key", files, report);
        if self.timeout == Span::default() {
            report.complain("link.timeout", "tier 2 answers nothing in no time", "set a time above 0");
        }
        if by_key {
            return None;
        }
        let service = service?;
        let breaker = service.breaker.map(|breaker| BreakerPlan { connections_only: true, ..breaker });
        let service = ServicePlan { health: Some(health?), outliers: outliers?, breaker, ..service };
        // A name that is empty was complained of where it stands.
        let signer = Signer::new(Arc::clone(keys.as_ref()?), name.to_owned(), self.audience.clone()).ok()?;
        let keys_file = files.resolve(&self.signing_key.file).display().to_string().into();
        let keys_rotate = self.signing_key.kid.is_none();
        Some(LinkPlan { service, signer: Arc::new(signer), keys: keys?, keys_file, keys_rotate, timeout: self.timeout.get(), plaintext })
    }
}
