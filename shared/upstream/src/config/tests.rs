//! Services as written: what is lawful, and what is complained about.

use std::path::Path;

use settings::units::Span;

use super::*;
use crate::config::health::HealthConfig;
use crate::config::outliers::{OutliersConfig, Whose};
use crate::plan::balance::{BalancePlan, HashOn, HashPlan};
use crate::plan::discover::{DiscoverPlan, Entry};
use crate::plan::health::ProbePlan;
use crate::plan::protocol::Protocol;

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
    assert_eq!(plan.balance, BalancePlan::of(Balance::LeastRequest));
    assert_eq!((plan.ttl.min.as_secs(), plan.ttl.max.as_secs(), plan.timeouts.connect.as_secs()), (1, 5, 2));
    assert_eq!(plan.timeouts.upload_idle.as_secs(), 30);
    assert_eq!((plan.pool.idle_max, plan.pool.connections_max, plan.retries.attempts_max), (32, 1024, 3));
    assert_eq!((plan.pool.idle.as_secs(), plan.pool.age.as_secs()), (60, 600));
    assert_eq!((plan.protocol, plan.pool.streams_max), (Protocol::Http1, 100));
}

#[test]
fn http_2_is_asked_for_by_its_name_and_bounds_its_streams() {
    let (plan, complaints) =
        read("{ discover: { kind: static, addresses: [\"127.0.0.1:80\"] }, protocol: http2, pool: { streams_max: 7 } }");
    let plan = plan.unwrap_or_else(|| panic!("{complaints:?}"));
    assert_eq!((plan.protocol, plan.pool.streams_max), (Protocol::Http2, 7));
    for (options, key) in [
        ("pool: { streams_max: 0 }", "services.orders.pool.streams_max"),
        ("pool: { streams_max: 10001 }", "services.orders.pool.streams_max"),
        ("protocol: h2c", "protocol"),
    ] {
        let (_, complaints) = read(&format!("{{ discover: {{ kind: static, addresses: [\"127.0.0.1:80\"] }}, {options} }}"));
        assert!(complaints.len() == 1 && complaints[0].starts_with(key), "{options}: {complaints:?}");
    }
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
         timeouts: { connect: 0s, upload_idle: 0s, per_try: 0s, total: 0s }\n\
         pool: { connections_max: 0 }\n\
         retries: { attempts_max: 99, budget_percent: 101, per_second_min: 1001, backoff: { base: 1s } }\n\
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
        "services.orders.retries.backoff.max",
        "services.orders.timeouts.per_try",
        "services.orders.timeouts.total",
        "services.orders.tls.certificate",
        "services.orders.tls.peers[0]",
    ] {
        assert!(complaints.iter().any(|complaint| complaint.starts_with(&format!("{key} "))), "{key} is missing in {complaints:#?}");
    }
}

#[test]
fn limits_and_breakers_that_make_no_sense_are_complained_of() {
    let (plan, complaints) = read(
        "discover: { kind: unix, path: a.sock }\n\
         limits: { requests_max: 0, queue_max: 65537, queue_wait: 0s }\n\
         breaker: { failure_percent: 0, requests_min: 0, window: 0s, open: 11m }\n",
    );
    assert!(plan.is_none());
    for key in [
        "limits.requests_max",
        "limits.queue_max",
        "limits.queue_wait",
        "breaker.failure_percent",
        "breaker.requests_min",
        "breaker.window",
        "breaker.open",
    ] {
        let key = format!("services.orders.{key} ");
        assert!(complaints.iter().any(|complaint| complaint.starts_with(&key)), "{key}is missing in {complaints:#?}");
    }
}

#[test]
fn a_breaker_is_there_unless_it_is_taken_out() {
    let (usual, _) = read("discover: { kind: unix, path: a.sock }");
    let usual = usual.expect("plan");
    assert_eq!(usual.breaker.map(|breaker| (breaker.failure_percent, breaker.requests_min)), Some((90, 20)));
    assert_eq!((usual.limits.requests_max, usual.limits.queue_max, usual.limits.queue_wait.as_secs()), (1024, 1024, 1));
    assert_eq!((usual.timeouts.per_try, usual.timeouts.total), (None, None));
    let (none, _) = read("discover: { kind: unix, path: a.sock }\nbreaker: null");
    assert_eq!(none.expect("plan").breaker, None);
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
    for kind in ["static", "dns", "srv", "unix", "least_request", "round_robin", "weighted", "peak_ewma", "consistent_hash", "caller"] {
        assert!(schema.contains(&format!("\"{kind}\"")), "{kind}");
    }
}

