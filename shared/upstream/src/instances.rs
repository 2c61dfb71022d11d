//! The instances of one service over the generations of its configuration: how they are found and reached, and what is known of them.
//!
//! In: what the checks learn, and what discovery does (`discover::learn`). Out: the newest set to pick from. Never: asks a name service itself, or
//! makes a request wait.
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
use crate::discover::generation::{Generation, History, Why, Word};
use crate::discover::learn::Learning;
use crate::endpoint::Endpoint;
use crate::endpoints::EndpointSet;
use crate::guard::Guard;
use crate::health::standing::{Learnt, Outcome, Standing};
use crate::measures::Measures;
use crate::moment;
use crate::owners::Owners;
use crate::plan::ServicePlan;
use crate::plan::discover::{DiscoverPlan, TtlPlan};
use crate::plan::health::HealthPlan;
use crate::plan::outliers::OutliersPlan;
use crate::plan::protocol::Protocol;

/// What a plan asks of those who keep the instances fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl: TtlPlan,
    pub(crate) health: Option<HealthPlan>,
    pub(crate) outliers: OutliersPlan,
    /// Whether requests are picked by their keys, so that each generation needs its tables.
    pub(crate) by_key: bool,
}

/// The instances of one service.
#[derive(Debug)]
pub(crate) struct Instances {
    pub(crate) name: Arc<str>,
    discover: DiscoverPlan,
    tls: Option<ClientTls>,
    protocol: Protocol,
    pub(crate) set: Live<EndpointSet>,
    /// The generation of the first answer.
    first: u64,
    pub(crate) generation: watch::Sender<u64>,
    pub(crate) terms: watch::Sender<Terms>,
    leases: Mutex<Leases>,
    /// Counts changes of standing.
    checks: watch::Sender<u64>,
    is_checked: AtomicBool,
    is_judged: AtomicBool,
    /// Held while an instance is taken out or back, so that the share holds.
    ejecting: Mutex<()>,
    turn: AtomicUsize,
    pub(crate) learning: Mutex<Learning>,
    pub(crate) history: Arc<History>,
    ceiling: Arc<Ceiling>,
    budget: Arc<Budget>,
    guard: Arc<Guard>,
    pub(crate) measures: Arc<Measures>,
    owners: Arc<Owners>,
    pub(crate) clock: Clock,
}

/// What a service keeps over all ways of finding and reaching its instances.
struct Books {
    ceiling: Arc<Ceiling>,
    budget: Arc<Budget>,
    guard: Arc<Guard>,
    measures: Arc<Measures>,
    owners: Arc<Owners>,
    history: Arc<History>,
}

/// The terms of all services that hold a lease, the youngest last.
#[derive(Debug, Default)]
struct Leases {
    next: u64,
    all: Vec<(u64, Terms)>,
}

impl Terms {
    /// Those of `plan`.
    pub(crate) fn of(plan: &ServicePlan) -> Self {
        Self { ttl: plan.ttl, health: plan.health.clone(), outliers: plan.outliers, by_key: plan.balance.hash.is_some() }
    }
}

impl Instances {
    /// Instances of a service that was not there before.
    pub(crate) fn new(plan: &ServicePlan, measures: Measures, clock: &Clock) -> Arc<Self> {
        let ceiling = Ceiling::new(measures.open.clone());
        let guard = Guard::new(&measures);
        let books =
            Books { ceiling, budget: Arc::default(), guard, measures: Arc::new(measures), owners: Arc::default(), history: Arc::default() };
        Self::build(plan, EndpointSet::default(), books, Learning::default(), clock)
    }

    /// Those of `plan`, where the service was there `before` and its instances were found or reached in another way. What holds still is taken
    /// over: the counts of the service; its instances, until the new way of discovery has answered, and those that this one names too for good;
    /// what is known of them, where they are reached in the same way. Generations count on.
    pub(crate) fn succeed(before: &Self, plan: &ServicePlan, clock: &Clock) -> Arc<Self> {
        // Under the lock, so that both are of one moment.
        let (known, learning) = {
            let learning = before.learning();
            (before.endpoints(), learning.clone())
        };
        let same_way =
            before.tls == plan.tls && before.protocol == plan.protocol && before.terms.borrow().health.is_some() == plan.health.is_some();
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
        let set = Self::next_in(&before.history, &known, set, clock);
        // A reload makes no answer younger, and no failure either.
        let learning = if before.discover == plan.discover {
            learning
        } else if set.is_handed_down() {
            learning.handed_down()
        } else {
            Learning::default()
        };
        let books = Books {
            ceiling: Arc::clone(&before.ceiling),
            budget: Arc::clone(&before.budget),
            guard: Arc::clone(&before.guard),
            measures: Arc::clone(&before.measures),
            owners: Arc::clone(&before.owners),
            history: Arc::clone(&before.history),
        };
        Self::build(plan, set, books, learning, clock)
    }

