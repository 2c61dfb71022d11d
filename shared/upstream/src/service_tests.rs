//! A service at run time: its generations, its endpoints, its end.

use super::*;
use crate::config::ServiceConfig;
use crate::config::discover::DiscoverConfig;
use crate::discover::generation::Why;
use crate::lookup::{Addresses, LookupFault, Targets};

/// No test of this file may look a name up.
struct NoNames;

impl Lookup for NoNames {
    async fn addresses(&self, _: &str) -> Result<Addresses, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
    async fn addresses_in(&self, name: &str, _: Family) -> Result<Addresses, LookupFault> {
        self.addresses(name).await
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

fn found(port: u16) -> Found {
    Found { address: Address::Tcp(([127, 0, 0, 1], port).into()), host: None, weight: 1, priority: 0 }
}

fn plan(name: &str, ports: &[u16]) -> ServicePlan {
    let addresses = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let config = ServiceConfig::new(DiscoverConfig::Static { addresses });
    let files = settings::files::Files::of(std::path::Path::new("."));
    config.check(&format!("services.{name}"), &files, &mut settings::report::Report::new()).expect("plan")
}

fn after(before: Option<&Arc<Service>>, plan: ServicePlan, metrics: &Metrics) -> Arc<Service> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let (clock, _) = Clock::manual(1_000);
    Service::after(before, plan, &Arc::new(NoNames), &Tasks::on(runtime.handle().clone()), &clock, metrics)
}

fn service(metrics: &Metrics) -> Arc<Service> {
    after(None, plan("orders", &[1, 2]), metrics)
}

#[test]
fn listed_instances_are_there_at_once() {
    let snapshot = service(&Metrics::new()).snapshot();
    assert_eq!((snapshot.name.as_str(), snapshot.generation, snapshot.endpoints.len()), ("orders", 1, 2));
    let json = serde_json::to_value(&snapshot).expect("json");
    assert_eq!(json["endpoints"][0]["address"], "127.0.0.1:1");
    assert_eq!(json["failure"], serde_json::Value::Null);
}

#[test]
fn a_failure_leaves_the_instances_and_is_told() {
    let metrics = Metrics::new();
    let service = service(&metrics);
    service.instances().learn(Err(LookupFault { code: "server-failure", definite: false }));
    service.instances().learn(Err(LookupFault { code: "server-failure", definite: false }));
    let snapshot = service.snapshot();
    assert_eq!((snapshot.generation, snapshot.endpoints.len()), (1, 2));
    assert_eq!(snapshot.failure.expect("failure").code, "server-failure");
    service.instances().learn(Ok(Vec::new()));
    assert_eq!(service.snapshot().failure.expect("an empty answer is a failure").code, "no-records");
    service.instances().learn(Ok(vec![found(2), found(1)]));
    assert!(service.snapshot().failure.is_none());
    assert_eq!(service.snapshot().generation, 1, "the same answer is no change");
    let text = metrics.encode();
    for line in [
        r#"gateway_dns_lookups_total{service="orders",result="server-failure"} 2"#,
        r#"gateway_dns_lookups_total{service="orders",result="no-records"} 1"#,
        r#"gateway_dns_generations_total{service="orders"} 1"#,
        r#"gateway_instances{service="orders"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn an_instance_that_is_no_longer_named_is_gone_and_the_other_keeps_its_counters() {
    let service = service(&Metrics::new());
    let before = service.endpoints();
    service.instances().learn(Ok(vec![found(2), found(3)]));
    let after = service.endpoints();
    assert!(before.endpoints()[0].is_gone() && !before.endpoints()[1].is_gone());
    assert!(Arc::ptr_eq(&before.endpoints()[1], &after.endpoints()[0]));
    drop(service);
    assert!(after.endpoints().iter().all(|endpoint| endpoint.is_gone()), "a dropped service retires its instances");
}

#[test]
fn an_equal_plan_is_the_same_service() {
    let metrics = Metrics::new();
    let before = service(&metrics);
    assert!(Arc::ptr_eq(&before, &after(Some(&before), plan("orders", &[1, 2]), &metrics)));
    assert!(!Arc::ptr_eq(&before, &after(Some(&before), plan("users", &[1, 2]), &metrics)), "another name is another service");
}

#[test]
fn what_does_not_concern_the_instances_leaves_them_as_they_are() {
    let metrics = Metrics::new();
    let before = service(&metrics);
    let set = before.endpoints();
    set.endpoints()[0].begin();
    set.endpoints()[1].connect_failed(1, 1);
    let base = plan("orders", &[1, 2]);
    let mut changed = base.clone();
    (changed.timeouts.connect, changed.timeouts.idle) = (Duration::from_secs(9), Duration::from_secs(9));
    changed.retries.attempts_max = 1;
    changed.balance.picker = Balance::RoundRobin;
    changed.pool.connections_max = 7;
    changed.retries.budget.percent = 5;
    let next = after(Some(&before), changed.clone(), &metrics);
    assert!(!Arc::ptr_eq(&before, &next) && *next.plan() == changed);
    assert!(Arc::ptr_eq(&set, &next.endpoints()), "the same generation");
    assert!(Arc::ptr_eq(before.ceiling(), next.ceiling()), "one count of connections");
    drop(before);
    assert!(set.endpoints().iter().all(|endpoint| !endpoint.is_gone()));
    let shown = next.snapshot();
    assert_eq!((shown.generation, shown.endpoints[0].in_flight, shown.endpoints[1].consecutive_failures), (1, 1, 1));
    drop(next);
    assert!(set.endpoints().iter().all(|endpoint| endpoint.is_gone()));
}

#[test]
fn a_configuration_that_does_not_come_to_serve_leaves_the_former_one_whole() {
    let metrics = Metrics::new();
    let before = service(&metrics);
    drop(after(Some(&before), plan("orders", &[2, 3]), &metrics));
    let mut once = plan("orders", &[1, 2]);
    once.retries.attempts_max = 1;
    drop(after(Some(&before), once, &metrics));
    assert!(before.endpoints().endpoints().iter().all(|endpoint| !endpoint.is_gone()));
    assert!(metrics.encode().contains(r#"gateway_instances{service="orders"}"#));
}

#[test]
fn an_instance_that_a_new_list_names_too_is_the_same_one() {
    let metrics = Metrics::new();
    let before = service(&metrics);
    let (first, second) = (before.endpoints().endpoints()[0].clone(), before.endpoints().endpoints()[1].clone());
    second.begin();
    let next = after(Some(&before), plan("orders", &[2, 3]), &metrics);
    assert_eq!(next.endpoints().generation(), 2, "generations count on");
    assert!(Arc::ptr_eq(&second, &next.endpoints().endpoints()[0]));
    assert!(!first.is_gone(), "the former configuration still serves");
    drop(before);
    assert!(first.is_gone() && !second.is_gone());
    // A reload later the one that was taken over is left like any other.
    let last = after(Some(&next), plan("orders", &[4]), &metrics);
    drop(next);
    assert!(second.is_gone() && last.endpoints().generation() == 3);
}

#[test]
fn instances_that_are_reached_in_another_way_are_met_anew_at_once() {
    let metrics = Metrics::new();
    let mut dns = plan("orders", &[1]);
    dns.discover = DiscoverPlan::Dns { name: "orders.demo".into(), port: 80 };
    let before = after(None, dns.clone(), &metrics);
    before.instances().learn(Ok(vec![found(1), found(2)]));
    before.endpoints().endpoints()[0].begin();
    let key = rcgen::generate_simple_self_signed(vec!["orders.demo".to_owned()]).expect("a certificate");
    let folder = std::env::temp_dir().join(format!("upstream-anew-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("ca.pem"), key.cert.pem()).expect("written");
    let terms = wire::tls::client::ClientTerms {
        roots: wire::tls::roots::Roots::File(folder.join("ca.pem")),
        certificate: None,
        server_name: "orders.demo".to_owned(),
        peers: None,
        minimum: Default::default(),
        alpn: vec![b"http/1.1"],
    };
    let tls = || Some(wire::tls::client::ClientTls::new(&terms).expect("usable"));
    let next = after(Some(&before), ServicePlan { tls: tls(), ..dns.clone() }, &metrics);
    let same = after(Some(&next), ServicePlan { tls: tls(), ..dns.clone() }, &metrics);
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(Arc::ptr_eq(&next, &same), "the same material read again is the same plan");
    let set = next.endpoints();
    assert_eq!((set.generation(), set.endpoints().len()), (2, 2), "nobody waits for DNS");
    assert_eq!(set.endpoints()[0].in_flight(), 0);
    let old = before.endpoints();
    drop(before);
    assert!(old.endpoints().iter().all(|endpoint| endpoint.is_gone()));
    assert!(set.endpoints().iter().all(|endpoint| !endpoint.is_gone()));
    // Another name may mean other instances; until it has been looked up those of before are the best that is known.
    let moved = DiscoverPlan::Dns { name: "elsewhere.demo".into(), port: 80 };
    let other = after(Some(&next), ServicePlan { discover: moved, tls: tls_of(&next), ..dns.clone() }, &metrics);
    assert_eq!((other.endpoints().generation(), other.endpoints().endpoints().len()), (2, 2));
    other.instances().learn(Ok(vec![found(2), found(3)]));
    assert_eq!(other.endpoints().generation(), 3);
    assert!(Arc::ptr_eq(&set.endpoints()[1], &other.endpoints().endpoints()[0]));
    // Where TLS is given up nobody is left until the new name is answered, and that is a generation too.
    let plain = DiscoverPlan::Dns { name: "plain.demo".into(), port: 80 };
    let clear = after(Some(&other), ServicePlan { discover: plain, ..dns }, &metrics);
    let newest = clear.history().generations[0].clone();
    assert_eq!((clear.endpoints().generation(), clear.endpoints().endpoints().len()), (4, 0));
    assert_eq!((newest.generation, newest.why, newest.instances, newest.removed.count), (4, Why::Reload, 0, 2));
}

#[test]
fn a_new_name_that_dns_does_not_answer_leaves_the_former_instances_in_use() {
    let metrics = Metrics::new();
    let named = |name: &str| ServicePlan { discover: DiscoverPlan::Dns { name: name.into(), port: 80 }, ..plan("orders", &[1]) };
    let before = after(None, named("orders.demo"), &metrics);
    before.instances().learn(Ok(vec![found(1), found(2)]));
    let set = before.endpoints();
    let next = after(Some(&before), named("elsewhere.demo"), &metrics);
    assert!(std::iter::zip(set.endpoints(), next.endpoints().endpoints()).all(|(one, other)| Arc::ptr_eq(one, other)));
    next.instances().learn(Err(LookupFault::TIMEOUT));
    next.instances().learn(Ok(Vec::new()));
    drop(before);
    assert!(set.endpoints().iter().all(|endpoint| !endpoint.is_gone()), "they serve on although the former configuration has ended");
    let shown = serde_json::to_value(next.snapshot()).expect("json");
    assert_eq!((&shown["handed_down"], &shown["generation"], &shown["failure"]["code"]), (&true.into(), &1.into(), &"no-records".into()));

    // A third name in the meantime inherits them likewise, and one that is not taken leaves them alone.
    drop(after(Some(&next), named("nowhere.demo"), &metrics));
    let last = after(Some(&next), named("third.demo"), &metrics);
    drop(next);
    assert!(last.endpoints().is_handed_down() && set.endpoints().iter().all(|endpoint| !endpoint.is_gone()));
    // The first answer ends it, also where it names the same instances.
    let same = after(Some(&last), named("fourth.demo"), &metrics);
    same.instances().learn(Ok(vec![found(1), found(2)]));
    assert!(!same.endpoints().is_handed_down() && same.endpoints().generation() == 2);
    last.instances().learn(Ok(vec![found(2), found(3)]));
    drop(same);
    assert!(set.endpoints()[0].is_gone() && !set.endpoints()[1].is_gone());
    assert_eq!(serde_json::to_value(last.snapshot()).expect("json").get("handed_down"), None);

    // Addresses that the operator has written down are all there is to know.
    let listed = after(Some(&last), plan("orders", &[9]), &metrics);
    assert_eq!((listed.endpoints().endpoints().len(), listed.endpoints().is_handed_down()), (1, false));
    drop(last);
    assert!(set.endpoints()[1].is_gone());
}

#[test]
fn the_gauges_show_the_youngest_configuration_that_is_left() {
    let metrics = Metrics::new();
    let shows = |count: usize| {
        let text = metrics.encode();
        assert!(text.contains(&format!("gateway_instances{{service=\"orders\"}} {count}\n")), "{count} in\n{text}");
        assert!(
            text.contains(&format!("gateway_instances_health{{service=\"orders\",state=\"unknown\"}} {count}\n")),
            "{count} in\n{text}"
        );
    };
    let before = service(&metrics);
    before.instances().count_standings();
    shows(2);
    let next = after(Some(&before), plan("orders", &[3, 4, 5]), &metrics);
    shows(3);
    before.instances().learn(Ok(vec![found(1)]));
    before.instances().count_standings();
    shows(3);
    drop(next);
    shows(1);
    let last = after(Some(&before), plan("orders", &[3, 4, 5, 6]), &metrics);
    drop(before);
    shows(4);
    drop(last);
    assert!(!metrics.encode().contains("orders"));
}

fn tls_of(service: &Service) -> Option<wire::tls::client::ClientTls> {
    service.plan().tls.clone()
}

#[test]
fn label_sets_go_with_the_last_service_of_a_name() {
    let metrics = Metrics::new();
    let quiet = metrics.encode().len();
    let mut before: Option<Arc<Service>> = None;
    for round in 0..300 {
        let next = after(before.as_ref(), plan(&format!("service-{round}"), &[1]), &metrics);
        next.instances().learn(Err(LookupFault::TIMEOUT));
        before = Some(next);
    }
    let text = metrics.encode();
    assert!(text.contains("service-299") && !text.contains("service-298"), "{text}");
    drop(before);
    let empty = metrics.encode();
    assert!(!empty.contains("service-"), "{empty}");
    assert!(empty.len() < quiet + 4_000, "{empty}");

    // A service that comes back while its former self still ends counts on, and does not lose its labels with it.
    let former = service(&metrics);
    former.measures().generations.inc();
    let back = service(&metrics);
    drop(former);
    assert!(metrics.encode().contains(r#"gateway_dns_generations_total{service="orders"} 3"#), "{}", metrics.encode());
    drop(back);
    assert!(!metrics.encode().contains("orders"));
}
