//! How instances are found, as written.
//!
//! In: `discover` and `ttl` of a service. Out: their plans. Refuses: addresses that are none, names that DNS would refuse, a clamp upside down.
//! Never: resolves a name.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::endpoints::ENDPOINTS_MAX;
use crate::plan::discover::{DiscoverPlan, TtlPlan};

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
    /// At the targets of the SRV records of a name: those of the lowest priority, in proportion to their weights; the others when too few of
    /// those are well.
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

impl DiscoverConfig {
    /// Checks this way of discovery at `key`; a path is one of `files`.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<DiscoverPlan> {
        match self {
            Self::Static { addresses } => static_addresses(addresses, key, report).map(DiscoverPlan::Static),
            Self::Dns { name, port } => {
                let name = host_name(name, key, report);
                if *port == 0 {
                    report.complain(&format!("{key}.port"), "0 is no port", "set the port that the instances listen on");
                    return None;
                }
                Some(DiscoverPlan::Dns { name: name?, port: *port })
            }
            Self::Srv { name } => {
                let name = host_name(name, key, report)?;
                // RFC 2782 puts two such labels in front; catalogues that answer SRV for a plain name know none.
                let mut labels = name.split('.').map(|label| label.starts_with('_'));
                if labels.next() == Some(true) && labels.next() != Some(true) {
                    let what = format!("{name:?} begins as the name of SRV records does, but names no protocol");
                    report.complain(&format!("{key}.name"), what, "write _service._proto.domain, as in _http._tcp.orders.example");
                    return None;
                }
                Some(DiscoverPlan::Srv { name })
            }
            Self::Unix { path } if path.is_empty() => {
                report.complain(&format!("{key}.path"), "the path is empty", "set the path of the instance's socket");
                None
            }
            Self::Unix { path } => Some(DiscoverPlan::Unix(files.resolve(path))),
        }
    }
}

impl TtlConfig {
    /// Checks the clamp at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<TtlPlan> {
        let mut demands = Demands::of(key, report);
        demands.that(self.min >= Span::millis(100), "min", "look-ups would follow each other without a pause", "set at least 100ms");
        demands.that(self.min <= self.max, "max", "max is shorter than min", "set max to min or more");
        demands.met().then(|| TtlPlan { min: self.min.get(), max: self.max.get() })
    }
}

fn static_addresses(addresses: &[String], key: &str, report: &mut Report) -> Option<Vec<SocketAddr>> {
    if addresses.is_empty() || addresses.len() > ENDPOINTS_MAX {
        report.complain_of_absence(
            &format!("{key}.addresses"),
            format!("a service has 1 to {ENDPOINTS_MAX} instances, this one {}", addresses.len()),
            "list the instances as IP:PORT",
        );
        return None;
    }
    let mut parsed = Vec::with_capacity(addresses.len());
    for (index, text) in addresses.iter().enumerate() {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => parsed.push(address),
            _ => report.complain(
                &format!("{key}.addresses[{index}]"),
                format!("{text:?} is no address"),
                "write IP:PORT, like 10.0.0.7:8080 or [::1]:8080; for a name use kind: dns",
            ),
        }
    }
    (parsed.len() == addresses.len()).then_some(parsed)
}

/// A DNS name without its final dot. What DNS itself would refuse is complained of; the rest is left to the name service.
fn host_name(name: &str, key: &str, report: &mut Report) -> Option<String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if bare.len() > 253 || !bare.split('.').all(label) {
        report.complain(
            &format!("{key}.name"),
            format!("{name:?} is no DNS name"),
            "write a name of letters, digits, '-' and '_' between dots",
        );
        return None;
    }
    Some(bare.to_ascii_lowercase())
}
