//! security-gw's configuration as written, and as meant.

pub mod link;
pub mod link_room;

use std::collections::BTreeMap;

use host::certificates::CertificateInUse;
use host::config::{AdminConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, ReloadConfig, TrustRootsConfig, UpgradeConfig};
use host::limits_config::LimitsConfig;
use host::network::network;
use host::plan::{HostPlan, HostSections};
use host::tier::Checked;
use identity::config::{self, IssuerConfig};
use identity::plan::IssuerPlan;
use identity::signing;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use telemetry::logs::LogsConfig;
use telemetry::record::config::RecordsConfig;
use telemetry::traces::config::TracesConfig;
use wire::body_rate::BodyRate;
use wire::forwarded::{Field, Proxies};
use wire::tls::client::ClientTls;
use wire::tls::peers::{PeerList, SanPattern};

use crate::config::link::{LinkConfig, LinkPlan};
use crate::rule::table::{RuleConfig, Rules};
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
    /// Proxies in front of us, whose word on client and scheme and whose `X-Request-ID` are believed: networks (`10.0.0.0/8`), or names in the client
    /// certificate that they show (`dns:NAME`, `uri:spiffe://…`).
    pub proxies: Vec<String>,
    /// The field in which all of them tell of the client. The other one, which they let through as the client wrote it, is not read.
    pub forwarded: ForwardedConfig,
    /// Whether `X-Forwarded-Host` is believed too; only where every proxy sets it or takes it out. With `forwarded: forwarded` it is never read.
    pub forwarded_host: bool,
    /// Networks of peers whose `traceparent` is continued.
    pub trace: Vec<String>,
}

/// The field in which proxies tell of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedConfig {
    /// `X-Forwarded-For`, and the scheme in `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with scheme and host in the element that names the client.
    Forwarded,
}

/// Everything that security-gw runs by, beside what the host needs.
#[derive(Clone)]
pub struct SecurityPlan {
    /// Proxies that are believed.
    pub proxies: Proxies,
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
    /// Whether a rotation of keys is read by itself in time.
    pub rotations_are_read: bool,
    /// Requests in flight at most.
    pub in_flight_max: usize,
    /// Bytes of one request body at most.
    pub body_bytes_max: u64,
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
        let rules = Rules::check(&self.rules, &names, self.limits.body_bytes_max.get(), report);
        let proxies = self.proxies(report);
        let trace = networks("trust.trace", &self.trust.trace, report);
        let link = self.link.check(&self.name, self.limits.in_flight_max, files, report);
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
        // A proxy's connections are those of all its clients.
        host.infrastructure = proxies.networks().to_vec();
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
            rotations_are_read: signing::are_rotations_read(host.watch),
            in_flight_max: host.limits.in_flight_max,
            body_bytes_max: host.limits.body_bytes_max,
            body_rate: host.limits.body_rate,
        };
        Some(Checked { host, tier: plan, aside: Vec::new() })
    }
}

impl SecurityConfig {
    fn proxies(&self, report: &mut Report) -> Proxies {
        let (mut networks, mut identities) = (Vec::new(), Vec::new());
        let shown = self.listen.iter().any(|listener| listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some()));
        for (index, text) in self.trust.proxies.iter().enumerate() {
            let key = format!("trust.proxies[{index}]");
            if text.starts_with("dns:") || text.starts_with("uri:") {
                match SanPattern::parse(text) {
                    Ok(_) if !shown => report.complain(
                        &key,
                        format!("nobody can be {text:?}: no listener asks for client certificates"),
                        "add `clients` to the `tls` of the listener that this proxy connects to",
                    ),
                    Ok(pattern) => identities.push(pattern),
                    Err(fault) => report.complain(&key, fault.what, fault.remedy),
                }
                continue;
            }
            match network(text) {
                Some(network) if network.prefix_len() == 0 => report.complain(
                    &key,
                    format!("{text:?} is everybody: any client could say whose request it is"),
                    "list the networks of your own proxies",
                ),
                Some(network) => networks.push(network),
                None => report.complain(
                    &key,
                    format!("{text:?} is neither a network nor a name in a certificate"),
                    "write it as in 10.0.0.0/8, fd00::/8, dns:lb.example or uri:spiffe://example/lb",
                ),
            }
        }
        let host = self.trust.forwarded_host;
        let field = match self.trust.forwarded {
            ForwardedConfig::XForwardedFor => Field::XForwardedFor { host },
            ForwardedConfig::Forwarded => {
                if host {
                    report.complain(
                        "trust.forwarded_host",
                        "X-Forwarded-Host is not read where `forwarded: forwarded` says what proxies write".to_owned(),
                        "leave it out: the host is believed that `Forwarded` tells",
                    );
                }
                Field::Forwarded
            }
        };
        Proxies::new(networks, PeerList::new(identities)).that_write(field)
    }
}

/// Networks as written in CIDR form; a bare address is a network of one.
fn networks(key: &str, written: &[String], report: &mut Report) -> Vec<IpNet> {
    let mut networks = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match network(text) {
            Some(network) => networks.push(network),
            None => report.complain(&format!("{key}[{index}]"), format!("{text:?} is no network"), "write it as in 10.0.0.0/8 or fd00::/8"),
        }
    }
    networks
}
