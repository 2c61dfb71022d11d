//! Active checks: one task per service asks each of its instances again and again how it does, on the control runtime.
//!
//! In: the service's instances as their generations come and go, and the plan of the checks. Out: a standing per instance, which a pick reads
//! from an atomic. Refuses: checks without a pause or a bound. Never: runs on a worker; wakes a request; keeps a dropped service alive.

mod link;
pub mod standing;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use wire::tls::client::ClientTls;

use crate::endpoint::Endpoint;
use crate::health::link::LinkProbe;
use crate::health::standing::Outcome;
use crate::instances::{Instances, Terms};
use crate::plan::{HealthPlan, ProbePlan};

/// Checks the instances of one service until it is dropped.
pub(crate) async fn keep_checked(instances: Weak<Instances>, mut terms: watch::Receiver<Terms>, mut generation: watch::Receiver<u64>) {
    let mut checks = Checks::default();
    loop {
        match instances.upgrade() {
            Some(instances) => {
                let plan = terms.borrow_and_update().health;
                generation.borrow_and_update();
                checks.follow(&instances, plan);
            }
            None => return,
        }
        let changed = tokio::select! {
            changed = terms.changed() => changed,
            changed = generation.changed() => changed,
            Some(ended) = checks.tasks.join_next() => {
                told(ended);
                Ok(())
            }
        };
        // Whoever would tell of a change is gone, and the service with it.
        if changed.is_err() {
            return;
        }
    }
}

/// A check that was broken off has ended as it should; one that panicked must not vanish in silence.
fn told(ended: Result<(), JoinError>) {
    if ended.is_err_and(|fault| fault.is_panic()) {
        tracing::error!("the checks of an instance panicked and have ended; it keeps its standing until the process is restarted");
    }
}

/// The checks that run, one task per instance; `endpoints::ENDPOINTS_MAX` bounds them. They end when this is dropped.
#[derive(Default)]
struct Checks {
    plan: Option<HealthPlan>,
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
}

impl Checks {
    /// Ends and begins what a new plan or a new set of instances asks for.
    fn follow(&mut self, instances: &Arc<Instances>, plan: Option<HealthPlan>) {
        let set = instances.endpoints();
        if plan != self.plan {
            self.plan = plan;
            self.running.drain().for_each(|(_, task)| task.abort());
        }
        let named: HashSet<u64> = set.endpoints().iter().map(|endpoint| endpoint.id()).collect();
        self.running.extract_if(|id, _| !named.contains(id)).for_each(|(_, task)| task.abort());
        for endpoint in set.endpoints() {
            match plan {
                None => endpoint.checked().forget(),
                Some(plan) => {
                    let (tasks, weak) = (&mut self.tasks, Arc::downgrade(instances));
                    self.running.entry(endpoint.id()).or_insert_with(|| tasks.spawn(check(weak, Arc::clone(endpoint), plan)));
                }
            }
        }
        instances.count_standings();
    }
}

/// Checks one instance until it is told to end.
async fn check(instances: Weak<Instances>, endpoint: Arc<Endpoint>, plan: HealthPlan) {
    let mut probe = Probe::new(plan.probe);
    loop {
        let Some(tls) = instances.upgrade().map(|instances| instances.tls().cloned()) else { return };
        let outcome = match tokio::time::timeout(plan.timeout, probe.ask(&endpoint, tls.as_ref())).await {
            Ok(outcome) => outcome,
            Err(_) => Err("timeout"),
        };
        match instances.upgrade() {
            Some(instances) => instances.learn_health(&endpoint, outcome, &plan),
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
}

impl Probe {
    fn new(plan: ProbePlan) -> Self {
        match plan {
            ProbePlan::Link => Self::Link(LinkProbe::default()),
        }
    }

    async fn ask(&mut self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        match self {
            Self::Link(probe) => probe.ask(endpoint, tls).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_of_many_processes_do_not_stay_in_step() {
        let every = Duration::from_secs(10);
        assert_eq!((pause(every, 0), pause(every, u32::MAX)), (Duration::from_secs(9), Duration::from_secs(11)));
    }
}
