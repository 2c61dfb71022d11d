//! Active checks of a service's instances, as written.
//!
//! In: `health` of a service. Out: its plan. Refuses: paths, hosts and statuses that are none, a port of a Unix socket. Never: asks anybody.

use std::ops::RangeInclusive;

use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::discover::DiscoverPlan;
use crate::plan::health::{GrpcProbePlan, HealthPlan, HttpProbePlan, ProbePlan};

/// The longest pause between two checks: what is asked less often is found out by requests first.
const CHECKS_EVERY_MAX: Span = Span::secs(600);

/// Bytes of the name of a gRPC service at most.
const SERVICE_BYTES_MAX: usize = 256;

/// Active checks of a service: each instance is asked how it does, and one that does not do well gets nothing while another one does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceHealthConfig {
    /// What each instance is asked.
    pub probe: ProbeConfig,
    /// The pause between two checks of one instance, give or take a tenth.
    #[serde(default = "every")]
    pub every: Span,
    /// How long one check may take, connection included.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// So many failed checks in a row make an instance unhealthy.
    #[serde(default = "unhealthy_threshold")]
    pub unhealthy_threshold: u32,
    /// So many good checks in a row make it healthy again.
    #[serde(default = "healthy_threshold")]
    pub healthy_threshold: u32,
}

/// What each instance is asked, over a connection of its own, with the service's TLS where it has any.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ProbeConfig {
    /// A `GET`, by the status of its answer.
    Http {
        /// What to get: a path, with a query if need be.
        path: String,
        /// The `Host`; by default the name or the address of the instance.
        #[serde(default)]
        host: Option<String>,
        /// The statuses of an instance that is well: `200` or `"200-299"` each; by default 200 to 299.
        #[serde(default)]
        expect: Vec<StatusConfig>,
        /// The port to connect to; by default the instance's own.
        #[serde(default)]
        port: Option<u16>,
        /// Whether to ask in HTTP/2.
        #[serde(default)]
        http2: bool,
    },
    /// Whether it takes connections.
    Tcp {
        /// The port to connect to; by default the instance's own.
        #[serde(default)]
        port: Option<u16>,
    },
    /// `grpc.health.v1.Health/Check`, in HTTP/2; well is who answers SERVING.
    Grpc {
        /// The service to ask for; by default the server as a whole.
        #[serde(default)]
        service: String,
        /// The `:authority`; by default the name or the address of the instance.
        #[serde(default)]
        host: Option<String>,
        /// The port to connect to; by default the instance's own.
        #[serde(default)]
        port: Option<u16>,
    },
}

/// One status, or a range of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusConfig {
    /// This one.
    One(u16),
    /// `200-299`.
    Range(String),
}

fn every() -> Span {
    Span::secs(5)
}

fn timeout() -> Span {
    Span::secs(2)
}

fn unhealthy_threshold() -> u32 {
    3
}

fn healthy_threshold() -> u32 {
    2
}

impl ServiceHealthConfig {
    /// Checks the active checks at `key`; every complaint goes to `report`.
    pub fn check(&self, key: &str, discover: Option<&DiscoverPlan>, report: &mut Report) -> Option<HealthPlan> {
        let probe = self.probe.check(&format!("{key}.probe"), discover, report);
        let mut demands = Demands::of(key, report);
        demands.that(self.every >= Span::millis(100), "every", "checks would follow each other without a pause", "set at least 100ms");
        let what = "requests find out sooner than checks that are so rare";
        demands.that(self.every <= CHECKS_EVERY_MAX, "every", what, "set at most 10m");
        demands.that(self.timeout > Span::default(), "timeout", "no instance answers in no time", "set a time above 0");
        let what = "an instance would be unhealthy without a check";
        demands.that(self.unhealthy_threshold > 0, "unhealthy_threshold", what, "set at least 1");
        let what = "an instance would be healthy without a check";
        demands.that(self.healthy_threshold > 0, "healthy_threshold", what, "set at least 1");
        if !demands.met() {
            return None;
        }
        Some(HealthPlan {
            probe: probe?,
            every: self.every.get(),
            timeout: self.timeout.get(),
            unhealthy_threshold: self.unhealthy_threshold,
            healthy_threshold: self.healthy_threshold,
        })
    }
}

impl ProbeConfig {
    fn check(&self, key: &str, discover: Option<&DiscoverPlan>, report: &mut Report) -> Option<ProbePlan> {
        let (Self::Http { port, .. } | Self::Tcp { port } | Self::Grpc { port, .. }) = self;
        let before = report.complaints().len();
        if *port == Some(0) {
            report.complain(&format!("{key}.port"), "0 is no port", "set the port that answers checks, or leave it out");
        }
        if port.is_some() && matches!(discover, Some(DiscoverPlan::Unix(_))) {
            report.complain(&format!("{key}.port"), "a Unix socket has no port", "leave it out: the socket itself is asked");
        }
        let plan = match self {
            Self::Http { path, host, expect, port, http2 } => {
                let path = lawful_path(path, &format!("{key}.path"), report);
                let host = lawful_host(host.as_deref(), &format!("{key}.host"), report);
                let expect = statuses(expect, &format!("{key}.expect"), report);
                ProbePlan::Http(HttpProbePlan { path: path?, host, expect, port: *port, http2: *http2 })
            }
            Self::Tcp { port } => ProbePlan::Tcp { port: *port },
            Self::Grpc { service, host, port } => {
                if service.len() > SERVICE_BYTES_MAX {
                    report.complain(&format!("{key}.service"), "no service has so long a name", "write `package.Service`");
                }
                let host = lawful_host(host.as_deref(), &format!("{key}.host"), report);
                ProbePlan::Grpc(GrpcProbePlan { service: service.as_str().into(), host, port: *port })
            }
        };
        (report.complaints().len() == before).then_some(plan)
    }
}

fn lawful_path(path: &str, key: &str, report: &mut Report) -> Option<PathAndQuery> {
    let lawful = path.starts_with('/').then(|| path.parse().ok()).flatten();
    if lawful.is_none() {
        report.complain(key, format!("{path:.80?} is no path"), "write one that begins with `/`, such as `/healthz`");
    }
    lawful
}

fn lawful_host(host: Option<&str>, key: &str, report: &mut Report) -> Option<HeaderValue> {
    let host = host?;
    let lawful = host.parse::<Authority>().ok().filter(|authority| !authority.as_str().contains('@'));
    let lawful = lawful.and_then(|_| HeaderValue::from_str(host).ok());
    if lawful.is_none() {
        report.complain(key, format!("{host:.80?} is no host"), "write a name or an address, with a port if need be");
    }
    lawful
}

/// The ranges of lawful statuses; those of success where nothing is written.
fn statuses(written: &[StatusConfig], key: &str, report: &mut Report) -> Vec<RangeInclusive<u16>> {
    if written.is_empty() {
        return vec![200..=299];
    }
    let mut ranges = Vec::with_capacity(written.len());
    for (index, one) in written.iter().enumerate() {
        let range = match one {
            StatusConfig::One(status) => Some(*status..=*status),
            StatusConfig::Range(text) => range(text),
        };
        let lawful = |range: &RangeInclusive<u16>| StatusCode::from_u16(*range.start()).is_ok() && (200..600).contains(range.end());
        match range.filter(|range| lawful(range) && *range.start() >= 200 && range.start() <= range.end()) {
            Some(range) => ranges.push(range),
            None => {
                report.complain(&format!("{key}[{index}]"), "no answer ends with such a status", "write one from 200 to 599, or `200-299`");
            }
        }
    }
    ranges
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
}
