//! From a service as written to a service as meant.
//!
//! In: the configuration. Out: a `ServicePlan`. Refuses, all at once and each with its key and a remedy: addresses that are none, a service
//! without instances, ceilings of zero, clamps upside down. Never: resolves a name.

use std::net::SocketAddr;

use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::config::{DiscoverConfig, HealthConfig, ServiceConfig};
use crate::endpoints::ENDPOINTS_MAX;
use crate::plan::{BudgetPlan, DiscoverPlan, HealthPlan, PoolPlan, ProbePlan, ServicePlan};

/// More attempts than this help nobody: they only make an outage longer.
const ATTEMPTS_MAX: u32 = 8;

/// The largest reserve of a retry budget.
const REPEATS_PER_SECOND_MAX: u32 = 1_000;

/// The longest pause between two checks: the time for which a replica that leaves goes on accepting, where its `drain.wait` says nothing else.
const CHECKS_EVERY_MAX: Span = Span::secs(5);

impl ServiceConfig {
    /// Checks the service at `key` (`services.NAME`, or a lone name); `files` are those of the configuration.
    ///
    /// Every complaint goes to `report`; `None` when there was one.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<ServicePlan> {
        // What follows the first dot, for the name may hold dots itself.
        let name = key.split_once('.').map_or(key, |(_, name)| name);
        let name = lawful_name(name, key, report);
        let discover = self.discover.check(&format!("{key}.discover"), files, report);
        let tls = match &self.tls {
            None => Some(None),
            Some(tls) => tls.check(&format!("{key}.tls"), files, discover.as_ref(), report).map(Some),
        };
        let numbers = self.check_numbers(key, report);
        let (name, discover, tls, ()) = (name?, discover?, tls?, numbers?);
        Some(ServicePlan {
            name: name.into(),
            discover,
            balance: self.balance,
            tls,
            ttl_min: self.ttl.min.get(),
            ttl_max: self.ttl.max.get(),
            connect: self.timeouts.connect.get(),
            first_byte: self.timeouts.first_byte.map(Span::get),
            upload_idle: self.timeouts.upload_idle.get(),
            idle: self.timeouts.idle.get(),
            pool: PoolPlan {
                idle_max: self.pool.idle_max,
                connections_max: self.pool.connections_max,
                idle: self.pool.idle.get(),
                age: self.pool.age.get(),
            },
            attempts_max: self.retries.attempts_max,
            budget: BudgetPlan { percent: self.retries.budget_percent, per_second_min: self.retries.per_second_min },
            health: None,
        })
    }

    fn check_numbers(&self, key: &str, report: &mut Report) -> Option<()> {
        let mut sound = true;
        let mut demand = |holds: bool, part: &str, what: &str, remedy: &str| {
            if !holds {
                report.complain(&format!("{key}.{part}"), what, remedy);
                sound = false;
            }
        };
        let (ttl, timeouts, pool) = (&self.ttl, &self.timeouts, &self.pool);
        let zero = Span::default();
        demand(ttl.min >= Span::millis(100), "ttl.min", "look-ups would follow each other without a pause", "set at least 100ms");
        demand(ttl.min <= ttl.max, "ttl.max", "max is shorter than min", "set max to min or more");
        demand(timeouts.connect > zero, "timeouts.connect", "no connection can be made in no time", "set a time above 0");
        demand(
            timeouts.first_byte != Some(zero),
            "timeouts.first_byte",
            "no instance answers in no time",
            "set a time above 0, or null for none",
        );
        demand(timeouts.upload_idle > zero, "timeouts.upload_idle", "every upload that pauses would be cut off", "set a time above 0");
        demand(timeouts.idle > zero, "timeouts.idle", "every answer would be cut off", "set a time above 0");
        demand(pool.connections_max > 0, "pool.connections_max", "0 connections let no request through", "set at least 1");
        demand(pool.age > zero, "pool.age", "no connection could be used", "set a time above 0");
        let attempts = (1..=ATTEMPTS_MAX).contains(&self.retries.attempts_max);
        demand(attempts, "retries.attempts_max", "the number of attempts is out of range", "set 1 (no retries) to 8");
        let retries = &self.retries;
        let what = "the share of repeats is out of range";
        demand(retries.budget_percent <= 100, "retries.budget_percent", what, "set 0 (none but the reserve) to 100");
        let what = "a reserve of so many repeats is no bound";
        demand(retries.per_second_min <= REPEATS_PER_SECOND_MAX, "retries.per_second_min", what, "set 0 (no reserve) to 1000");
        sound.then_some(())
    }
}

impl HealthConfig {
    /// Checks the active checks at `key`; every complaint goes to `report`.
    pub fn check(&self, key: &str, probe: ProbePlan, report: &mut Report) -> Option<HealthPlan> {
        let mut sound = true;
        let mut demand = |holds: bool, part: &str, what: &str, remedy: &str| {
            if !holds {
                report.complain(&format!("{key}.{part}"), what, remedy);
                sound = false;
            }
        };
        demand(self.every >= Span::millis(100), "every", "checks would follow each other without a pause", "set at least 100ms");
        let what = "a replica that leaves would be gone before it was asked";
        demand(self.every <= CHECKS_EVERY_MAX, "every", what, "set at most 5s, and with timeout less than drain.wait of routing-gw");
        demand(self.timeout > Span::default(), "timeout", "no instance answers in no time", "set a time above 0");
        demand(self.unhealthy_threshold > 0, "unhealthy_threshold", "an instance would be unhealthy without a check", "set at least 1");
        demand(self.healthy_threshold > 0, "healthy_threshold", "an instance would be healthy without a check", "set at least 1");
        sound.then(|| HealthPlan {
            probe,
            every: self.every.get(),
            timeout: self.timeout.get(),
            unhealthy_threshold: self.unhealthy_threshold,
            healthy_threshold: self.healthy_threshold,
        })
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

/// Bytes of a service's name at most.
const NAME_BYTES_MAX: usize = 128;

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

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
