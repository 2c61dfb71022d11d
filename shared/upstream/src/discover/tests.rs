//! Discovery against a scripted name service: what each answer and failure does.

use std::collections::HashMap;
use std::sync::Mutex;

use settings::clock::Clock;
use settings::report::Report;
use settings::units::Span;
use telemetry::metrics::Metrics;
use tokio::sync::Semaphore;
use wire::resolver::families::Family;
use wire::tasks::Tasks;

use super::*;
use crate::config::ServiceConfig;
use crate::config::discover::DiscoverConfig;
use crate::lookup::{Addresses, Provenance, Targets};
use crate::plan::ServicePlan;
use crate::plan::discover::TtlPlan;
use crate::service::Service;

const LONG: Duration = Duration::from_secs(10);

fn said() -> Provenance {
    Provenance { server: Arc::from("script"), rcode: "NOERROR" }
}

/// A name service that answers what the test wrote down, one look-up per permit.
struct Script {
    hosts: Mutex<HashMap<&'static str, Result<Vec<IpAddr>, LookupFault>>>,
    services: Mutex<Result<Vec<Target>, LookupFault>>,
    turns: Semaphore,
    asked: Semaphore,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            hosts: Mutex::default(),
            services: Mutex::new(Err(LookupFault::TIMEOUT)),
            turns: Semaphore::new(0),
            asked: Semaphore::new(0),
        })
    }

    fn host(&self, name: &'static str, answer: Result<&[&str], LookupFault>) {
        let parsed = answer.map(|list| list.iter().map(|text| text.parse().expect("address")).collect());
        self.hosts.lock().expect("lock").insert(name, parsed);
    }

    fn services(&self, list: &[(u16, u16, u16, &str)]) {
        let target = |(priority, weight, port, host): &(u16, u16, u16, &str)| Target {
            priority: *priority,
            weight: *weight,
            port: *port,
            host: (*host).to_owned(),
        };
        *self.services.lock().expect("lock") = Ok(list.iter().map(target).collect());
    }

    /// Lets one look-up pass and waits until the next one begins, so that the first has been learnt.
    async fn one_round(&self) {
        self.turns.add_permits(1);
        self.asked.acquire().await.expect("open").forget();
    }

    async fn turn(&self) {
        self.asked.add_permits(1);
        self.turns.acquire().await.expect("open").forget();
    }
}

/// The look-up of the name that the service is configured with takes a turn; those of SRV targets do not.
impl Lookup for Script {
    async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
        if name == "users.demo" {
            self.turn().await;
        }
        // The hosts of SRV records are asked for by their whole names.
        let name = name.trim_end_matches('.');
        let answer =
            self.hosts.lock().expect("lock").get(name).cloned().unwrap_or(Err(LookupFault { code: "no-such-name", definite: true }));
        answer.map(|addresses| Addresses { addresses, ttl: Duration::ZERO, said: said(), unanswered: None })
    }
    async fn addresses_in(&self, name: &str, family: Family) -> Result<Addresses, LookupFault> {
        let mut all = self.addresses(name).await?;
        all.addresses.retain(|address| Family::of(address) == family);
        if all.addresses.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(all) }
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        self.turn().await;
        self.services.lock().expect("lock").clone().map(|targets| Targets {
            targets,
            ttl: Duration::ZERO,
            said: said(),
            additional: Vec::new(),
        })
    }
}

