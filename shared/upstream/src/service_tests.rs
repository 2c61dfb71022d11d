//! A service at run time: its generations, its endpoints, its end.

use super::*;
use crate::config::{DiscoverConfig, ServiceConfig};
use crate::lookup::{Addresses, Targets};

/// No test of this file may look a name up.
struct NoNames;

impl Lookup for NoNames {
    async fn addresses(&self, _: &str) -> Result<Addresses, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

fn found(port: u16) -> Found {
    Found { address: Address::Tcp(([127, 0, 0, 1], port).into()), host: None, weight: 0 }
}

fn service(metrics: &Metrics) -> Arc<Service> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let config = ServiceConfig::new(DiscoverConfig::Static { addresses: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()] });
    let plan = config
        .check("services.orders", &settings::files::Files::of(std::path::Path::new(".")), &mut settings::report::Report::new())
        .expect("plan");
    let (clock, _) = Clock::manual(1_000);
    Service::start(plan, &Arc::new(NoNames), &Tasks::on(runtime.handle().clone()), &clock, metrics)
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
    service.learn(Err(LookupFault { code: "server-failure", definite: false }));
    service.learn(Err(LookupFault { code: "server-failure", definite: false }));
    let snapshot = service.snapshot();
    assert_eq!((snapshot.generation, snapshot.endpoints.len()), (1, 2));
    assert_eq!(snapshot.failure.expect("failure").code, "server-failure");
    service.learn(Ok(Vec::new()));
    assert_eq!(service.snapshot().failure.expect("an empty answer is a failure").code, "no-records");
    service.learn(Ok(vec![found(2), found(1)]));
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
    service.learn(Ok(vec![found(2), found(3)]));
    let after = service.endpoints();
    assert!(before.endpoints()[0].is_gone() && !before.endpoints()[1].is_gone());
    assert!(Arc::ptr_eq(&before.endpoints()[1], &after.endpoints()[0]));
    drop(service);
    assert!(after.endpoints().iter().all(|endpoint| endpoint.is_gone()), "a dropped service retires its instances");
}
