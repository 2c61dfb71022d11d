//! Active checks: one task per service asks each of its instances again and again how it does, on the control runtime.
//!
//! In: the service's instances as their generations come and go, and the plan of the checks. Out: a standing per instance, which a pick reads
//! from an atomic. Refuses: checks without a pause or a bound. Never: runs on a worker; wakes a request; keeps a dropped service alive.

mod grpc;
mod h2;
mod http;
mod link;
mod place;
pub mod standing;
mod tcp;
pub mod verdict;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use wire::tls::client::ClientTls;

use crate::endpoint::Endpoint;
use crate::health::grpc::GrpcProbe;
use crate::health::http::HttpProbe;
use crate::health::link::LinkProbe;
use crate::health::standing::Outcome;
use crate::health::tcp::TcpProbe;
use crate::instances::{Instances, Terms};
use crate::plan::health::{HealthPlan, ProbePlan};

/// Checks the instances of one service until it is dropped.
pub(crate) async fn keep_checked(instances: Weak<Instances>, mut terms: watch::Receiver<Terms>, mut generation: watch::Receiver<u64>) {
    let mut checks = Checks::default();
    loop {
        match instances.upgrade() {
            Some(instances) => {
                let plan = terms.borrow_and_update().health.clone();
                generation.borrow_and_update();
                checks.follow(&instances, plan);
            }
            None => return,
        }
        let changed = tokio::select! {
            changed = terms.changed() => changed,
            changed = generation.changed() => changed,
            () = checks.one_ended() => Ok(()),
        };
        // Whoever would tell of a change is gone, and the service with it.
        if changed.is_err() {
            return;
        }
    }
}

/// The checks that run, one task per instance; `endpoints::ENDPOINTS_MAX` bounds them. They end when this is dropped.
#[derive(Default)]
struct Checks {
    plan: Option<HealthPlan>,
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
    /// Instances whose checks have panicked, and are begun again after a pause.
    resting: HashSet<u64>,
}

impl Checks {
    /// Ends and begins what a new plan or a new set of instances asks for.
    fn follow(&mut self, instances: &Arc<Instances>, plan: Option<HealthPlan>) {
        let set = instances.endpoints();
        if plan != self.plan {
            self.plan.clone_from(&plan);
            self.running.drain().for_each(|(_, task)| task.abort());
        }
        let named: HashSet<u64> = set.endpoints().iter().map(|endpoint| endpoint.id()).collect();
        self.running.extract_if(|id, _| !named.contains(id)).for_each(|(_, task)| task.abort());
        for endpoint in set.endpoints() {
            let Some(plan) = &plan else {
                endpoint.checked().forget();
                continue;
            };
            self.running.entry(endpoint.id()).or_insert_with(|| {
                let first = if self.resting.remove(&endpoint.id()) { plan.every } else { Duration::ZERO };
                self.tasks.spawn(check(Arc::downgrade(instances), Arc::clone(endpoint), plan.clone(), first))
            });
        }
        self.resting.clear();
        instances.count_standings();
    }

    /// Waits until a check ends; for ever while there is none. One that was broken off has ended as it should; one that panicked must not
    /// leave its instance with the standing that it has, and is missing from now on. Safe to be broken off.
    async fn one_ended(&mut self) {
        let fault = match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok(_)) => return,
            Some(Err(fault)) => fault,
        };
        if !fault.is_panic() {
            return;
        }
        tracing::error!("the checks of an instance panicked; they begin again after a pause");
        self.resting.extend(self.running.extract_if(|_, task| task.id() == fault.id()).map(|(id, _)| id));
    }
}