    /// The set under a number of its own where it is not the one that was known, be it that nothing is left of it.
    fn next_in(history: &History, known: &EndpointSet, set: EndpointSet, clock: &Clock) -> EndpointSet {
        if set.generation() == known.generation() && set.found() == known.found() {
            return set;
        }
        let set = set.numbered(history.next_number());
        history.keep(Generation::between(known, &set, Word::own(Why::Reload), clock.now_ms()));
        set
    }

    fn build(plan: &ServicePlan, set: EndpointSet, books: Books, learning: Learning, clock: &Clock) -> Arc<Self> {
        let number = set.generation();
        let Books { ceiling, budget, guard, measures, owners, history } = books;
        let instances = Arc::new(Self {
            name: Arc::clone(&plan.name),
            discover: plan.discover.clone(),
            tls: plan.tls.clone(),
            protocol: plan.protocol,
            first: if set.endpoints().is_empty() || set.is_handed_down() { number + 1 } else { number },
            set: Live::new(set),
            generation: watch::Sender::new(number),
            terms: watch::Sender::new(Terms::of(plan)),
            leases: Mutex::default(),
            checks: watch::Sender::new(0),
            is_checked: AtomicBool::new(false),
            is_judged: AtomicBool::new(false),
            ejecting: Mutex::default(),
            turn: AtomicUsize::new(0),
            learning: Mutex::new(learning),
            history,
            ceiling,
            budget,
            guard,
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
        self.name == plan.name && self.discover == plan.discover && self.tls == plan.tls && self.protocol == plan.protocol
    }

    /// The service's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
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

    /// The breaker, the places and the queue.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
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

    /// Whether somebody has to begin to compare them; true once.
    pub(crate) fn begin_judging(&self) -> bool {
        !self.is_judged.swap(true, Ordering::Relaxed)
    }

    /// Held while an instance is taken out or back.
    pub(crate) fn ejecting(&self) -> &Mutex<()> {
        &self.ejecting
    }

    /// Whether somebody has to begin to check them; true once.
    pub(crate) fn begin_checks(&self) -> bool {
        !self.is_checked.swap(true, Ordering::Relaxed)
    }

    /// Whether any service that holds a lease picks by key.
    pub(crate) fn is_by_key(&self) -> bool {
        self.leases().all.iter().any(|(_, terms)| terms.by_key)
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
        }
        if is_first || was != is {
            self.recount();
        }
    }

    /// Something has happened by which the rank of an instance may have changed: what is counted of ranks is counted anew, and whoever waits
    /// for such news is told. Never per request.
    pub(crate) fn recount(&self) {
        self.set.load().recount(moment::now_ms());
        self.count_ejected();
        self.checks.send_modify(|count| *count += 1);
    }

    /// Shows how many instances are left alone, unless others have come after these.
    fn count_ejected(&self) {
        let now_ms = moment::now_ms();
        self.owners.if_youngest(self, || {
            let set = self.set.load_full();
            let out = set.endpoints().iter().filter(|endpoint| endpoint.ejection(now_ms).is_some()).count();
            self.measures.outliers.now.set(out as i64);
        });
    }

    /// The last generations of the service, also of those who found the instances before these.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Shows how many instances there are, unless others have come after these.
    pub(crate) fn show(&self) {
        self.owners.if_youngest(self, || {
            self.measures.instances.set(self.set.load_full().endpoints().len() as i64);
        });
        self.count_ejected();
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
        self.terms.send_if_modified(|terms| std::mem::replace(terms, youngest.clone()) != *youngest);
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
        let by_key = terms.by_key;
        leases.all.push((number, terms));
        instances.follow_youngest(&leases);
        drop(leases);
        if by_key {
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
