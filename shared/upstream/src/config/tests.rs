//! Services as written: what is lawful, and what is complained about.

use std::path::Path;

use settings::units::Span;

use super::*;
use crate::config::health::HealthConfig;
use crate::plan::discover::{DiscoverPlan, Entry};
use crate::plan::health::ProbePlan;

fn read(yaml: &str) -> (Option<ServicePlan>, Vec<String>) {
    let mut report = Report::new();
    let config: Option<ServiceConfig> = settings::read::read("gw.yaml", yaml, &|_| None, &mut report);
    let plan = config.and_then(|config| config.check("services.orders", &Files::of(Path::new("/etc/gw")), &mut report));
    (plan, report.complaints().iter().map(|complaint| format!("{} {}", complaint.key, complaint.what)).collect())
}

#[test]
fn the_short_form_takes_every_default() {
    let (plan, complaints) = read("discover: { kind: srv, name: _http._tcp.Orders.demo. }");
    let plan = plan.unwrap_or_else(|| panic!("{complaints:?}"));
    assert_eq!(&*plan.name, "orders");
    assert_eq!(plan.discover, DiscoverPlan::Srv { name: "_http._tcp.orders.demo.".into() });
    assert_eq!(plan.balance, Balance::LeastRequest);
    assert_eq!((plan.ttl.min.as_secs(), plan.ttl.max.as_secs(), plan.timeouts.connect.as_secs()), (1, 5, 2));
    assert_eq!(plan.timeouts.upload_idle.as_secs(), 30);
    assert_eq!((plan.pool.idle_max, plan.pool.connections_max, plan.retries.attempts_max), (32, 1024, 3));
    assert_eq!((plan.pool.idle.as_secs(), plan.pool.age.as_secs()), (60, 600));
}

#[test]
fn a_service_may_have_dots_in_its_name_and_nothing_that_queries_stumble_over() {
    let check = |name: &str| {
        let mut report = Report::new();
        let config = ServiceConfig::new(DiscoverConfig::Unix { path: "a.sock".to_owned() });
        let plan = config.check(&format!("services.{name}"), &Files::of(Path::new("/")), &mut report);
        assert_eq!(plan.is_some(), report.is_clean(), "{name}");
        plan.map(|plan| plan.name.to_string())
    };
    assert_eq!(check("orders.v2").as_deref(), Some("orders.v2"));
    for wrong in ["", "my orders", "orders\"", "\u{e9}t\u{e9}", &"x".repeat(129)] {
        assert_eq!(check(wrong), None, "{wrong}");
    }
}

#[test]
fn a_name_that_begins_as_that_of_srv_records_must_go_on_as_one() {
    for (name, lawful) in [("_http._tcp.a.demo", true), ("orders.service.consul", true), ("_http.a.demo", false), ("_http", false)] {
        assert_eq!(read(&format!("discover: {{ kind: srv, name: {name} }}")).0.is_some(), lawful, "{name}");
    }
}

fn entry(address: &str, weight: u16, priority: u16) -> Entry {
    Entry { address: address.parse().expect("an address"), weight, priority }
}

#[test]
fn what_is_kept_is_kept_for_a_week_at_most() {
    let (plan, _) = read("discover: { kind: dns, name: a.demo, port: 1 }\nttl: { hold: 0s, absent: 0s, unanswered: 168h }");
    let ttl = plan.expect("lawful").ttl;
    assert_eq!((ttl.hold.as_secs(), ttl.absent.as_secs(), ttl.unanswered.map(|span| span.as_secs())), (0, 0, Some(604_800)));
    for part in ["hold", "absent", "unanswered"] {
        let (plan, complaints) = read(&format!("discover: {{ kind: dns, name: a.demo, port: 1 }}\nttl: {{ {part}: 169h }}"));
        assert!(plan.is_none() && complaints.len() == 1, "{complaints:?}");
        assert!(complaints[0].starts_with(&format!("services.orders.ttl.{part} ")), "{complaints:?}");
    }
    let (plan, _) = read("discover: { kind: dns, name: a.demo, port: 1 }");
    let ttl = plan.expect("lawful").ttl;
    assert_eq!((ttl.hold.as_secs(), ttl.absent.as_secs(), ttl.unanswered), (5, 60, None));
}

#[test]
fn lists_of_instances_are_complained_of_entry_by_entry() {
    let (_, complaints) = read(
        "discover: { kind: static, addresses: [\"127.0.0.1:1\", { address: \"127.0.0.1:1\" }, { address: a }, { weight: 1 }, 7, { address: \"1.1.1.1:1\", weight: 65536 }] }",
    );
    for key in ["addresses[1].address", "addresses[2].address"] {
        assert!(
            complaints.iter().any(|complaint| complaint.starts_with(&format!("services.orders.discover.{key} "))),
            "{key}: {complaints:#?}"
        );
    }
}

