//! The instances of one service over the generations of its configuration: how they are found and reached, and what is known of them.
//!
//! In: what discovery and the checks learn. Out: the newest set to pick from. Refuses: an empty answer (the last good one stays).
//! Never: asks a name service itself, or makes a request wait.
//!
//! Every [`crate::service::Service`] that asks for the same instances in the same way holds a lease of the same value, so that a reload that
//! changes a timeout loses neither a count nor a connection. The youngest lease says how often names are looked up and instances checked.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use settings::clock::Clock;
use settings::live::Live;
use tokio::sync::watch;
use wire::tls::client::ClientTls;

use crate::budget::Budget;
use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::endpoints::{ENDPOINTS_MAX, EndpointSet, Found};
use crate::health::standing::{Learnt, Outcome, Standing};
use crate::lookup::LookupFault;
use crate::measures::Measures;
use crate::moment;
use crate::owners::Owners;
use crate::plan::ServicePlan;
use crate::plan::discover::{DiscoverPlan, TtlPlan};
use crate::plan::health::HealthPlan;

/// What a plan asks of those who keep the instances fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl: TtlPlan,
    pub(crate) health: Option<HealthPlan>,
    /// Whether requests are picked by their keys, so that each generation needs its tables.
    pub(crate) by_key: bool,
}

/// The instances of one service.
#[derive(Debug)]
pub(crate) struct Instances {
    name: Arc<str>,
    discover: DiscoverPlan,
    tls: Option<ClientTls>,
    set: Live<EndpointSet>,
    /// The generation of the first answer.
    first: u64,
    generation: watch::Sender<u64>,
    terms: watch::Sender<Terms>,
    leases: Mutex<Leases>,
    /// Counts changes of standing.
    checks: watch::Sender<u64>,
    is_checked: AtomicBool,
    turn: AtomicUsize,
    news: Mutex<News>,
    ceiling: Arc<Ceiling>,
    budget: Arc<Budget>,
    measures: Arc<Measures>,
    owners: Arc<Owners>,
    clock: Clock,
}

/// What a service keeps over all ways of finding and reaching its instances.
struct Books {
    ceiling: Arc<Ceiling>,
    budget: Arc<Budget>,
    measures: Arc<Measures>,
    owners: Arc<Owners>,
}

/// The terms of all services that hold a lease, the youngest last.
#[derive(Debug, Default)]
struct Leases {
    next: u64,
    all: Vec<(u64, Terms)>,
}

/// What discovery last heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) refreshed_at_ms: Option<u64>,
    pub(crate) failure: Option<(LookupFault, u64)>,
}

impl Terms {
    /// Those of `plan`.
    pub(crate) fn of(plan: &ServicePlan) -> Self {
        Self { ttl: plan.ttl, health: plan.health, by_key: plan.balance.hash.is_some() }
    }
}

impl Instances {
    /// Instances of a service that was not there before.
    pub(crate) fn new(plan: &ServicePlan, measures: Measures, clock: &Clock) -> Arc<Self> {
        let ceiling = Ceiling::new(measures.open.clone());
        let books = Books { ceiling, budget: Arc::default(), measures: Arc::new(measures), owners: Arc::default() };
        Self::build(plan, EndpointSet::default(), books, clock)
    }

    /// Those of `plan`, where the service was there `before` and its instances were found or reached in another way. What holds still is taken
    /// over: the counts of the service; its instances, until the new way of discovery has answered, and those that this one names too for good;
    /// what is known of them, where they are reached in the same way. Generations count on.
    pub(crate) fn succeed(before: &Self, plan: &ServicePlan, clock: &Clock) -> Arc<Self> {
        let known = before.endpoints();
        let same_way = before.tls == plan.tls && before.terms.borrow().health.is_some() == plan.health.is_some();
        let set = if before.discover == plan.discover {
            known.anew()
        } else if same_way {
            known.shared().hand_down()
        } else if before.tls.is_none() || plan.tls.is_some() {
            known.anew().hand_down()
        } else {
            // What was found to be spoken to under TLS is not spoken to in the clear on the word of a name that nobody has answered.
            EndpointSet::at(known.generation())
        };
        let books = Books {
            ceiling: Arc::clone(&before.ceiling),
            budget: Arc::clone(&before.budget),
            measures: Arc::clone(&before.measures),
            owners: Arc::clone(&before.owners),
        };
        Self::build(plan, set, books, clock)
    }

