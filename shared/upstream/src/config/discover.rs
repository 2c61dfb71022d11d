//! How instances are found, as written.
//!
//! In: `discover` and `ttl` of a service. Out: their plans. Refuses: addresses that are none, names that DNS would refuse, a clamp upside down.
//! Never: resolves a name.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::config::entries::Entries;
use crate::plan::discover::{DiscoverPlan, TtlPlan};

/// How the instances of a service are found.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DiscoverConfig {
    /// At these addresses.
    Static {
        /// `IP:PORT` each, or `{ address, weight, priority }`.
        addresses: Entries,
    },
    /// At every A and AAAA address of a name.
    Dns {
        /// The name.
        name: String,
        /// The port of all of them.
        port: u16,
    },
    /// At the targets of the SRV records of a name, in proportion to their weights; priorities are tiers of failover (RFC 2782).
    Srv {
        /// `_service._proto.domain`.
        name: String,
    },
    /// At the addresses that a file lists; its change needs no reload.
    File {
        /// Its path, relative to the configuration file. YAML or JSON: a list of `IP:PORT` or `{ address, weight, priority }`.
        path: String,
    },
    /// At a Unix socket on this host.
    Unix {
        /// Its path, relative to the configuration file.
        path: String,
    },
}

/// The longest of the times for which something is kept that is no longer so.
const KEPT_MAX: Span = Span::secs(7 * 24 * 3600);

/// How long answers of discovery hold: the clamp around the time to live of DNS answers, also around the pause after a failed look-up, and how long
/// what was known before is kept.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TtlConfig {
    /// The shortest time between two look-ups.
    pub min: Span,
    /// The longest time between two look-ups.
    pub max: Span,
    /// How long an instance stays that an answer no longer names; it gets nothing while another one may answer. 0 lets it go at once.
    pub hold: Span,
    /// How long the last good answer stays while the name service says for certain that there is nothing. Then the service has no instances.
    pub absent: Span,
    /// How long the last good answer stays while there is no answer; without limit where this is not set.
    pub unanswered: Option<Span>,
}

impl Default for TtlConfig {
    fn default() -> Self {
        Self { min: Span::secs(1), max: Span::secs(5), hold: Span::secs(5), absent: Span::secs(60), unanswered: None }
    }
}

impl DiscoverConfig {
    /// Checks this way of discovery at `key`; a path is one of `files`.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<DiscoverPlan> {
        match self {
            Self::Static { addresses } => addresses.check_some(&format!("{key}.addresses"), report).map(DiscoverPlan::Static),
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
            Self::File { path } if path.is_empty() => {
                report.complain(&format!("{key}.path"), "the path is empty", "set the path of the file that lists the instances");
                None
            }
            Self::File { path } => Some(DiscoverPlan::File { path: files.resolve(path), within: None }),
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
        for (part, span) in [("hold", Some(self.hold)), ("absent", Some(self.absent)), ("unanswered", self.unanswered)] {
            let what = "instances that are long gone would be asked for answers";
            demands.that(span.is_none_or(|span| span <= KEPT_MAX), part, what, "set at most 168h");
        }
        demands.met().then(|| TtlPlan {
            min: self.min.get(),
            max: self.max.get(),
            hold: self.hold.get(),
            absent: self.absent.get(),
            unanswered: self.unanswered.map(Span::get),
        })
    }
}

/// A DNS name. A final dot says that it is a whole name, to which no search domain is added, and stays. What DNS itself would refuse is complained of; the rest is left to the name service.
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
    Some(name.to_ascii_lowercase())
}
