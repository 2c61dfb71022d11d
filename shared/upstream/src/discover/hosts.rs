//! The hosts of SRV targets: looked up beside each other, each for itself.
//!
//! In: the targets, and the addresses that came along with them. Out: their instances; what is known early is told before the rest. Refuses: to let
//! one host that cannot be resolved hold up or push out the others; it keeps the addresses that it had. Never: has more than a fixed number of
//! look-ups under way, or asks for what the answer brought along (RFC 2782, additional section).

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::discover::answer::Answer;
use crate::discover::at_port;
use crate::endpoints::{ENDPOINTS_MAX, Found};
use crate::lookup::{Addresses, Lookup, LookupFault, Target, Targets};

/// Look-ups under way at a time.
const LOOKUPS_MAX: usize = 16;

/// How long is waited before the first part of the instances is told; each further time is twice as long, so that parts are few.
const FIRST_PART: Duration = Duration::from_millis(100);

/// How long the hosts may be looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// One of them. Shorter than the name service's own limit: the next round waits for it.
    pub(crate) one: Duration,
    /// One whose last look-up failed, so that a dead one does not make every round long.
    pub(crate) again: Duration,
    /// All of them; those that were not reached by then count as not resolved for now.
    pub(crate) all: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { one: Duration::from_secs(5), again: Duration::from_secs(2), all: Duration::from_secs(15) }
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

/// How the look-up of one host has ended; `None` where it has not.
type Ended = Option<Result<Addresses, LookupFault>>;

impl Hosts {
    /// The instances at the targets of `answer`. `part` is told those that are known while others are still looked up.
    pub(crate) async fn resolve<L: Lookup>(&mut self, names: &L, answer: Targets, mut part: impl FnMut(Vec<Found>)) -> Answer {
        let Targets { targets, mut ttl, said, additional } = answer;
        let targets = there(targets);
        let hosts: BTreeSet<&str> = targets.iter().map(|target| target.host.as_str()).collect();
        let mut fresh: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for (host, addresses) in additional {
            let known = hosts.iter().find(|wanted| wanted.eq_ignore_ascii_case(host.trim_end_matches('.')));
            if let (Some(host), false) = (known, addresses.is_empty()) {
                fresh.entry((*host).to_owned()).or_default().extend(addresses);
            }
        }
        let missing = hosts.into_iter().filter(|host| !fresh.contains_key(*host));
        let (last, first): (Vec<&str>, Vec<&str>) = missing.partition(|host| self.failed.contains(*host));
        let bound = |host: &str| if self.failed.contains(host) { self.bounds.again } else { self.bounds.one };
        let order: Vec<(&str, Duration)> = first.into_iter().chain(last).map(|host| (host, bound(host))).collect();
        let answers = look_up(names, &order, self.bounds.all, |answers| {
            let mut early = fresh.clone();
            for ((host, _), answer) in order.iter().zip(answers) {
                let addresses = match answer {
                    Some(Ok(answer)) => Some(&answer.addresses),
                    Some(Err(fault)) if fault.definite => None,
                    _ => self.known.get(*host),
                };
                early.extend(addresses.map(|addresses| ((*host).to_owned(), addresses.clone())));
            }
            part(join(&targets, &early));
        })
        .await;
        let mut fault = None;
        let mut failed: BTreeSet<String> = BTreeSet::new();
        for ((host, _), answer) in order.into_iter().zip(answers) {
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
        let found = join(&targets, &self.known);
        match (found.is_empty(), fault) {
            (true, Some(fault)) => Answer::failed(fault),
            _ => Answer { found: Ok(found), ttl, said: Some(said), unanswered: None },
        }
    }
}

/// The targets that are there, best first: a target `.` says that the service is not (RFC 2782).
fn there(mut targets: Vec<Target>) -> Vec<Target> {
    targets.retain(|target| !target.host.is_empty() && target.host != "." && target.port != 0);
    targets.sort_by_key(|target| target.priority);
    targets.truncate(ENDPOINTS_MAX);
    targets
}

/// One instance at each address of each target.
fn join(targets: &[Target], addresses: &BTreeMap<String, Vec<IpAddr>>) -> Vec<Found> {
    let of = |target: &Target| addresses.get(&target.host).map_or(&[][..], Vec::as_slice);
    targets.iter().flat_map(|target| at_port(of(target), target.port, Some(target))).collect()
}

/// One answer per host, in the order of `hosts`, in which they are also asked; `None` for one that was not reached in time. `early` is told how far
/// it has come, a few times, while somebody keeps the others waiting.
async fn look_up<L: Lookup>(names: &L, hosts: &[(&str, Duration)], all: Duration, mut early: impl FnMut(&[Ended])) -> Vec<Ended> {
    let begin = Instant::now();
    let end = begin + all;
    let ask = |(place, (host, bound)): (usize, (&str, Duration))| {
        // A target is a whole name (RFC 2782): a search list must not lead elsewhere.
        let name = format!("{host}.");
        Box::pin(async move {
            let now = Instant::now();
            if now >= end {
                return (place, None);
            }
            let answer = tokio::time::timeout_at(end.min(now + bound), names.addresses(&name)).await;
            (place, Some(answer.unwrap_or(Err(LookupFault::TIMEOUT))))
        })
    };
    let mut answers: Vec<Ended> = vec![None; hosts.len()];
    let mut waiting = hosts.iter().copied().enumerate();
    let mut under_way: Vec<_> = waiting.by_ref().take(LOOKUPS_MAX).map(ask).collect();
    let (mut next_part, mut pause, mut has_news) = (begin + FIRST_PART, FIRST_PART, true);
    while !under_way.is_empty() {
        let ended = poll_fn(|cx| {
            let ready = under_way.iter_mut().enumerate().find_map(|(index, one)| match one.as_mut().poll(cx) {
                Poll::Ready(answer) => Some((index, answer)),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        let (index, (place, answer)) = tokio::select! {
            biased;
            ended = ended => ended,
            () = sleep_until(next_part), if has_news => {
                early(&answers);
                pause *= 2;
                (next_part, has_news) = (Instant::now() + pause, false);
                continue;
            }
        };
        drop(under_way.swap_remove(index));
        if let Some(slot) = answers.get_mut(place) {
            *slot = answer;
        }
        has_news = true;
        under_way.extend(waiting.next().map(ask));
    }
    answers
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
