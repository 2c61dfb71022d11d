//! routing-gw's configuration as written, and the checks that need more than one room.

pub mod drop_ins;
pub mod keys;
pub mod plan;
mod rivals;
pub mod routes;
mod side_files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use contract::assertion::ASSERTION_BYTES_MAX;
use host::certificates::CertificateInUse;
use host::config::{AdminConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, ReloadConfig, TrustRootsConfig, UpgradeConfig};
use host::limits_config::LimitsConfig;
use host::plan::{HostPlan, HostSections};
use host::plan_limits::ANY_PER_ADDRESS;
use host::tier::Checked;
use identity::signing;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use telemetry::logs::LogsConfig;
use telemetry::record::config::RecordsConfig;
use telemetry::traces::config::TracesConfig;
use upstream::config::ServiceConfig;
use wire::tls::client::ClientTls;

use crate::config::drop_ins::Whole;
use crate::config::keys::{AssertionsConfig, check_vouch};
use crate::config::plan::{DropInPlan, RoutingPlan};
use crate::config::routes::RouteConfig;
use crate::tier::RoutingGw;
use crate::vouch::VouchConfig;

/// The file of routing-gw.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutingConfig {
    /// What this tier is called in traces, and in what it signs for services.
    #[serde(default = "default_name")]
    pub name: String,
    /// Threads that serve; the number of cores when absent.
    pub workers: Option<u32>,
    /// Where tier 1 connects.
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
    /// Ceilings, as at tier 1; what tier 1 adds to a head does not count.
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
    /// Records of connections; the request record is tier 1's.
    #[serde(default)]
    pub records: RecordsConfig,
    /// Traces.
    #[serde(default)]
    pub traces: TracesConfig,
    /// Whom this tier believes.
    pub vouch: VouchConfig,
    /// This tier's own signed word on callers, for services; a route says `assert` to have it.
    pub assertions: Option<AssertionsConfig>,
    /// The services, by name.
    pub services: BTreeMap<String, ServiceConfig>,
    /// The routes.
    pub routes: Vec<RouteConfig>,
    /// A folder in which each `*.yaml` holds the `services` and `routes` of one team. One with a mistake in it is set aside whole, with an alarm, and
    /// the rest loads.
    pub drop_ins: Option<PathBuf>,
}

/// Header fields that tier 1 adds at most, beside what the client sent.
const LINK_FIELDS: usize = 32;
/// Bytes that tier 1 adds to a head at most: the assertion, and the fields that name client, request and trace.
const LINK_HEAD_BYTES: usize = ASSERTION_BYTES_MAX + 8 * 1024;

fn default_name() -> String {
    "routing-gw".to_owned()
}

/// All of tier 1 may have one address, and over a link without certificates nothing else tells its connections from those of one client.
fn of_links(limits: LimitsConfig) -> LimitsConfig {
    LimitsConfig { connections_per_address_max: limits.connections_per_address_max.or(Some(ANY_PER_ADDRESS)), ..limits }
}

