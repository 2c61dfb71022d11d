//! Keeps the instances of one service fresh, on the control runtime.
//!
//! In: a plan that names a DNS name or a file. Out: what each look-up found, told to the service. Never: runs on a worker, keeps a dropped service
//! alive, asks more often than the clamp allows.
//!
//! `mod` asks in time → `hosts` (what SRV leads to) or `file` → `learn` (what the answer does) → `roster` (who may be asked now), `keeping` (how long
//! what is known stays without an answer), `generation` (what has changed, for operators) → `farewell` (the end of a removed instance).

pub(crate) mod answer;
pub(crate) mod farewell;
pub(crate) mod file;
pub mod generation;
mod hosts;
pub(crate) mod keeping;
pub(crate) mod learn;
pub(crate) mod roster;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::discover::answer::Answer;
use crate::discover::hosts::Hosts;
use crate::endpoint::Address;
use crate::endpoints::Found;
use crate::instances::{Instances, Terms};
use crate::lookup::{Lookup, LookupFault, Target};
use crate::plan::discover::{DiscoverPlan, TtlPlan};

/// The longest time for the look-up of the service's own name; the name service has shorter limits of its own. What SRV leads to: `hosts`.
const LOOKUP_MAX: Duration = Duration::from_secs(15);
/// A change of DNS is seen within its time to live, or the clamp, and two seconds: this is half of them, the rest is for the look-up.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Looks the instances up again and again, until they are dropped.
pub(crate) async fn keep_fresh<L: Lookup>(instances: Weak<Instances>, names: Arc<L>, mut terms: watch::Receiver<Terms>) {
    let Some(mut hosts) = instances.upgrade().map(|instances| Hosts::of(instances.set().load_full().as_ref())) else { return };
    loop {
        let Some(discover) = instances.upgrade().map(|instances| instances.discover().clone()) else { return };
        let asked = ask(&discover, &*names, &mut hosts, &instances);
        let Some(answer) = meanwhile(&instances, &mut terms, asked).await else { return };
        let ttl = answer.ttl;
        match instances.upgrade() {
            Some(instances) => instances.learn_answer(answer),
            None => return,
        }
        if !rest(ttl, &instances, &mut terms).await {
            return;
        }
    }
}

/// Does `work` while what has a term comes to its end; `None` when the instances were dropped meanwhile.
pub(crate) async fn meanwhile<T>(
    instances: &Weak<Instances>,
    terms: &mut watch::Receiver<Terms>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let end = instances.upgrade()?.expire();
        tokio::select! {
            done = &mut work => return Some(done),
            changed = terms.changed() => changed.ok()?,
            () = at(end) => {}
        }
    }
}

/// Waits until the next look-up is due by the terms that hold then; `false` when the instances were dropped meanwhile.
async fn rest(ttl: Duration, instances: &Weak<Instances>, terms: &mut watch::Receiver<Terms>) -> bool {
    let random = rand::random();
    rest_for(|clamp| pause(ttl, clamp.min, clamp.max, random), instances, terms).await
}

/// Waits for as long as `long` makes of the terms, from now on and by those that hold then; `false` when the instances were dropped meanwhile.
pub(crate) async fn rest_for(long: impl Fn(&TtlPlan) -> Duration, instances: &Weak<Instances>, terms: &mut watch::Receiver<Terms>) -> bool {
    let begun = Instant::now();
    loop {
        let clamp = terms.borrow_and_update().ttl;
        let Some(end) = instances.upgrade().map(|instances| instances.expire()) else { return false };
        tokio::select! {
            () = sleep_until(begun + long(&clamp)) => return true,
            changed = terms.changed() => if changed.is_err() {
                return false;
            },
            () = at(end) => {}
        }
    }
}

/// Returns at that moment; never where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The time until the next look-up: the time to live inside the clamp, and up to a tenth more or less, so that replicas do not ask in step, but
/// never so much more that a change would come late.
fn pause(ttl: Duration, min: Duration, max: Duration, random: u32) -> Duration {
    let part = f64::from(random) / f64::from(u32::MAX);
    let due = ttl.clamp(min, max);
    due.mul_f64(0.9 + 0.2 * part).min(due + LATE_MAX)
}

async fn ask<L: Lookup>(discover: &DiscoverPlan, names: &L, hosts: &mut Hosts, instances: &Weak<Instances>) -> Answer {
    match discover {
        DiscoverPlan::Dns { name, port } => match in_time(names.addresses(name)).await {
            Ok(answer) => Answer {
                found: Ok(at_port(&answer.addresses, *port, None).collect()),
                ttl: answer.ttl,
                said: Some(answer.said),
                unanswered: answer.unanswered,
            },
            Err(fault) => Answer::failed(fault),
        },
        DiscoverPlan::Srv { name } => match in_time(names.targets(name)).await {
            Ok(answer) => {
                let said = answer.said.clone();
                let part = |found| {
                    if let Some(instances) = instances.upgrade() {
                        instances.learn_part(found, said.clone());
                    }
                };
                hosts.resolve(names, answer, part).await
            }
            Err(fault) => Answer::failed(fault),
        },
        DiscoverPlan::Static(_) | DiscoverPlan::File { .. } | DiscoverPlan::Unix(_) => Answer::failed(LookupFault::NO_RECORDS),
    }
}

async fn in_time<T>(look_up: impl Future<Output = Result<T, LookupFault>>) -> Result<T, LookupFault> {
    tokio::time::timeout(LOOKUP_MAX, look_up).await.unwrap_or(Err(LookupFault::TIMEOUT))
}

/// One instance at each address; `target` is the SRV record that led there.
fn at_port<'a>(addresses: &'a [IpAddr], port: u16, target: Option<&'a Target>) -> impl Iterator<Item = Found> + 'a {
    addresses.iter().map(move |address| Found {
        address: Address::Tcp(SocketAddr::new(*address, port)),
        host: target.map(|target| target.host.as_str().into()),
        weight: target.map_or(0, |target| target.weight),
        priority: target.map_or(0, |target| target.priority),
    })
}

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
