//! The hosts of SRV targets: looked up beside each other, each for itself.
//!
//! In: the targets, and the addresses that came along with them. Out: their instances; what is known early is told before the rest. Refuses: to let
//! one host that cannot be resolved hold up or push out the others; it keeps the addresses that it had. Never: has more than a fixed number of
//! look-ups under way, or asks for a family of addresses that the answer brought along (RFC 2782, additional section).

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use wire::resolver::families::Family;

use crate::discover::answer::Answer;
use crate::discover::at_port;
use crate::endpoint::Address;
use crate::endpoints::{ENDPOINTS_MAX, EndpointSet, Found};
use crate::lookup::{Addresses, Lookup, LookupFault, Target, Targets, Unanswered};

/// Look-ups under way at a time.
const LOOKUPS_MAX: usize = 16;

/// How long is waited before the first part of the instances is told; each further time is twice as long, so that parts are few.
const FIRST_PART: Duration = Duration::from_millis(100);

/// How long the hosts may be looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// One of them. Shorter than the name service's own limit: the next round waits for it.
    pub(crate) one: Duration,
    /// The family that did not come along with the answer, where the other one did.
    pub(crate) family: Duration,
    /// One whose last look-up failed, so that a dead one does not make every round long.
    pub(crate) again: Duration,
    /// All of them; those that were not reached by then count as not resolved for now.
    pub(crate) all: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { one: Duration::from_secs(5), family: Duration::from_secs(1), again: Duration::from_secs(2), all: Duration::from_secs(15) }
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

/// What is asked about one host.
#[derive(Clone, Copy, Debug)]
struct Question<'a> {
    host: &'a str,
    /// The family that did not come along, where the other one did.
    family: Option<Family>,
    /// How long it may take.
    bound: Duration,
}

/// How the look-up of one host has ended; `None` where it has not.
type Ended = Option<Result<Addresses, LookupFault>>;

impl Hosts {
    /// Knows what is in use now, however it was found: whoever takes instances over has not forgotten their addresses.
    pub(crate) fn of(set: &EndpointSet) -> Self {
        let mut hosts = Self::default();
        for found in set.found().iter().filter(|found| !set.held().contains(found)) {
            if let (Some(host), Address::Tcp(socket)) = (&found.host, &found.address) {
                hosts.known.entry(host.to_string()).or_default().push(socket.ip());
            }
        }
        hosts
    }

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
        let questions = self.questions(hosts, &fresh);
        let answers = look_up(names, &questions, self.bounds.all, |answers| {
            let mut early = fresh.clone();
            for (question, answer) in questions.iter().zip(answers) {
                early.entry(question.host.to_owned()).or_default().extend(self.beside(question, answer.as_ref()));
            }
            part(join(&targets, &early));
        })
        .await;
        let (mut fault, mut unanswered) = (None::<LookupFault>, None);
        let mut failed: BTreeSet<String> = BTreeSet::new();
        for (question, answer) in questions.iter().zip(answers) {
            let Question { host, family, .. } = *question;
            let addresses = self.beside(question, answer.as_ref());
            if answer.as_ref().is_some_and(|answer| answer.as_ref().is_err_and(|why| family.is_none() || !why.definite)) {
                failed.insert(host.to_owned());
            }
            match (answer.unwrap_or(Err(LookupFault::TIMEOUT)), family) {
                (Ok(answer), _) => {
                    // What is kept of the other family is old: ask again soon.
                    let is_old = answer.unanswered.is_some() && addresses.len() > answer.addresses.len();
                    ttl = if is_old { Duration::ZERO } else { ttl.min(answer.ttl) };
                    unanswered = unanswered.or(answer.unanswered);
                }
                // The other family came along, and this is all.
                (Err(why), Some(_)) if why.definite => {}
                (Err(why), family) => {
                    // Ask again soon: what is used for this host is old.
                    if family.is_none() || !addresses.is_empty() {
                        ttl = Duration::ZERO;
                    }
                    tracing::debug!(host, code = why.code, kept = addresses.len(), "the host of an SRV record was not resolved");
                    match family {
                        Some(family) => unanswered = unanswered.or(Some(Unanswered { family, fault: why })),
                        // One host of which nobody said anything makes the whole no certain no.
                        None => fault = fault.filter(|known| !known.definite).or(Some(why)),
                    }
                }
            }
            fresh.entry(host.to_owned()).or_default().extend(addresses);
        }
        (self.known, self.failed) = (fresh, failed);
        let found = join(&targets, &self.known);
        match (found.is_empty(), fault) {
            (true, Some(fault)) => Answer::failed(fault),
            _ => Answer { found: Ok(found), ttl, said: Some(said), unanswered },
        }
    }

    /// What has to be asked beside the addresses that `came` along, those last whose last look-up failed.
    fn questions<'a>(&self, hosts: BTreeSet<&'a str>, came: &BTreeMap<String, Vec<IpAddr>>) -> Vec<Question<'a>> {
        let question = |host: &'a str| {
            let bound = if self.failed.contains(host) { self.bounds.again } else { self.bounds.one };
            let Some(came) = came.get(host) else { return Some(Question { host, family: None, bound }) };
            // A server adds what it has at hand: a family that it left out may be there all the same.
            let family =
                [Family::Four, Family::Six].into_iter().find(|family| !came.iter().any(|address| Family::of(address) == *family))?;
            Some(Question { host, family: Some(family), bound: bound.min(self.bounds.family) })
        };
        let (last, first): (Vec<_>, Vec<_>) =
            hosts.into_iter().filter_map(question).partition(|question| self.failed.contains(question.host));
        first.into_iter().chain(last).collect()
    }

    /// The addresses that the answer to a question leads to, be they new or, where nobody said anything, those of before.
    fn beside(&self, question: &Question<'_>, answer: Option<&Result<Addresses, LookupFault>>) -> Vec<IpAddr> {
        let known = |family: Option<Family>| {
            let all = self.known.get(question.host).map_or(&[][..], Vec::as_slice);
            all.iter().copied().filter(move |address| family.is_none_or(|family| Family::of(address) == family))
        };
        match answer {
            Some(Ok(answer)) => {
                let kept = answer.unanswered.into_iter().flat_map(|unanswered| known(Some(unanswered.family)));
                answer.addresses.iter().copied().chain(kept).collect()
            }
            Some(Err(fault)) if fault.definite => Vec::new(),
            _ => known(question.family).collect(),
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

/// One answer per host, in the order of `questions`, in which they are also asked; `None` for one that was not reached in time. `early` is told how far
/// it has come, a few times, while somebody keeps the others waiting.
async fn look_up<L: Lookup>(names: &L, questions: &[Question<'_>], all: Duration, mut early: impl FnMut(&[Ended])) -> Vec<Ended> {
    let begin = Instant::now();
    let end = begin + all;
    let ask = |(place, question): (usize, Question<'_>)| {
        // A target is a whole name (RFC 2782): a search list must not lead elsewhere.
        let (name, family, bound) = (format!("{}.", question.host), question.family, question.bound);
        Box::pin(async move {
            let now = Instant::now();
            if now >= end {
                return (place, None);
            }
            let answer = async {
                match family {
                    None => names.addresses(&name).await,
                    Some(family) => names.addresses_in(&name, family).await,
                }
            };
            let answer = tokio::time::timeout_at(end.min(now + bound), answer).await;
            (place, Some(answer.unwrap_or(Err(LookupFault::TIMEOUT))))
        })
    };
    let mut answers: Vec<Ended> = vec![None; questions.len()];
    let mut waiting = questions.iter().copied().enumerate();
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
