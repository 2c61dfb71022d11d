//! The hosts of SRV targets: looked up beside each other, each for itself.
//!
//! In: the targets of all priorities. Out: their instances. Refuses: to let one host that cannot be resolved hold up or push out the others;
//! it keeps the addresses that it had. Never: has more than a fixed number of look-ups under way.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::discover::{Answer, at_port};
use crate::endpoints::Found;
use crate::lookup::{Addresses, Lookup, LookupFault, Target};

/// Look-ups under way at a time.
const LOOKUPS_MAX: usize = 16;

/// How long the hosts may be looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// One of them. Shorter than the name service's own limit: the others' answers wait for it.
    pub(crate) one: Duration,
    /// All of them; those that were not reached by then count as not resolved for now.
    pub(crate) all: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { one: Duration::from_secs(5), all: Duration::from_secs(15) }
    }
}

/// What is known of the hosts of one service's SRV targets from one look-up to the next.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    bounds: Bounds,
    /// The last good addresses. One host whose look-up fails must not push its instance out while the others are known.
    known: BTreeMap<String, Vec<IpAddr>>,
    /// Those whose last look-up failed. They are asked after the others, so that the living are reached however many are dead.
    failed: BTreeSet<String>,
}

impl Hosts {
    /// The instances at `targets`, whose own records may be kept for `ttl`.
    pub(crate) async fn resolve<L: Lookup>(&mut self, names: &L, targets: Vec<Target>, mut ttl: Duration) -> Answer {
        let hosts: BTreeSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        let (last, first): (Vec<&str>, Vec<&str>) = hosts.into_iter().partition(|host| self.failed.contains(*host));
        let order: Vec<&str> = first.into_iter().chain(last).collect();
        let answers = look_up(names, &order, self.bounds).await;
        let mut fault = None;
        let mut fresh: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut failed: BTreeSet<String> = BTreeSet::new();
        for (host, answer) in order.into_iter().zip(answers) {
            if answer.as_ref().is_some_and(Result::is_err) {
                failed.insert(host.to_owned());
            }
            let addresses = match answer.unwrap_or(Err(LookupFault::TIMEOUT)) {
                Ok(answer) => {
                    ttl = ttl.min(answer.ttl);
                    answer.addresses
                }
                Err(why) => {
                    // Ask again soon: what is used for this host is old.
                    ttl = Duration::ZERO;
                    let kept = if why.definite { Vec::new() } else { self.known.get(host).cloned().unwrap_or_default() };
                    tracing::debug!(host, code = why.code, kept = kept.len(), "the host of an SRV record was not resolved");
                    fault = Some(why);
                    kept
                }
            };
            fresh.insert(host.to_owned(), addresses);
        }
        (self.known, self.failed) = (fresh, failed);
        let found: Vec<Found> = targets
            .iter()
            .flat_map(|target| at_port(self.known.get(&target.host).map_or(&[][..], Vec::as_slice), target.port, Some(target)))
            .collect();
        match (found.is_empty(), fault) {
            (true, Some(fault)) => (Err(fault), Duration::ZERO),
            _ => (Ok(found), ttl),
        }
    }
}