/// Checks one instance until it is told to end, for the first time when `first` is over.
async fn check(instances: Weak<Instances>, endpoint: Arc<Endpoint>, plan: HealthPlan, first: Duration) {
    if !first.is_zero() {
        tokio::time::sleep(first).await;
    }
    let mut probe = Probe::new(plan.probe.clone(), &endpoint);
    loop {
        let Some(tls) = instances.upgrade().map(|instances| instances.tls().cloned()) else { return };
        let refused = endpoint.consecutive_failures() > 0;
        let outcome = match tokio::time::timeout(plan.timeout, probe.ask(&endpoint, tls.as_ref())).await {
            Ok(outcome) => outcome,
            Err(_) => Err("timeout"),
        };
        match instances.upgrade() {
            Some(instances) => {
                if refused && endpoint.consecutive_failures() == 0 {
                    instances.tell_connected(&endpoint);
                }
                instances.learn_health(&endpoint, outcome, &plan);
            }
            None => return,
        }
        tokio::time::sleep(pause(plan.every, rand::random())).await;
    }
}

/// The time until the next check, up to a tenth more or less, so that the processes that check one instance do not do it in step.
fn pause(every: Duration, random: u32) -> Duration {
    every.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

/// One way of asking.
enum Probe {
    Link(LinkProbe),
    Http(HttpProbe),
    Tcp(TcpProbe),
    Grpc(GrpcProbe),
}

impl Probe {
    fn new(plan: ProbePlan, endpoint: &Endpoint) -> Self {
        match plan {
            ProbePlan::Link => Self::Link(LinkProbe::default()),
            ProbePlan::Http(plan) => Self::Http(HttpProbe::new(plan, endpoint)),
            ProbePlan::Tcp { port } => Self::Tcp(TcpProbe::new(port, endpoint)),
            ProbePlan::Grpc(plan) => Self::Grpc(GrpcProbe::new(&plan, endpoint)),
        }
    }

    async fn ask(&mut self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        match self {
            Self::Link(probe) => probe.ask(endpoint, tls).await,
            Self::Http(probe) => probe.ask(endpoint, tls).await,
            Self::Tcp(probe) => probe.ask(endpoint, tls).await,
            Self::Grpc(probe) => probe.ask(endpoint, tls).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use settings::clock::Clock;
    use settings::files::Files;
    use settings::report::Report;
    use telemetry::metrics::Metrics;

    use super::*;
    use crate::config::ServiceConfig;
    use crate::config::discover::DiscoverConfig;
    use crate::endpoint::Address;
    use crate::endpoints::Found;
    use crate::measures::Measures;

    const PLAN: HealthPlan = HealthPlan {
        probe: ProbePlan::Link,
        every: Duration::from_millis(5),
        timeout: Duration::from_secs(5),
        unhealthy_threshold: 1,
        healthy_threshold: 1,
    };

    #[tokio::test]
    async fn checks_that_panicked_begin_again() {
        let config = ServiceConfig::new(DiscoverConfig::Static { addresses: ["127.0.0.1:1".to_owned()].into_iter().collect() });
        let service = config.check("services.orders", &Files::of(std::path::Path::new("/")), &mut Report::new()).expect("plan");
        let (clock, _) = Clock::manual(1);
        let instances = Instances::new(&service, Measures::of("orders", &Metrics::new()), &clock);
        instances.learn(Ok(vec![Found { address: Address::Unix("/there/is/none.sock".into()), host: None, weight: 0, priority: 0 }]));
        let endpoint = Arc::clone(&instances.endpoints().endpoints()[0]);
        let mut checks = Checks::default();
        checks.follow(&instances, Some(PLAN));
        // On one thread nothing of the first task has run by now.
        let panics = checks.tasks.spawn(async { panic!("as a mistake would") });
        checks.running.insert(endpoint.id(), panics).expect("it is checked").abort();
        while checks.running.contains_key(&endpoint.id()) {
            checks.one_ended().await;
        }
        assert!(!endpoint.checked().was_checked());
        let mut seen = instances.checks();
        checks.follow(&instances, Some(PLAN));
        let again = seen.wait_for(|_| endpoint.checked().was_checked());
        tokio::time::timeout(Duration::from_secs(10), again).await.expect("it is checked again").expect("the instances are there");
    }

    #[test]
    fn checks_of_many_processes_do_not_stay_in_step() {
        let every = Duration::from_secs(10);
        assert_eq!((pause(every, 0), pause(every, u32::MAX)), (Duration::from_secs(9), Duration::from_secs(11)));
    }
}
