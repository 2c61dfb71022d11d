//! What answers do to the instances of a service: which generation follows, who is held, who leaves, what is told to operators.
//!
//! In: answers, parts of answers, failures, and the time. Out: the next generation where something has changed, with its provenance. Refuses: an
//! empty answer, for as long as `keeping` says. Never: asks anybody, or runs on a worker.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::resolver::families::Family;

use crate::discover::answer::Answer;
use crate::discover::generation::{Generation, Why, Word};
use crate::discover::keeping::Keeping;
use crate::discover::roster::Roster;
use crate::endpoint::Endpoint;
use crate::endpoints::{ENDPOINTS_MAX, EndpointSet, Found};
use crate::instances::Instances;
use crate::lookup::{LookupFault, Provenance, Unanswered};
use crate::moment;
use crate::plan::discover::{DiscoverPlan, TtlPlan};

/// What discovery has heard so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learning {
    roster: Roster,
    keeping: Keeping,
    news: News,
    /// Whether all of an answer is in use, and not only the first parts of one.
    is_whole: bool,
}

/// What discovery last heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// The last good answer, in Unix milliseconds.
    pub(crate) refreshed_at_ms: Option<u64>,
    /// Why there is no newer one, and since when.
    pub(crate) failure: Option<Failure>,
    /// When what is known will be given up if it stays so, in Unix milliseconds.
    pub(crate) kept_until_ms: Option<u64>,
}

/// Why there is no newer answer, or none of one family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) fault: LookupFault,
    /// The family that nobody answered for, while the other one was answered for.
    pub(crate) family: Option<Family>,
    /// Since when, in Unix milliseconds.
    pub(crate) since_ms: u64,
}

impl Learning {
    /// What those know who use the instances until another way of discovery has answered: who they are, and how long they may be kept. What the
    /// former way last heard is no news of theirs.
    pub(crate) fn handed_down(&self) -> Self {
        Self { news: News::default(), ..self.clone() }
    }
}

impl Instances {
    /// Takes in what a look-up gave, by whoever was asked. A failure and an empty answer leave the instances as they are.
    pub(crate) fn learn(&self, found: Result<Vec<Found>, LookupFault>) {
        self.learn_answer(found.map_or_else(Answer::failed, Answer::known));
    }