impl RoutingConfig {
    /// Checks everything and complains about all that is wrong.
    pub fn check(self, files: &Files, before: Option<&RoutingPlan>, report: &mut Report) -> Option<Checked<RoutingGw>> {
        for (index, listener) in self.listen.iter().enumerate() {
            check_listener(listener, index, self.assertions.is_some(), report);
        }
        let services: Vec<_> =
            self.services.iter().map(|(name, service)| service.check(&format!("services.{name}"), files, report)).collect();
        if self.routes.is_empty() && self.drop_ins.is_none() {
            report.complain_of_absence(
                "routes",
                "there is no route, so every request would be refused",
                "add a route with a name, a path and a service",
            );
        }
        let signs = self.assertions.is_some();
        let known = self.services.keys().map(String::as_str);
        let routes = routes::check(&self.routes, known, signs, self.limits.body_bytes_max.get(), report);
        let trusted = check_vouch(&self.vouch, files, report);
        let keys = self.assertions.as_ref().map(|assertions| assertions.signing_key.check("assertions.signing_key", files, report));
        let publishes = self.listen.iter().map(|listener| listener.publish_keys).collect();
        let name = self.name.clone();
        let mut host = HostPlan::check(
            HostSections {
                name: self.name,
                workers: self.workers,
                listen: self.listen,
                admin: self.admin,
                drain: self.drain,
                upgrade: self.upgrade,
                reload: self.reload,
                limits: of_links(self.limits),
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
        // What a client may send, and what tier 1 adds to it: else a request that tier 1 let in would be refused here, link connection and all.
        host.limits.headers_max += LINK_FIELDS;
        host.limits.head_bytes_max += LINK_HEAD_BYTES;
        // Tier 1 writes a space behind each colon, which its client may have left out.
        host.limits.trailer_bytes_max += host.limits.headers_max;
        drop_ins::complain_about_cookies(services.iter().flatten(), report);
        let main = DropInPlan { services: services.into_iter().collect::<Option<_>>()?, routes };
        let whole = match &self.drop_ins {
            // What is wrong with the main file would be told of each drop-in again.
            Some(folder) if report.is_clean() => {
                let served = before.map(|before| &before.drop_ins);
                drop_ins::gather(folder, main, signs, host.limits.body_bytes_max, files, served, report)?
            }
            _ => Whole::of(main),
        };
        for service in &whole.services {
            let shown = service.tls.as_ref().and_then(ClientTls::shows);
            let used_by = || format!("service {}", service.name);
            host.certificates.extend(shown.map(|expiry| CertificateInUse { used_by: used_by(), expiry: expiry.clone() }));
        }
        // Keys that cannot be read must not become "nobody is vouched for".
        let keys = match keys {
            Some(keys) => Some(keys?),
            None => None,
        };
        let own = self.assertions.as_ref().map(|assertions| &assertions.signing_key);
        let rotates = own.is_some_and(|own| own.kid.is_none()) || self.vouch.jwks.is_some();
        let plan = RoutingPlan {
            trusted: trusted?.under(&host.fetch),
            keys,
            keys_file: own.map_or_else(String::new, |own| files.resolve(&own.file).display().to_string()).into(),
            misses_rotations: rotates && !signing::are_rotations_read(host.watch),
            name,
            publishes,
            services: whole.services,
            routes: whole.routes,
            drop_ins: whole.drop_ins,
            in_flight_max: host.limits.in_flight_max,
            body_bytes_max: host.limits.body_bytes_max,
            body_rate: host.limits.body_rate,
        };
        Some(Checked { host, tier: plan, aside: whole.aside })
    }
}

/// Tier 2 believes whoever connects to be tier 1, so that each listener must say who may connect.
fn check_listener(listener: &ListenConfig, index: usize, signs: bool, report: &mut Report) {
    if listener.redirect_to.is_some() {
        report.complain(&format!("listen[{index}].redirect_to"), "routing-gw faces services, not clients", "redirect at security-gw");
    }
    if listener.publish_keys && !signs {
        report.complain(
            &format!("listen[{index}].publish_keys"),
            "this tier has no keys to publish",
            "add `assertions: { signing_key: { file: FILE } }`, or take the key out; tier 1's keys are published by tier 1",
        );
    }
    // What is published is for everybody, and nobody is believed there.
    if !listener.publish_keys && listener.tls.as_ref().is_some_and(|tls| tls.clients.is_none()) {
        report.complain(
            &format!("listen[{index}].tls"),
            "anybody could connect: the listener demands no client certificate",
            "add `clients: {ca: FILE, peers: [\"dns:NAME\"]}` with the name in tier 1's certificate",
        );
    }
    let lets_in_without = listener.tls.as_ref().and_then(|tls| tls.clients.as_ref()).is_some_and(|clients| !clients.require);
    if !listener.publish_keys && lets_in_without {
        report.complain(
            &format!("listen[{index}].tls.clients.require"),
            "anybody could connect: whoever shows no certificate is let in",
            "take `require: false` out; tier 2 believes whoever connects to be tier 1",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tier_1_may_have_every_place_from_one_address_unless_it_is_written_otherwise() {
        for (written, meant) in [(None, ANY_PER_ADDRESS), (Some(3), 3)] {
            let limits = LimitsConfig { connections_per_address_max: written, ..LimitsConfig::default() };
            assert_eq!(of_links(limits).connections_per_address_max, Some(meant));
        }
    }
}