#[test]
fn every_form_of_discovery_is_read() {
    for (yaml, wanted) in [
        (
            "discover: { kind: static, addresses: [\"127.0.0.1:80\", \"[::1]:81\"] }",
            DiscoverPlan::Static(vec![entry("127.0.0.1:80", 1, 0), entry("[::1]:81", 1, 0)]),
        ),
        ("discover: { kind: dns, name: Users.demo., port: 9301 }", DiscoverPlan::Dns { name: "users.demo.".into(), port: 9301 }),
        (
            "discover: { kind: static, addresses: [\"127.0.0.1:80\", { address: \"[::1]:81\", weight: 0, priority: 7 }] }",
            DiscoverPlan::Static(vec![entry("127.0.0.1:80", 1, 0), entry("[::1]:81", 0, 7)]),
        ),
        ("discover: { kind: file, path: run/a.yaml }", DiscoverPlan::File { path: "/etc/gw/run/a.yaml".into(), within: None }),
        ("discover: { kind: dns, name: users.demo, port: 9301 }", DiscoverPlan::Dns { name: "users.demo".into(), port: 9301 }),
        ("discover: { kind: unix, path: run/a.sock }", DiscoverPlan::Unix("/etc/gw/run/a.sock".into())),
    ] {
        let (plan, complaints) = read(yaml);
        assert_eq!(plan.unwrap_or_else(|| panic!("{yaml}: {complaints:?}")).discover, wanted);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let (plan, complaints) = read(
        "discover: { kind: static, addresses: [\"localhost:80\", \"1.2.3.4:0\"] }\n\
         ttl: { min: 9s, max: 1s }\n\
         timeouts: { connect: 0s, upload_idle: 0s }\n\
         pool: { connections_max: 0 }\n\
         retries: { attempts_max: 99, budget_percent: 101, per_second_min: 1001 }\n\
         tls: { ca: missing.pem, certificate: a.pem, peers: [nonsense] }\n",
    );
    assert!(plan.is_none());
    for key in [
        "services.orders.discover.addresses[0]",
        "services.orders.discover.addresses[1]",
        "services.orders.ttl.max",
        "services.orders.timeouts.connect",
        "services.orders.timeouts.upload_idle",
        "services.orders.pool.connections_max",
        "services.orders.retries.attempts_max",
        "services.orders.retries.budget_percent",
        "services.orders.retries.per_second_min",
        "services.orders.tls.certificate",
        "services.orders.tls.peers[0]",
    ] {
        assert!(complaints.iter().any(|complaint| complaint.starts_with(&format!("{key} "))), "{key} is missing in {complaints:#?}");
    }
}

#[test]
fn checks_without_a_pause_a_bound_or_a_threshold_are_complained_of() {
    let mut report = Report::new();
    let config = HealthConfig { every: Span::millis(99), timeout: Span::default(), unhealthy_threshold: 0, healthy_threshold: 0 };
    assert!(config.check("link.health", ProbePlan::Link, &mut report).is_none());
    let keys: Vec<&str> = report.complaints().iter().map(|complaint| complaint.key.as_str()).collect();
    assert_eq!(keys, ["link.health.every", "link.health.timeout", "link.health.unhealthy_threshold", "link.health.healthy_threshold"]);
    let check = |every| HealthConfig { every, ..HealthConfig::default() }.check("link.health", ProbePlan::Link, &mut Report::new());
    assert!(check(Span::secs(5)).is_some() && check(Span::millis(5_001)).is_none(), "whoever leaves is asked before it is gone");
    let plan = HealthConfig::default().check("link.health", ProbePlan::Link, &mut Report::new()).expect("the defaults are lawful");
    assert_eq!((plan.every.as_secs(), plan.timeout.as_secs(), plan.unhealthy_threshold, plan.healthy_threshold), (1, 1, 3, 1));
}

#[test]
fn a_missing_bundle_is_complained_of_at_its_key() {
    let (plan, complaints) = read("discover: { kind: dns, name: a.demo, port: 1 }\ntls: { ca: missing.pem }\n");
    assert!(plan.is_none());
    assert!(complaints.len() == 1 && complaints[0].starts_with("services.orders.tls.ca "), "{complaints:?}");
}

#[test]
fn addresses_need_a_name_to_ask_for_under_tls() {
    let (_, complaints) = read("discover: { kind: static, addresses: [\"127.0.0.1:1\"] }\ntls: { ca: missing.pem }\n");
    assert!(complaints.iter().any(|complaint| complaint.starts_with("services.orders.tls.server_name ")), "{complaints:?}");
}

#[test]
fn names_that_dns_would_refuse_are_refused() {
    for name in ["", ".", "a..b", "a b", "ä.demo", &"a".repeat(64), &["a"; 130].join(".")] {
        let (plan, complaints) = read(&format!("discover: {{ kind: dns, name: \"{name}\", port: 1 }}"));
        assert!(plan.is_none() && complaints.len() == 1, "{name}: {complaints:?}");
    }
}

#[test]
fn the_schema_names_every_kind() {
    let schema = serde_json::to_string(&schemars::schema_for!(ServiceConfig)).expect("json");
    for kind in ["static", "dns", "srv", "unix", "least_request", "round_robin"] {
        assert!(schema.contains(&format!("\"{kind}\"")), "{kind}");
    }
}
