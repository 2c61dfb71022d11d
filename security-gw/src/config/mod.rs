//! security-gw's configuration as written, and as meant.

pub mod link;

use std::collections::BTreeMap;

use host::certificates::CertificateInUse;
use host::config::{AdminConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, ReloadConfig, TrustRootsConfig, UpgradeConfig};
use host::limits_config::LimitsConfig;
use host::plan::{HostPlan, HostSections};
use host::tier::Checked;
use identity::config::{self, IssuerConfig};
use identity::plan::IssuerPlan;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use telemetry::logs::LogsConfig;
use telemetry::record::config::RecordsConfig;
use telemetry::traces::config::TracesConfig;
use wire::body_rate::BodyRate;
use wire::tls::client::ClientTls;

use crate::authenticate::rules::{RuleConfig, Rules};
use crate::config::link::{LinkConfig, LinkPlan};
use crate::tier::SecurityGw;

/// The file of security-gw.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityConfig {
    /// What this tier is called in assertions and traces; tier 2 lists it in `vouch.issuers`.
    #[serde(default = "default_name")]
    pub name: String,
    /// Threads that serve; the number of cores when absent.
    pub workers: Option<u32>,
    /// Where clients connect.
    pub listen: Vec<ListenConfig>,
    /// Where operators look.
    pub admin: AdminConfig,
    /// Which DNS servers are asked.
    #[serde(default)]
    pub dns: DnsConfig,
    /// Which authorities fetched documents and collectors are proved by.
    #[serde(default)]
    pub roots: TrustRootsConfig,
    /// Where documents may be fetched from.
    #[serde(default)]
    pub fetch: FetchConfig,
    /// Ceilings.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How the process ends.
    #[serde(default)]
    pub drain: DrainConfig,
    /// How a new executable takes over.
    #[serde(default)]
    pub upgrade: UpgradeConfig,
    /// When the configuration is read again by itself.
    #[serde(default)]
    pub reload: ReloadConfig,
    /// Diagnostics.
    #[serde(default)]
    pub logs: LogsConfig,
    /// The access record and the records of connections.
    #[serde(default)]
    pub records: RecordsConfig,
    /// Traces.
    #[serde(default)]
    pub traces: TracesConfig,
    /// Whom strangers' headers are believed from.
    #[serde(default)]
    pub trust: TrustConfig,
    /// Who vouches for callers, by name.
    #[serde(default)]
    pub issuers: BTreeMap<String, IssuerConfig>,
    /// Which path asks for which credential.
    pub rules: Vec<RuleConfig>,
    /// The way to tier 2.
    pub link: LinkConfig,
}

/// Whom strangers' headers are believed from; nobody, unless it is said.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// Networks of proxies in front of us, whose `X-Forwarded-For` and `X-Request-ID` are believed: `10.0.0.0/8`.
    pub proxies: Vec<String>,
    /// Networks of peers whose `traceparent` is continued.
    pub trace: Vec<String>,
}

/// Everything that security-gw runs by, beside what the host needs.
#[derive(Clone)]
pub struct SecurityPlan {
    /// Proxies that are believed.
    pub proxies: Vec<IpNet>,
    /// Peers whose trace is continued.
    pub trace: Vec<IpNet>,
    /// Issuers, in the order that rules refer to.
    pub issuers: Vec<IssuerPlan>,
    /// The rules.
    pub rules: Rules,
    /// The way to tier 2.
    pub link: LinkPlan,
    /// For each listener, where it redirects to, if it does.
    pub redirects: Vec<Option<String>>,
    /// For each listener, whether it serves hosts that a connection's certificate does not cover.
    pub any_authority: Vec<bool>,
    /// For each listener, whether it publishes this tier's keys and serves nothing else.
    pub publishes: Vec<bool>,
    /// Requests in flight at most.
    pub in_flight_max: usize,
    /// Bytes of one request body at most.
    pub body_bytes_max: u64,
    /// Bytes of one request target at most.
    pub target_bytes_max: usize,
    /// How slowly a request body may come.
    pub body_rate: BodyRate,
}

fn default_name() -> String {
    "security-gw".to_owned()
}

impl SecurityConfig {
    /// Checks everything and complains about all that is wrong.
    pub fn check(self, files: &Files, report: &mut Report) -> Option<Checked<SecurityGw>> {
        let redirects = self.listen.iter().map(|listener| listener.redirect_to.clone()).collect();
        let publishes = self.listen.iter().map(|listener| listener.publish_keys).collect();
        let issuers = config::check_all(&self.issuers, "issuers", files, report);
        let names: Vec<&str> = self.issuers.keys().map(String::as_str).collect();
        let rules = Rules::check(&self.rules, &names, report);
        let proxies = networks("trust.proxies", &self.trust.proxies, report);
        let trace = networks("trust.trace", &self.trust.trace, report);
        let link = self.link.check(&self.name, files, report);
        let mut host = HostPlan::check(
            HostSections {
                name: self.name,
                workers: self.workers,
                listen: self.listen,
                admin: self.admin,
                drain: self.drain,
                upgrade: self.upgrade,
                reload: self.reload,
                limits: self.limits,
                logs: self.logs,
                records: self.records,
                traces: self.traces,
                dns: self.dns,
                roots: self.roots,
                fetch: self.fetch,
            },
            files,
            report,
        )?;
        let link = link?;
        let shown = link.service.tls.as_ref().and_then(ClientTls::shows);
        host.certificates.extend(shown.map(|expiry| CertificateInUse { used_by: "link".to_owned(), expiry: expiry.clone() }));
        let plan = SecurityPlan {
            proxies,
            trace,
            issuers: issuers?,
            rules,
            link,
            redirects,
            any_authority: host.listeners.iter().map(|listener| listener.any_authority).collect(),
            publishes,
            in_flight_max: host.limits.in_flight_max,
            body_bytes_max: host.limits.body_bytes_max,
            target_bytes_max: host.limits.target_bytes_max,
            body_rate: host.limits.body_rate,
        };
        Some(Checked { host, tier: plan, aside: Vec::new() })
    }
}

/// Networks as written in CIDR form; a bare address is a network of one.
fn networks(key: &str, written: &[String], report: &mut Report) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) => networks.push(network),
            None => report.complain(&format!("{key}[{index}]"), format!("{text:?} is no network"), "write it as in 10.0.0.0/8 or fd00::/8"),
        }
    }
    networks
}