#[test]
fn a_rule_and_its_key_come_together() {
    const HERE: &str = "discover: { kind: dns, name: a.demo, port: 1 }";
    let lawful = |rest: &str| match read(&format!("{HERE}\n{rest}")) {
        (Some(plan), _) => plan.balance,
        (None, complaints) => panic!("{rest}: {complaints:?}"),
    };
    for (rest, on) in [
        ("{ on: header, name: X-Tenant }", HashOn::Header("x-tenant".parse().expect("a name"))),
        ("{ on: cookie, name: id }", HashOn::Cookie("id".into())),
        ("{ on: caller }", HashOn::Caller),
        ("{ on: address }", HashOn::Address),
    ] {
        let hash = lawful(&format!("balance: consistent_hash\nhash: {rest}")).hash;
        assert_eq!(hash, Some(HashPlan { on, load_max_percent: 125 }));
    }
    let more = lawful("balance: peak_ewma\nslow_start: 10s\npanic_percent: 0");
    assert_eq!((more.picker, more.slow_start.as_secs(), more.panic_percent, more.hash), (Balance::PeakEwma, 10, 0, None));
    for (rest, key) in [
        ("balance: consistent_hash", "hash"),
        ("hash: { on: caller }", "hash"),
        ("balance: consistent_hash\nhash: { on: header }", "hash.name"),
        ("balance: consistent_hash\nhash: { on: header, name: \"x y\" }", "hash.name"),
        ("balance: consistent_hash\nhash: { on: cookie, name: \"a=b\" }", "hash.name"),
        ("balance: consistent_hash\nhash: { on: address, name: x }", "hash.name"),
        ("balance: consistent_hash\nhash: { on: caller, load_max_percent: 99 }", "hash.load_max_percent"),
        ("balance: consistent_hash\nhash: { on: caller, load_max_percent: 1001 }", "hash.load_max_percent"),
        ("slow_start: 61m", "slow_start"),
        ("panic_percent: 101", "panic_percent"),
        ("sticky: { key: missing.secret }", "sticky.key"),
    ] {
        let (plan, complaints) = read(&format!("{HERE}\n{rest}"));
        assert!(plan.is_none(), "{rest}");
        assert!(complaints.len() == 1 && complaints[0].starts_with(&format!("services.orders.{key} ")), "{rest}: {complaints:?}");
    }
}

