//! Keeps the instances of one service fresh, on the control runtime.
//!
//! In: a plan that names a DNS name. Out: what each look-up found, told to the service. Never: runs on a worker, keeps a dropped service alive,
//! asks more often than the clamp allows.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::endpoint::Address;
use crate::endpoints::{ENDPOINTS_MAX, Found};
use crate::hosts::Hosts;
use crate::instances::{Instances, Terms};
use crate::lookup::{Lookup, LookupFault, Target};
use crate::plan::discover::DiscoverPlan;

/// The longest time for the look-up of the service's own name; the name service has shorter limits of its own. What SRV leads to: `hosts`.
const LOOKUP_MAX: Duration = Duration::from_secs(15);

/// What one look-up came to: the instances or a fault, and how long the answer may be kept (no time at all after a fault).
pub(crate) type Answer = (Result<Vec<Found>, LookupFault>, Duration);

/// Looks the instances up again and again, until they are dropped.
pub(crate) async fn keep_fresh<L: Lookup>(instances: Weak<Instances>, names: Arc<L>, mut terms: watch::Receiver<Terms>) {
    let mut hosts = Hosts::default();
    loop {
        let Some(discover) = instances.upgrade().map(|instances| instances.discover().clone()) else { return };
        let (answer, ttl) = tokio::select! {
            answer = ask(&discover, &*names, &mut hosts) => answer,
            () = dropped(&mut terms) => return,
        };
        match instances.upgrade() {
            Some(instances) => instances.learn(answer),
            None => return,
        }
        if !rest(ttl, &mut terms).await {
            return;
        }
    }
}

/// Returns when the instances have been dropped.
async fn dropped(terms: &mut watch::Receiver<Terms>) {
    while terms.changed().await.is_ok() {}
}

/// Waits until the next look-up is due by the terms that hold then; `false` when the instances were dropped meanwhile.
async fn rest(ttl: Duration, terms: &mut watch::Receiver<Terms>) -> bool {
    let (begun, random) = (Instant::now(), rand::random());
    loop {
        let Terms { ttl: clamp, .. } = *terms.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep_until(begun + pause(ttl, clamp.min, clamp.max, random)) => return true,
            changed = terms.changed() => if changed.is_err() {
                return false;
            },
        }
    }
}

/// The time until the next look-up: the time to live inside the clamp, and up to a tenth more or less, so that replicas do not ask in step.
fn pause(ttl: Duration, min: Duration, max: Duration, random: u32) -> Duration {
    let part = f64::from(random) / f64::from(u32::MAX);
    ttl.clamp(min, max).mul_f64(0.9 + 0.2 * part)
}

async fn ask<L: Lookup>(discover: &DiscoverPlan, names: &L, hosts: &mut Hosts) -> Answer {
    match discover {
        DiscoverPlan::Dns { name, port } => match in_time(names.addresses(name)).await {
            Ok(answer) => (Ok(at_port(&answer.addresses, *port, None).collect()), answer.ttl),
            Err(fault) => (Err(fault), Duration::ZERO),
        },
        DiscoverPlan::Srv { name } => match in_time(names.targets(name)).await {
            Ok(answer) => hosts.resolve(names, there(answer.targets), answer.ttl).await,
            Err(fault) => (Err(fault), Duration::ZERO),
        },
        DiscoverPlan::Static(_) | DiscoverPlan::Unix(_) => (Err(LookupFault::NO_RECORDS), Duration::ZERO),
    }
}

async fn in_time<T>(look_up: impl Future<Output = Result<T, LookupFault>>) -> Result<T, LookupFault> {
    tokio::time::timeout(LOOKUP_MAX, look_up).await.unwrap_or(Err(LookupFault::TIMEOUT))
}

/// The targets, those of the lowest priority first (RFC 2782). A target `.` says that the service is not there, and counts as none.
fn there(mut targets: Vec<Target>) -> Vec<Target> {
    targets.retain(|target| !target.host.is_empty() && target.host != ".");
    targets.sort_by_key(|target| target.priority);
    targets.truncate(ENDPOINTS_MAX);
    targets
}

/// One instance at each address.
pub(crate) fn at_port<'a>(addresses: &'a [IpAddr], port: u16, target: Option<&'a Target>) -> impl Iterator<Item = Found> + 'a {
    addresses.iter().map(move |address| Found {
        address: Address::Tcp(SocketAddr::new(*address, port)),
        host: target.map(|target| target.host.as_str().into()),
        weight: target.map_or(0, |target| target.weight),
        priority: target.map_or(0, |target| target.priority),
    })
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