/// One answer per host, in the order of `hosts`, in which they are also asked; `None` for one that was not reached in time.
async fn look_up<L: Lookup>(names: &L, hosts: &[&str], bounds: Bounds) -> Vec<Option<Result<Addresses, LookupFault>>> {
    let end = Instant::now() + bounds.all;
    let ask = |(place, host)| {
        Box::pin(async move {
            let now = Instant::now();
            if now >= end {
                return (place, None);
            }
            let answer = tokio::time::timeout_at(end.min(now + bounds.one), names.addresses(host)).await;
            (place, Some(answer.unwrap_or(Err(LookupFault::TIMEOUT))))
        })
    };
    let mut answers = vec![None; hosts.len()];
    let mut waiting = hosts.iter().copied().enumerate();
    let mut under_way: Vec<_> = waiting.by_ref().take(LOOKUPS_MAX).map(ask).collect();
    while !under_way.is_empty() {
        let (index, (place, answer)) = poll_fn(|cx| {
            let ready = under_way.iter_mut().enumerate().find_map(|(index, one)| match one.as_mut().poll(cx) {
                Poll::Ready(answer) => Some((index, answer)),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        drop(under_way.swap_remove(index));
        if let Some(slot) = answers.get_mut(place) {
            *slot = answer;
        }
        under_way.extend(waiting.next().map(ask));
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::future::pending;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::lookup::Targets;

    /// Hosts that answer when all that may be asked at a time have been asked, and hosts that never do.
    #[derive(Default)]
    struct Partly {
        dead: Mutex<BTreeSet<String>>,
        addresses: Mutex<HashMap<String, IpAddr>>,
        under_way: AtomicUsize,
        most: AtomicUsize,
    }

    impl Lookup for Partly {
        async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
            if self.dead.lock().expect("lock").contains(name) {
                return pending().await;
            }
            let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            tokio::task::yield_now().await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            let address = self.addresses.lock().expect("lock").get(name).copied();
            address.map(|one| Addresses { addresses: vec![one], ttl: Duration::from_secs(9) }).ok_or(LookupFault::NO_RECORDS)
        }

        async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
            Err(LookupFault::TIMEOUT)
        }
    }

    fn host(index: usize) -> String {
        format!("h{index:04}.demo")
    }

    fn setting(hosts: usize) -> (Partly, Vec<Target>) {
        let names = Partly::default();
        for index in 0..hosts {
            let address = IpAddr::from([10, 0, (index / 256) as u8, (index % 256) as u8]);
            names.addresses.lock().expect("lock").insert(host(index), address);
        }
        let target = |index| Target { priority: 0, weight: 1, port: 80, host: host(index) };
        (names, (0..hosts).map(target).collect())
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(test);
    }

    fn short(one_ms: u64, all_ms: u64) -> Hosts {
        Hosts { bounds: Bounds { one: Duration::from_millis(one_ms), all: Duration::from_millis(all_ms) }, ..Hosts::default() }
    }

    #[test]
    fn many_hosts_are_asked_beside_each_other_up_to_a_ceiling() {
        run(async {
            let (names, targets) = setting(100);
            let (found, ttl) = Hosts::default().resolve(&names, targets, Duration::from_secs(60)).await;
            assert_eq!((found.expect("all").len(), ttl.as_secs()), (100, 9));
            assert_eq!(names.most.load(Ordering::Relaxed), LOOKUPS_MAX);
        });
    }

    #[test]
    fn a_dead_host_keeps_its_address_and_the_others_go_on() {
        run(async {
            let (names, targets) = setting(3);
            let mut hosts = short(30, 10_000);
            names.dead.lock().expect("lock").insert(host(0));
            let (found, ttl) = hosts.resolve(&names, targets.clone(), Duration::from_secs(60)).await;
            assert_eq!((found.expect("the others").len(), ttl), (2, Duration::ZERO), "never known, so nothing to keep");
            names.dead.lock().expect("lock").clear();
            assert_eq!(hosts.resolve(&names, targets.clone(), Duration::ZERO).await.0.expect("all").len(), 3);
            names.dead.lock().expect("lock").insert(host(1));
            names.addresses.lock().expect("lock").insert(host(2), IpAddr::from([10, 9, 9, 9]));
            let found = hosts.resolve(&names, targets, Duration::ZERO).await.0.expect("all");
            let addresses: Vec<String> = found.iter().map(|one| one.address.to_string()).collect();
            assert_eq!(addresses, ["10.0.0.0:80", "10.0.0.1:80", "10.9.9.9:80"]);
        });
    }

    #[test]
    fn more_dead_hosts_than_time_do_not_keep_the_living_from_being_asked_next_time() {
        run(async {
            let (names, targets) = setting(LOOKUPS_MAX + 1);
            names.dead.lock().expect("lock").extend((0..LOOKUPS_MAX).map(host));
            let mut hosts = short(10_000, 30);
            // The dead ones come first in the alphabet and take all places until the end.
            assert_eq!(hosts.resolve(&names, targets.clone(), Duration::ZERO).await.0, Err(LookupFault::TIMEOUT));
            let found = hosts.resolve(&names, targets, Duration::ZERO).await.0.expect("the living one");
            assert_eq!(found.len(), 1);
        });
    }

    #[test]
    fn when_all_are_dead_that_is_told() {
        run(async {
            let (names, targets) = setting(2);
            names.dead.lock().expect("lock").extend([host(0), host(1)]);
            assert_eq!(short(20, 10_000).resolve(&names, targets, Duration::ZERO).await.0, Err(LookupFault::TIMEOUT));
        });
    }
}
