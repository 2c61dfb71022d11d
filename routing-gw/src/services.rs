//! The services of this tier: started on the control runtime, told by `/readyz`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::tier::{Control, Health};
use upstream::plan::ServicePlan;
use upstream::service::Service;
use upstream::snapshot::ServiceSnapshot;

use crate::health;

/// How long the start waits for first answers of discovery; a service without any is told by `/readyz`, not by a start that never ends.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// How long a process that knows nothing of any service keeps its doors shut. While they are, tier 1 asks another replica free of charge; behind
/// open ones each request would get a final "no instances".
const ANY_ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The pause between two looks at whether there is an answer.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Starts the services in the order of their plans, and waits for first answers of those that are new.
pub(crate) async fn start(plans: &[ServicePlan], before: &[Arc<Service>], control: &Control) -> Vec<Arc<Service>> {
    let before: HashMap<&str, &Arc<Service>> = before.iter().map(|service| (service.name(), service)).collect();
    let until = Instant::now() + FIRST_ANSWERS_WITHIN;
    let mut services = Vec::with_capacity(plans.len());
    for plan in plans {
        let former = before.get(&*plan.name).copied();
        services.push(Service::after(former, plan.clone(), &control.names, &control.tasks, &control.clock, &control.metrics));
    }
    for service in &services {
        // What was looked for before has had its time. Where there is no answer in time the former instances stay in use.
        if !before.get(service.name()).is_some_and(|former| former.plan().discover == service.plan().discover) {
            service.wait_first(until.saturating_duration_since(Instant::now())).await;
        }
    }
    if before.is_empty() {
        // Nothing is known when nobody could be asked, which passes; a certain "no" is an answer to serve by.
        let any = async {
            while !services.is_empty() && !services.iter().any(|service| is_answered(&service.snapshot())) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::time::timeout(ANY_ANSWER_WITHIN, any).await;
    }
    services
}

/// The state of all services. One without instances does not make the tier unready, for its other services must go on being served; a tier
/// that has not found an instance of any is of no use yet.
pub(crate) fn health(services: &[Arc<Service>]) -> Vec<Health> {
    let snapshots: Vec<_> = services.iter().map(|service| service.snapshot()).collect();
    let ready = health::is_of_use(services);
    snapshots.iter().map(|snapshot| of(snapshot, ready)).collect()
}

/// The same for a process that is to take the place of another one: that one may serve each service by the last good answer about it, so each must
/// have been answered for here too. A name service that says for certain that there is nothing has answered.
pub(crate) fn health_of_successor(services: &[Arc<Service>]) -> Vec<Health> {
    let snapshots: Vec<_> = services.iter().map(|service| service.snapshot()).collect();
    successors(&snapshots)
}

fn successors(snapshots: &[ServiceSnapshot]) -> Vec<Health> {
    let useless = snapshots.iter().all(|snapshot| snapshot.endpoints.is_empty());
    snapshots.iter().map(|snapshot| of(snapshot, !useless && is_answered(snapshot))).collect()
}

fn is_answered(snapshot: &ServiceSnapshot) -> bool {
    snapshot.failure.as_ref().is_some_and(|failure| failure.definite) || !snapshot.endpoints.is_empty()
}

fn of(snapshot: &ServiceSnapshot, ready: bool) -> Health {
    let detail = match (&snapshot.failure, snapshot.endpoints.len()) {
        (None, count) if snapshot.handed_down => {
            format!("{count} instances of the former discovery stay in use until the present one answers")
        }
        (None, count) => format!("{count} instances in generation {}", snapshot.generation),
        (Some(failure), 0) => format!("{}; no instance is known", failure.told()),
        (Some(failure), count) => {
            let end = if failure.kept_until_ms.is_some() { " for now" } else { "" };
            format!("{}; {count} instances of generation {} stay in use{end}", failure.told(), snapshot.generation)
        }
    };
    Health { name: format!("service {}", snapshot.name), ready, detail }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use host::drain::Life;
    use settings::clock::Clock;
    use settings::files::Files;
    use settings::report::Report;
    use telemetry::metrics::Metrics;
    use upstream::config::ServiceConfig;
    use upstream::config::discover::DiscoverConfig;
    use upstream::lookup::{Addresses, Lookup, LookupFault, Targets};
    use upstream::snapshot::{EndpointSnapshot, FailureSnapshot};
    use wire::resolver::families::Family;
    use wire::resolver::fault::NameFault;
    use wire::tasks::Tasks;

    use super::*;
    use crate::trusted::Trusted;

    #[tokio::test]
    async fn the_link_is_told_what_readyz_says() {
        let (_life, watch) = Life::begin();
        let service = silent_service();
        for (services, ready) in [(vec![], true), (vec![service], false)] {
            let said = health(&services).iter().all(|service| service.ready);
            let told = health::Health::new("routing-gw", watch.clone(), (4, 2), services, Trusted::of_file()).word().ready;
            assert_eq!((said, told), (ready, ready));
        }
    }

    /// A service whose name is never answered.
    fn silent_service() -> Arc<Service> {
        struct Silent;
        impl Lookup for Silent {
            async fn addresses(&self, _: &str) -> Result<Addresses, LookupFault> {
                std::future::pending().await
            }
            async fn addresses_in(&self, name: &str, _: Family) -> Result<Addresses, LookupFault> {
                self.addresses(name).await
            }

            async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
                std::future::pending().await
            }
        }
        let config = ServiceConfig::new(DiscoverConfig::Dns { name: "orders.demo".into(), port: 80 });
        let plan = config.check("services.orders", &Files::of(Path::new("/")), &mut Report::new()).expect("plan");
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        Service::start(plan, &Arc::new(Silent), &tasks, &Clock::system(), &Metrics::new())
    }

    fn service(instances: usize, failure: Option<LookupFault>) -> ServiceSnapshot {
        let endpoint = |number| EndpointSnapshot { address: format!("10.0.0.{number}:80"), ..EndpointSnapshot::default() };
        ServiceSnapshot {
            name: "orders".to_owned(),
            generation: 1,
            failure: failure.map(|LookupFault { code, definite }| FailureSnapshot {
                code,
                family: None,
                since_ms: 0,
                definite,
                kept_until_ms: None,
            }),
            endpoints: (0..instances).map(endpoint).collect(),
            ..ServiceSnapshot::default()
        }
    }

    #[test]
    fn a_successor_is_ready_once_every_service_was_answered_for() {
        let ready = |other: ServiceSnapshot| successors(&[service(2, None), other]).iter().all(|health| health.ready);
        let fault = |fault: NameFault| Some(LookupFault { code: fault.code(), definite: fault.is_definite() });
        assert!(ready(service(1, None)) && ready(service(1, fault(NameFault::Timeout))));
        for nothing in [NameFault::NoRecords, NameFault::NoSuchName, NameFault::NotAName] {
            assert!(ready(service(0, fault(nothing.clone()))), "{nothing:?} is an answer");
        }
        for unanswered in [None, fault(NameFault::Timeout), fault(NameFault::ServerFailure("SERVFAIL".to_owned()))] {
            assert!(!ready(service(0, unanswered)), "{unanswered:?}");
        }
        assert!(!successors(&[service(0, fault(NameFault::NoRecords))])[0].ready, "without any instance the tier is of no use");
    }
}