#[test]
fn a_sticky_secret_is_one_of_32_bytes_and_equal_only_to_itself() {
    let folder = std::env::temp_dir().join(format!("upstream-sticky-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let sticky = |secret: &str, rest: &str| {
        std::fs::write(folder.join("secret"), secret).expect("written");
        let yaml = format!("discover: {{ kind: dns, name: a.demo, port: 1 }}\nsticky: {{ key: secret{rest} }}\n");
        let mut report = Report::new();
        let config: Option<ServiceConfig> = settings::read::read("gw.yaml", &yaml, &|_| None, &mut report);
        let plan = config.and_then(|config| config.check("services.orders", &Files::of(&folder), &mut report));
        let keys: Vec<String> = report.complaints().iter().map(|complaint| complaint.key.clone()).collect();
        (plan.and_then(|plan| plan.balance.sticky), keys)
    };
    let (one, other) = ("one secret of thirty-two bytes...", "another secret of thirty-two bytes");
    let plan = sticky(one, "").0.expect("a plan");
    assert_eq!((&*plan.cookie, plan.life.as_secs()), ("gw-instance-orders", 3_600));
    assert!(!format!("{plan:?}").contains("secret of"), "{plan:?}");
    assert_eq!(sticky(&format!("{one}\n"), "").0.as_ref(), Some(&plan), "an editor's line break is not the secret's");
    assert_ne!(sticky(other, "").0, Some(plan));
    assert_eq!(sticky("too short", "").1, ["services.orders.sticky.key"]);
    assert_eq!(sticky(one, ", cookie: \"a b\"").1, ["services.orders.sticky.cookie"]);
    assert_eq!(sticky(one, ", life: 999ms").1, ["services.orders.sticky.life"]);
    assert_eq!(sticky(one, ", life: 9601h").1, ["services.orders.sticky.life"]);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_service_is_checked_only_where_it_says_how() {
    let plan = |rest: &str| {
        let (plan, complaints) = read(&format!("discover: {{ kind: dns, name: a.demo, port: 80 }}\n{rest}"));
        plan.unwrap_or_else(|| panic!("{rest}: {complaints:?}"))
    };
    assert_eq!(plan("").health, None);
    let health = plan("health: { probe: { kind: http, path: /healthz } }").health.expect("checks");
    assert_eq!((health.every.as_secs(), health.timeout.as_secs(), health.unhealthy_threshold, health.healthy_threshold), (5, 2, 3, 2));
    let ProbePlan::Http(probe) = health.probe else { panic!("{:?}", health.probe) };
    assert_eq!((probe.path.as_str(), probe.host, probe.expect, probe.port, probe.http2), ("/healthz", None, vec![200..=299], None, false));
    let health =
        plan("health: { probe: { kind: http, path: \"/a?b=c\", host: b.demo, expect: [200, 300-399], port: 9000, http2: true } }").health;
    let Some(ProbePlan::Http(probe)) = health.map(|health| health.probe) else { panic!("another probe") };
    assert_eq!(
        (probe.host.expect("host"), probe.expect, probe.port, probe.http2),
        ("b.demo".parse().unwrap(), vec![200..=200, 300..=399], Some(9000), true)
    );
    assert_eq!(plan("health: { probe: { kind: tcp, port: 1 } }").health.expect("checks").probe, ProbePlan::Tcp { port: Some(1) });
    let health = plan("health: { probe: { kind: grpc, service: orders.v1.Orders } }").health;
    let Some(ProbePlan::Grpc(probe)) = health.map(|health| health.probe) else { panic!("another probe") };
    assert_eq!((&*probe.service, probe.host, probe.port), ("orders.v1.Orders", None, None));
}

#[test]
fn probes_that_nobody_could_answer_are_complained_of() {
    let complaints = |discover: &str, health: &str| read(&format!("discover: {discover}\nhealth: {health}\n")).1;
    let dns = "{ kind: dns, name: a.demo, port: 80 }";
    let probe = "services.orders.health.probe";
    for (health, key) in [
        ("{ probe: { kind: http, path: healthz } }", format!("{probe}.path ")),
        ("{ probe: { kind: http, path: \"/a b\" } }", format!("{probe}.path ")),
        ("{ probe: { kind: http, path: /, host: \"a b\" } }", format!("{probe}.host ")),
        ("{ probe: { kind: http, path: /, host: \"me@a\" } }", format!("{probe}.host ")),
        ("{ probe: { kind: http, path: /, expect: [200, 100] } }", format!("{probe}.expect[1] ")),
        ("{ probe: { kind: http, path: /, expect: [299-200] } }", format!("{probe}.expect[0] ")),
        ("{ probe: { kind: http, path: /, expect: [2xx] } }", format!("{probe}.expect[0] ")),
        ("{ probe: { kind: tcp, port: 0 } }", format!("{probe}.port ")),
        ("{ probe: { kind: tcp }, every: 99ms }", "services.orders.health.every ".to_owned()),
        ("{ probe: { kind: tcp }, every: 11m }", "services.orders.health.every ".to_owned()),
        ("{ probe: { kind: tcp }, timeout: 0s }", "services.orders.health.timeout ".to_owned()),
        ("{ probe: { kind: tcp }, unhealthy_threshold: 0 }", "services.orders.health.unhealthy_threshold ".to_owned()),
        ("{ probe: { kind: tcp }, healthy_threshold: 0 }", "services.orders.health.healthy_threshold ".to_owned()),
    ] {
        let complaints = complaints(dns, health);
        assert!(complaints.len() == 1 && complaints[0].starts_with(&key), "{health}: {complaints:#?}");
    }
    let complaints = complaints("{ kind: unix, path: a.sock }", "{ probe: { kind: tcp, port: 1 } }");
    assert!(complaints.len() == 1 && complaints[0].starts_with(&format!("{probe}.port ")), "{complaints:#?}");
}

#[test]
fn ejection_has_defaults_and_bounds() {
    let check = |config: &OutliersConfig, whose| {
        let mut report = Report::new();
        let plan = config.check("o", whose, &mut report);
        plan.ok_or_else(|| report.complaints().iter().map(|complaint| complaint.key.clone()).collect::<Vec<_>>())
    };
    let service = check(&OutliersConfig::default(), Whose::Service).expect("the defaults are lawful");
    assert_eq!((service.consecutive_failures, service.consecutive_gateway_errors, service.share_max_percent), (5, 5, 50));
    assert_eq!((service.base.as_secs(), service.max.as_secs()), (1, 30));
    let latency = service.latency.expect("on");
    assert_eq!((latency.factor, latency.floor.as_millis(), latency.samples_min), (5, 500, 20));
    // A replica of routing-gw passes on what a service answers.
    assert_eq!(check(&OutliersConfig::default(), Whose::Link).expect("lawful").consecutive_gateway_errors, 0);
    let gateway = OutliersConfig { consecutive_gateway_errors: Some(3), ..OutliersConfig::default() };
    assert_eq!(check(&gateway, Whose::Link), Err(vec!["o.consecutive_gateway_errors".to_owned()]));
    let (_, complaints) = read(
        "discover: { kind: dns, name: a.demo, port: 80 }\n\
         outliers: { consecutive_failures: 1001, consecutive_gateway_errors: 1001, latency: { factor: 1, floor: 0s, samples_min: 4 }, base: 99ms, max: 98ms, share_max_percent: 0 }\n",
    );
    for part in [
        "consecutive_failures",
        "consecutive_gateway_errors",
        "latency.factor",
        "latency.floor",
        "latency.samples_min",
        "base",
        "max",
        "share_max_percent",
    ] {
        let key = format!("services.orders.outliers.{part} ");
        assert!(complaints.iter().any(|complaint| complaint.starts_with(&key)), "{part} is missing in {complaints:#?}");
    }
    let (plan, _) = read("discover: { kind: dns, name: a.demo, port: 80 }\noutliers: { latency: null, max: 2h }\n");
    assert!(plan.is_none(), "longer than an hour");
    let (plan, _) = read("discover: { kind: dns, name: a.demo, port: 80 }\noutliers: { latency: null }\n");
    assert_eq!(plan.expect("lawful").outliers.latency, None);
}