    fn build(plan: &ServicePlan, set: EndpointSet, books: Books, clock: &Clock) -> Arc<Self> {
        let number = set.generation();
        let Books { ceiling, budget, measures, owners } = books;
        let instances = Arc::new(Self {
            name: Arc::clone(&plan.name),
            discover: plan.discover.clone(),
            tls: plan.tls.clone(),
            first: if set.endpoints().is_empty() || set.is_handed_down() { number + 1 } else { number },
            set: Live::new(set),
            generation: watch::Sender::new(number),
            terms: watch::Sender::new(Terms::of(plan)),
            leases: Mutex::default(),
            checks: watch::Sender::new(0),
            is_checked: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            news: Mutex::default(),
            ceiling,
            budget,
            measures,
            owners,
            clock: clock.clone(),
        });
        instances.owners.join(&instances);
        instances.show();
        instances
    }

    /// Whether `plan` asks for the same instances, found and reached in the same way.
    pub(crate) fn suit(&self, plan: &ServicePlan) -> bool {
        self.name == plan.name && self.discover == plan.discover && self.tls == plan.tls
    }

    /// How they are found.
    pub(crate) fn discover(&self) -> &DiscoverPlan {
        &self.discover
    }

    /// How connections to them are secured.
    pub(crate) fn tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }

    /// The set now, to keep.
    pub(crate) fn endpoints(&self) -> Arc<EndpointSet> {
        self.set.load_full()
    }

    /// The set now, for a short look.
    pub(crate) fn set(&self) -> &Live<EndpointSet> {
        &self.set
    }

    /// The next turn of a round robin.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The ceiling of connections.
    pub(crate) fn ceiling(&self) -> &Arc<Ceiling> {
        &self.ceiling
    }

    /// The retry budget.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The time of day.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The counters.
    pub(crate) fn measures(&self) -> &Measures {
        &self.measures
    }

    /// The generation of the first answer.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Tells each generation; closed when the instances are dropped.
    pub(crate) fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Tells each change of the terms; closed when the instances are dropped.
    pub(crate) fn terms(&self) -> watch::Receiver<Terms> {
        self.terms.subscribe()
    }

    /// Tells that a standing may have changed.
    pub(crate) fn checks(&self) -> watch::Receiver<u64> {
        self.checks.subscribe()
    }

    /// Whether somebody has to begin to check them; true once.
    pub(crate) fn begin_checks(&self) -> bool {
        !self.is_checked.swap(true, Ordering::Relaxed)
    }

    /// Takes in what a look-up gave. A failure and an empty answer leave the instances as they are.
    pub(crate) fn learn(&self, answer: Result<Vec<Found>, LookupFault>) {
        match answer.and_then(|found| if found.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(found) }) {
            Ok(found) => {
                self.recovered();
                self.accept(found);
            }
            Err(fault) => self.failed(fault),
        }
    }

    fn accept(&self, found: Vec<Found>) {
        if found.len() > ENDPOINTS_MAX {
            tracing::warn!(
                service = &*self.name,
                found = found.len(),
                used = ENDPOINTS_MAX,
                "discovery names more instances than are used"
            );
        }
        let before = self.set.load_full();
        let Some(next) = EndpointSet::after(&before, found) else { return };
        let generation = next.generation();
        let leaving: Vec<Arc<Endpoint>> = before.missing_in(&next).cloned().collect();
        self.measures.generations.inc();
        tracing::info!(service = &*self.name, generation, instances = next.endpoints().len(), "the instances of a service have changed");
        // First the new set, then the farewell: nobody may pick from a set of which all are gone.
        if self.is_by_key() {
            next.tabulate();
        }
        let now_ms = moment::now_ms();
        if !before.endpoints().is_empty() {
            next.missing_in(&before).for_each(|endpoint| endpoint.began(now_ms));
        }
        next.recount(now_ms);
        self.set.store(next);
        for endpoint in leaving {
            endpoint.leave();
        }
        self.show();
        self.generation.send_replace(generation);
    }

    /// What may change a rank has happened: the levels are counted anew.
    pub(crate) fn recount(&self) {
        self.set.load().recount(moment::now_ms());
    }

    /// Whether any service that holds a lease picks by key.
    fn is_by_key(&self) -> bool {
        self.leases().all.iter().any(|(_, terms)| terms.by_key)
    }

    fn recovered(&self) {
        self.measures.lookup("ok");
        let mut news = self.locked_news();
        news.refreshed_at_ms = Some(self.clock.now_ms());
        if let Some((fault, _)) = news.failure.take() {
            tracing::info!(service = &*self.name, was = fault.code, "discovery has recovered");
        }
    }

    fn failed(&self, fault: LookupFault) {
        self.measures.lookup(fault.code);
        let generation = self.set.load().generation();
        let mut news = self.locked_news();
        // Once per change: a name service that is down for an hour is one alarm, not three thousand.
        if news.failure.is_none_or(|(known, _)| known != fault) {
            tracing::warn!(service = &*self.name, code = fault.code, generation, "discovery fails; the last good answer stays");
            news.failure = Some((fault, self.clock.now_ms()));
        }
    }

    /// What discovery last heard.
    pub(crate) fn news(&self) -> News {
        *self.locked_news()
    }

    fn locked_news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the outcome of one check of one instance.
    pub(crate) fn learn_health(&self, endpoint: &Endpoint, outcome: Outcome, plan: &HealthPlan) {
        self.measures.check(outcome.as_ref().err().copied().unwrap_or("ok"));
        let treaty = outcome.as_ref().ok().and_then(Option::as_ref).map(|word| word.treaty);
        let code = outcome.as_ref().err().copied();
        let Learnt { is_first, was, is } = endpoint.checked().learn(outcome, plan, self.clock.now_ms());
        if was != is {
            let is_back = was == Standing::Unhealthy;
            let (service, instance, was, state) = (&*self.name, endpoint.name(), was.word(), is.word());
            match is {
                Standing::Foreign => tracing::warn!(
                    service,
                    instance,
                    was,
                    state,
                    treaty,
                    ours = contract::TREATY,
                    "an instance speaks a treaty that is not understood here and is not used; bring the tiers to builds of adjacent treaties"
                ),
                Standing::Unhealthy => tracing::warn!(service, instance, was, state, code, "an instance fails its checks"),
                _ => tracing::info!(service, instance, was, state, "the standing of an instance has changed"),
            }
            self.count_standings();
            if is_back {
                endpoint.began(moment::now_ms());
            }
            self.recount();
        }
        if is_first || was != is {
            self.checks.send_modify(|count| *count += 1);
        }
    }

    /// Shows how many instances there are, unless others have come after these.
    fn show(&self) {
        self.owners.if_youngest(self, || {
            self.measures.instances.set(self.set.load_full().endpoints().len() as i64);
        });
        if self.measures.tells_standings() {
            self.count_standings();
        }
    }

    /// Shows how many instances there are of each standing, unless others have come after these.
    pub(crate) fn count_standings(&self) {
        self.owners.if_youngest(self, || {
            let set = self.set.load_full();
            for standing in Standing::ALL {
                let count = set.endpoints().iter().filter(|endpoint| endpoint.standing() == standing).count();
                self.measures.standing(standing, count);
            }
        });
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The terms of the youngest lease hold, also after a younger one was given back: its configuration did not come to serve.
    fn follow_youngest(&self, leases: &Leases) {
        let Some((_, youngest)) = leases.all.last() else { return };
        self.terms.send_if_modified(|terms| std::mem::replace(terms, *youngest) != *youngest);
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        // After a reload the workers' idle connections to these instances belong to nobody, unless others name them too.
        for endpoint in self.set.load().endpoints() {
            endpoint.leave();
        }
        // A configuration that did not come to serve may have shown its numbers in place of theirs.
        if let Some(left) = self.owners.youngest() {
            left.show();
        }
    }
}

/// The hold of one service on its instances.
#[derive(Debug)]
pub(crate) struct Lease {
    instances: Arc<Instances>,
    number: u64,
}

impl Lease {
    /// Takes a hold; from now on `terms` are those of the youngest.
    pub(crate) fn take(instances: Arc<Instances>, terms: Terms) -> Self {
        let mut leases = instances.leases();
        let number = leases.next;
        leases.next += 1;
        leases.all.push((number, terms));
        instances.follow_youngest(&leases);
        drop(leases);
        if terms.by_key {
            // A generation that is published from now on has its tables.
            instances.endpoints().tabulate();
        }
        Self { instances, number }
    }
}

impl Deref for Lease {
    type Target = Arc<Instances>;

    fn deref(&self) -> &Self::Target {
        &self.instances
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.instances.leases();
        leases.all.retain(|(number, _)| *number != self.number);
        self.instances.follow_youngest(&leases);
    }
}