    /// The same of an answer with all that is known about it.
    pub(crate) fn learn_answer(&self, Answer { found, ttl, said, unanswered }: Answer) {
        let now = Instant::now();
        let mut learning = self.learning();
        match found.and_then(|found| if found.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(found) }) {
            Ok(mut found) => {
                if self.set.load().is_handed_down() {
                    // Whom another way has found is not held by the word of this one.
                    learning.roster.clear();
                }
                match unanswered {
                    None => self.recovered(&mut learning),
                    Some(unanswered) => found.extend(self.half_answered(&mut learning, unanswered, now)),
                }
                if found.len() > ENDPOINTS_MAX {
                    tracing::warn!(
                        service = &*self.name,
                        found = found.len(),
                        used = ENDPOINTS_MAX,
                        "discovery names more instances than are used"
                    );
                }
                learning.roster.answer(found, now);
                let why = match self.discover() {
                    DiscoverPlan::Static(_) | DiscoverPlan::Unix(_) => Why::Configuration,
                    DiscoverPlan::File { .. } => Why::File,
                    DiscoverPlan::Dns { .. } | DiscoverPlan::Srv { .. } => Why::Answer,
                };
                let ttl = said.is_some().then_some(ttl);
                self.publish(&mut learning, now, Word { why, said, ttl });
                learning.is_whole = true;
            }
            Err(fault) => self.failed(&mut learning, fault, now),
        }
    }

    /// Takes in a part of an answer while the rest is still looked up. Where another way of discovery has found what is in use, the whole is waited
    /// for: a part would be less than that.
    pub(crate) fn learn_part(&self, found: Vec<Found>, said: Provenance) {
        if found.is_empty() || self.set.load().is_handed_down() {
            return;
        }
        let now = Instant::now();
        let mut learning = self.learning();
        learning.roster.part(found, now);
        self.publish(&mut learning, now, Word { why: Why::Part, said: Some(said), ttl: None });
    }

    /// Ends what has come to its end by now, and says when the next such moment is.
    pub(crate) fn expire(&self) -> Option<Instant> {
        let now = Instant::now();
        let ttl = self.ttl();
        let mut learning = self.learning();
        if let Some((_, why)) = learning.keeping.end(&ttl).filter(|(end, _)| *end <= now) {
            self.give_up(&mut learning, now, why);
        }
        let before = learning.roster.next_end(ttl.hold);
        if before.is_some_and(|end| end <= now) {
            self.publish(&mut learning, now, Word::own(Why::HoldOver));
        }
        let kept = if self.set.load().endpoints().is_empty() { None } else { learning.keeping.end(&ttl).map(|(end, _)| end) };
        [learning.roster.next_end(ttl.hold), kept].into_iter().flatten().min()
    }

    /// Nobody is known any more: what was, is too old to be asked for an answer.
    fn give_up(&self, learning: &mut Learning, now: Instant, why: Why) {
        if self.set.load().endpoints().is_empty() {
            return;
        }
        let code = learning.news.failure.map_or("", |failure| failure.fault.code);
        tracing::warn!(
            service = &*self.name,
            code,
            why = why.word(),
            "the last good answer is too old; the service has no instances until discovery answers"
        );
        learning.roster.clear();
        learning.is_whole = false;
        self.publish(learning, now, Word::own(why));
    }

    /// Makes the next generation where there is something other to be seen.
    fn publish(&self, learning: &mut Learning, now: Instant, mut word: Word) {
        let hold = self.ttl().hold;
        learning.roster.expire(now, hold);
        let present = learning.roster.present(now, hold);
        let before = self.set.load_full();
        let only_holds = before.found() == present.found && !before.is_handed_down();
        let next = EndpointSet::after_with(&before, present.found, present.held);
        self.tell_endpoints(next.as_ref().unwrap_or(&before), &learning.roster);
        let Some(next) = next else { return };
        let next = next.numbered(self.history.next_number());
        // The end of a hold is not the word of the present way of discovery.
        let next = if before.is_handed_down() && word.why == Why::HoldOver { next.hand_down() } else { next };
        if only_holds && word.why == Why::Answer && next.held().len() > before.held().len() {
            word.why = Why::Held;
        }
        let generation = Generation::between(&before, &next, word, self.clock.now_ms());
        tracing::info!(
            service = &*self.name,
            generation = generation.generation,
            why = generation.why.word(),
            instances = generation.instances,
            added = generation.added.count,
            removed = generation.removed.count,
            held = generation.held.count,
            "the instances of a service have changed"
        );
        let (number, leaving) = (generation.generation, before.missing_in(&next).cloned().collect::<Vec<Arc<Endpoint>>>());
        self.history.keep(generation);
        self.measures.generations.inc();
        let now_ms = moment::now_ms();
        if !before.endpoints().is_empty() && (learning.is_whole || before.is_handed_down()) {
            // Not those of the first answer, though it may come in parts: nobody is there to spare them.
            next.missing_in(&before).for_each(|endpoint| endpoint.began(now_ms));
        }
        next.recount(now_ms);
        if self.is_by_key() {
            next.tabulate();
        }
        // First the new set, then the farewell: nobody may pick from a set of which all are gone.
        self.set.store(next);
        for endpoint in leaving {
            endpoint.farewell().vanish(moment::now_ms());
            endpoint.depart(&self.measures.convergence);
        }
        self.changed();
        self.generation.send_replace(number);
    }

    /// Tells each instance whether an answer has left it out, and whether it is only held.
    fn tell_endpoints(&self, set: &EndpointSet, roster: &Roster) {
        let now_ms = moment::now_ms();
        let mut held = set.held().iter().peekable();
        for (endpoint, found) in set.endpoints().iter().zip(set.found()) {
            // Both lists are in one order.
            endpoint.hold(held.next_if(|one| *one == found).is_some());
            if roster.has_vanished(endpoint.address(), endpoint.host()) {
                endpoint.farewell().vanish(now_ms);
            } else {
                endpoint.farewell().come_back();
            }
        }
    }

    /// After each new generation.
    fn changed(&self) {
        self.show();
    }

    fn recovered(&self, learning: &mut Learning) {
        self.measures.lookup("ok");
        let now_ms = self.clock.now_ms();
        self.measures.answered(now_ms);
        learning.news.refreshed_at_ms = Some(now_ms);
        learning.news.kept_until_ms = None;
        learning.keeping = Keeping::default();
        if let Some(Failure { fault, .. }) = learning.news.failure.take() {
            tracing::info!(service = &*self.name, was = fault.code, "discovery has recovered");
        }
    }

    /// One family of addresses was answered for and the other one not: that says nothing about those of the other one. Gives those of them that
    /// are named until now, for as long as what is known stays without an answer.
    fn half_answered(&self, learning: &mut Learning, Unanswered { family, fault }: Unanswered, now: Instant) -> Vec<Found> {
        self.measures.lookup(fault.code);
        let now_ms = self.clock.now_ms();
        self.measures.answered(now_ms);
        learning.news.refreshed_at_ms = Some(now_ms);
        learning.news.kept_until_ms = None;
        let is_over = learning.keeping.half_answered(family, &self.ttl(), now);
        let kept = match self.discover() {
            DiscoverPlan::Dns { .. } if !is_over => learning.roster.named_in(family),
            // The hosts of SRV targets have kept their own (`hosts`).
            _ => Vec::new(),
        };
        if learning.news.failure.is_none_or(|known| (known.fault, known.family) != (fault, Some(family))) {
            tracing::warn!(
                service = &*self.name,
                code = fault.code,
                family = family.word(),
                kept = kept.len(),
                "one family of addresses is unanswered; what is known of it stays"
            );
            learning.news.failure = Some(Failure { fault, family: Some(family), since_ms: now_ms });
        }
        kept
    }

    fn failed(&self, learning: &mut Learning, fault: LookupFault, now: Instant) {
        self.measures.lookup(fault.code);
        learning.keeping.failed(fault.definite, now);
        let generation = self.set.load().generation();
        let left = learning.keeping.end(&self.ttl()).map(|(end, _)| end.saturating_duration_since(now));
        let kept_s = left.map(|left| left.as_secs());
        // Once per change: a name service that is down for an hour is one alarm, not three thousand.
        if learning.news.failure.is_none_or(|known| (known.fault, known.family) != (fault, None)) {
            tracing::warn!(service = &*self.name, code = fault.code, generation, kept_s, "discovery fails; the last good answer stays");
            learning.news.failure = Some(Failure { fault, family: None, since_ms: self.clock.now_ms() });
            if fault.definite {
                self.set.load().endpoints().iter().for_each(|endpoint| endpoint.farewell().vanish(moment::now_ms()));
            }
        }
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        learning.news.kept_until_ms = left.map(|left| self.clock.now_ms().saturating_add(millis(left)));
    }

    /// What discovery last heard.
    pub(crate) fn news(&self) -> News {
        self.learning().news
    }

    /// How long answers hold now. What an operator has written down is meant, so that nobody is held whom it leaves out.
    fn ttl(&self) -> TtlPlan {
        let ttl = self.terms.borrow().ttl;
        if self.discover().may_flap() { ttl } else { TtlPlan { hold: Duration::ZERO, ..ttl } }
    }

    pub(crate) fn learning(&self) -> MutexGuard<'_, Learning> {
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