fn run<F: Future<Output = ()>>(discover: DiscoverConfig, script: Arc<Script>, test: impl FnOnce(Arc<Service>, Arc<Script>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut config = ServiceConfig::new(discover);
    config.ttl.min = Span::millis(100);
    // The holds have tests of their own, by a clock that the tests move.
    config.ttl.hold = Span::default();
    let plan = config.check("services.users", &settings::files::Files::of(std::path::Path::new(".")), &mut Report::new()).expect("plan");
    runtime.block_on(async {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let service = Service::start(plan, &script, &tasks, &Clock::system(), &Metrics::new());
        script.asked.acquire().await.expect("open").forget();
        test(service, script).await;
    });
}

fn dns() -> DiscoverConfig {
    DiscoverConfig::Dns { name: "users.demo".into(), port: 80 }
}

fn names(service: &Service) -> Vec<String> {
    service.endpoints().endpoints().iter().map(|endpoint| endpoint.name().to_owned()).collect()
}

#[test]
fn every_address_of_both_families_is_an_instance() {
    let script = Script::new();
    script.host("users.demo", Ok(&["10.0.0.2", "10.0.0.1", "::1"]));
    run(dns(), script, async |service, script| {
        assert_eq!(service.endpoints().generation(), 0);
        script.turns.add_permits(1);
        assert!(service.wait_first(LONG).await);
        assert_eq!(names(&service), ["10.0.0.1:80", "10.0.0.2:80", "[::1]:80"]);
    });
}

#[test]
fn nothing_found_in_time_is_said_and_waiting_ends() {
    run(dns(), Script::new(), async |service, script| {
        assert!(!service.wait_first(Duration::from_millis(20)).await);
        script.one_round().await;
        let snapshot = service.snapshot();
        assert_eq!((snapshot.generation, snapshot.failure.expect("failure").code), (0, "no-such-name"));
    });
}

#[test]
fn a_failing_name_service_keeps_the_last_good_answer_and_recovery_is_taken() {
    let script = Script::new();
    script.host("users.demo", Ok(&["10.0.0.1"]));
    run(dns(), script, async |service, script| {
        script.one_round().await;
        for code in ["no-such-name", "server-failure", "timeout"] {
            script.host("users.demo", Err(LookupFault { code, definite: code == "no-such-name" }));
            script.one_round().await;
            assert_eq!(names(&service), ["10.0.0.1:80"]);
            assert_eq!(service.snapshot().failure.expect("told").code, code);
        }
        script.host("users.demo", Ok(&[]));
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.1:80"]);
        script.host("users.demo", Ok(&["10.0.0.9"]));
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.9:80"]);
        assert_eq!(service.endpoints().generation(), 2);
        assert!(service.snapshot().failure.is_none());
    });
}

#[test]
fn every_target_is_there_with_its_weight_and_its_tier_of_failover() {
    let script = Script::new();
    script.services(&[(10, 1, 81, "a.demo"), (10, 3, 82, "b.demo"), (20, 1, 83, "c.demo")]);
    for (host, address) in [("a.demo", "10.0.0.1"), ("b.demo", "10.0.0.2"), ("c.demo", "10.0.0.3")] {
        script.host(host, Ok(&[address]));
    }
    run(DiscoverConfig::Srv { name: "_http._tcp.users.demo".into() }, script, async |service, script| {
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.1:81", "10.0.0.2:82", "10.0.0.3:83"]);
        let set = service.endpoints();
        let shares: Vec<_> = set.found().iter().map(|one| (one.priority, one.weight)).collect();
        assert_eq!(shares, [(10, 1), (10, 3), (20, 1)]);
        assert_eq!(set.endpoints()[1].host(), Some("b.demo"));
        script.services(&[(20, 1, 83, "c.demo")]);
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.3:83"]);
        assert!(set.endpoints()[..2].iter().all(|endpoint| endpoint.is_gone()));
        script.services(&[(0, 0, 1, ".")]);
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.3:83"], "a service that says it is not there is an alarm, not an empty set");
        assert_eq!(service.snapshot().failure.expect("told").code, "no-records");
    });
}

#[test]
fn a_target_that_does_not_resolve_keeps_its_address_unless_it_is_said_not_to_exist() {
    let script = Script::new();
    script.services(&[(0, 0, 81, "a.demo"), (0, 0, 82, "b.demo")]);
    script.host("a.demo", Ok(&["10.0.0.1"]));
    script.host("b.demo", Ok(&["10.0.0.2"]));
    run(DiscoverConfig::Srv { name: "_http._tcp.users.demo".into() }, script, async |service, script| {
        script.one_round().await;
        script.host("b.demo", Err(LookupFault::TIMEOUT));
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.1:81", "10.0.0.2:82"]);
        script.host("b.demo", Err(LookupFault { code: "no-such-name", definite: true }));
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.1:81"]);
        script.host("a.demo", Err(LookupFault { code: "no-such-name", definite: true }));
        script.one_round().await;
        assert_eq!(names(&service), ["10.0.0.1:81"], "the last instance stays");
    });
}

#[test]
fn pauses_stay_inside_the_clamp_and_its_tenth() {
    let (min, max) = (Duration::from_secs(1), Duration::from_secs(5));
    let bounds = |ttl| (pause(ttl, min, max, 0), pause(ttl, min, max, u32::MAX));
    // A tenth of half a minute would be late.
    assert_eq!(pause(Duration::from_secs(30), min, Duration::from_secs(30), u32::MAX).as_secs(), 31);
    for (ttl, middle) in [(Duration::ZERO, 1_000), (Duration::from_secs(3), 3_000), (Duration::from_secs(3_600), 5_000)] {
        let (low, high) = bounds(ttl);
        assert_eq!((low.as_millis(), high.as_millis()), (middle * 9 / 10, middle * 11 / 10));
    }
}

#[test]
fn a_shorter_clamp_holds_for_the_pause_that_runs_and_the_longer_one_again_when_it_is_withdrawn() {
    let script = Script::new();
    script.host("users.demo", Ok(&["10.0.0.1"]));
    run(dns(), script, async |service, script| {
        let with = |min, max| ServicePlan {
            ttl: TtlPlan { min: Duration::from_secs(min), max: Duration::from_secs(max), ..service.plan().ttl },
            ..service.plan().clone()
        };
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let after = |before, plan| Service::after(Some(before), plan, &script, &tasks, &Clock::system(), &Metrics::new());
        let hour = after(&service, with(3_600, 3_600));
        script.turns.add_permits(1);
        assert!(hour.wait_first(LONG).await);
        let seconds = after(&hour, with(0, 0));
        // The next look-up begins although an hour has not passed.
        script.asked.acquire().await.expect("open").forget();
        drop(seconds);
        assert_eq!(hour.plan().ttl.max.as_secs(), 3_600);
        assert_eq!(hour.instances().terms().borrow().ttl.max.as_secs(), 3_600);
    });
}

#[test]
fn a_dropped_service_ends_its_look_ups_at_once() {
    let script = Script::new();
    run(dns(), script, async |service, script| {
        // One look-up is under way and would never end; a pause of an hour would be no different.
        drop(service);
        let ended = async {
            while Arc::strong_count(&script) > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("the loop ends");
    });
}

#[test]
fn a_dropped_service_is_looked_up_no_more() {
    let script = Script::new();
    script.host("users.demo", Ok(&["10.0.0.1"]));
    run(dns(), script, async |service, script| {
        script.one_round().await;
        drop(service);
        script.turns.add_permits(1);
        // The loop holds the other handle of the name service; it lets go when it ends.
        let ended = async {
            while Arc::strong_count(&script) > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("the loop ends");
        assert_eq!(script.asked.available_permits(), 0, "one look-up was under way, none followed");
    });
}

#[test]
fn a_first_answer_in_parts_begins_no_slow_start_and_whoever_comes_after_it_does() {
    let config = ServiceConfig::new(DiscoverConfig::Dns { name: "orders.demo".into(), port: 80 });
    let plan = config.check("services.orders", &settings::files::Files::of(std::path::Path::new("/")), &mut Report::new()).expect("plan");
    let (clock, _) = Clock::manual(1);
    let instances = Instances::new(&plan, crate::measures::Measures::of("orders", &Metrics::new()), &clock);
    let found = |ports: &[u16]| -> Vec<Found> {
        let one = |port: &u16| Found { address: Address::Tcp(([10, 0, 0, 1], *port).into()), host: None, weight: 0, priority: 0 };
        ports.iter().map(one).collect()
    };
    let spared = || {
        let is_spared = |endpoint: &Arc<crate::endpoint::Endpoint>| {
            endpoint.ramp(crate::moment::now_ms(), Duration::from_secs(3_600)) < crate::endpoint::RAMP_WHOLE
        };
        instances.endpoints().endpoints().iter().map(is_spared).collect::<Vec<_>>()
    };
    instances.learn_part(found(&[1]), said());
    instances.learn_part(found(&[1, 2]), said());
    instances.learn(Ok(found(&[1, 2, 3])));
    assert_eq!(spared(), [false; 3]);
    instances.learn_part(found(&[4]), said());
    instances.learn(Ok(found(&[1, 2, 3, 4, 5])));
    assert_eq!(spared(), [false, false, false, true, true]);
}
