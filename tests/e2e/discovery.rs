//! Instances come and go in DNS alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gwctl::stage::zone_handle::Conduct;
use serde_json::Value;
use tests::rig::Rig;
use tests::rig::scene::{Scene, srv_lines};
use tests::rig::wait::until;

use crate::BINARIES;

fn zone(rig: &Rig, numbers: impl IntoIterator<Item = u16>) -> String {
    let mut text = String::from("routing-gw.demo. 1 A 127.0.0.1\nusers.demo. 1 A 127.0.0.1\n");
    for number in numbers {
        let _ = writeln!(text, "{}", srv_lines(number, rig.instances.get(&format!("orders-{number}")).address.port()));
    }
    text
}

fn service(rig: &Rig, name: &str) -> Value {
    let page = rig.routing.page("/services");
    page.as_array().and_then(|services| services.iter().find(|service| service["name"] == *name)).expect("the service").clone()
}

fn generation(rig: &Rig) -> u64 {
    service(rig, "orders")["generation"].as_u64().expect("a number")
}

/// Two tiers that hold for a second who is left out.
fn quick() -> Scene {
    Scene::default().routing("ttl: { min: 200ms, max: 1s }", "ttl: { min: 200ms, max: 1s, hold: 1s }")
}

fn addresses(rig: &Rig, name: &str) -> BTreeSet<String> {
    let endpoints = service(rig, name)["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.iter().filter_map(|endpoint| Some(endpoint["address"].as_str()?.to_owned())).collect()
}

fn dns_history(name: &str, door: [&str; 2], folder: &Path) -> Output {
    let mut command = Command::new(BINARIES.gwctl);
    command.args(["dns", "history", name]).args(door).current_dir(folder).output().expect("gwctl runs")
}

#[test]
fn a_fourth_instance_is_met_and_one_taken_out_gets_nothing_more() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    rig.instances.start(rig.stage(), "orders", "orders-4", (Ipv4Addr::LOCALHOST, 0));
    let before = generation(&rig);
    rig.zone.set(&zone(&rig, 1..=4)).expect("a lawful zone");
    until("the new instance is found", || (generation(&rig) > before).then_some(()));
    let mut met = BTreeSet::new();
    until("all four instances are met", || {
        met.insert(rig.knock("GET /orders/1").with(&editor).check("200 orders").instance());
        (met.len() == 4).then_some(())
    });

    let before = generation(&rig);
    rig.zone.set(&zone(&rig, 2..=4)).expect("a lawful zone");
    until("the change is seen", || (generation(&rig) > before).then_some(()));
    for _ in 0..60 {
        assert_ne!(rig.knock("GET /orders/1").with(&editor).check("200 orders").instance(), "orders-1");
    }
}

#[test]
fn dns_that_fails_changes_nothing_for_what_is_known() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    for conduct in [Conduct::Silent, Conduct::Fails] {
        rig.zone.conduct(conduct);
        let asked = rig.zone.questions();
        until("the failing server was asked several times", || (rig.zone.questions() > asked + 3).then_some(()));
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
        rig.knock("GET /users/1").with(&editor).check("200 users");
    }
    rig.zone.set("nothing.demo. 1 A 127.0.0.9\n").expect("a lawful zone");
    rig.zone.conduct(Conduct::Answers);
    let asked = rig.zone.questions();
    until("the names are asked for and do not exist", || (rig.zone.questions() > asked + 6).then_some(()));
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
}

#[test]
fn every_generation_is_remembered_with_its_answer_and_gwctl_shows_the_last_ones() {
    let rig = quick().raise(&BINARIES);
    let gone = rig.instances.get("orders-1").address.to_string();
    rig.zone.set(&zone(&rig, 2..=3)).expect("a lawful zone");
    until("it is gone", || (!addresses(&rig, "orders").contains(&gone)).then_some(()));

    let newest = service(&rig, "orders")["provenance"].clone();
    assert_eq!((newest["why"].as_str(), &newest["removed"]["first"][0]), (Some("hold_over"), &Value::from(gone.clone())), "{newest}");
    let page = rig.routing.page("/services/orders/history");
    let generations = page["generations"].as_array().expect("a list");
    let of = |why: &str| generations.iter().find(|one| one["why"] == why).unwrap_or_else(|| panic!("no {why} in {page}")).clone();
    let (held, first) = (of("held"), generations.last().expect("the first").clone());
    assert_eq!((&held["held"]["first"][0], held["rcode"].as_str()), (&Value::from(gone.clone()), Some("NOERROR")));
    assert!(held["server"].as_str().is_some_and(|server| server.starts_with("127.0.0.1:")) && held["ttl_ms"] == 1_000, "{held}");
    assert_eq!((&first["generation"], first["added"]["count"].as_u64()), (&Value::from(1), Some(3)));

    let told = |name: &str, door: [&str; 2]| {
        let output = dns_history(name, door, rig.folder.path());
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (done, table, _) = told("orders", ["--admin", "unix:r.sock"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(done && lines[0].starts_with("GENERATION  WHEN") && lines.len() == generations.len() + 1, "{table}");
    assert!(lines[1].contains("hold over") && lines[1].contains(&format!("-{gone}")), "{table}");
    assert!(lines.iter().any(|line| line.contains("NOERROR ttl 1s") && line.contains(&format!("held {gone}"))), "{table}");
    let (done, table, _) = told("link", ["--config", "security.yaml"]);
    assert!(done && table.contains("+127.0.0.1:"), "tier 1 tells of its replicas: {table}");
    let (done, _, fault) = told("ordesr", ["--config", "routing.yaml"]);
    assert!(!done && fault.contains("did you mean orders?"), "{fault}");
}

#[test]
fn an_instance_that_is_taken_out_under_load_costs_no_request_and_its_end_is_measured() {
    let rig = quick().raise(&BINARIES);
    let editor = rig.editor();
    let gone = rig.instances.get("orders-1").address.to_string();
    let (ends, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    rig.knock("GET /orders/1").with(&editor).check("200 orders");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let more = |count: usize| {
            let before = served.load(Ordering::Relaxed);
            until("requests are served", || (served.load(Ordering::Relaxed) >= before + count).then_some(()));
        };
        more(30);
        rig.zone.set(&zone(&rig, 2..=3)).expect("a lawful zone");
        until("it is gone", || (!addresses(&rig, "orders").contains(&gone)).then_some(()));
        rig.instances.kill("orders-1");
        more(60);
        ends.store(true, Ordering::Relaxed);
    });
    let count = "gateway_discovery_convergence_seconds_count{service=\"orders\"}";
    until("its end is counted", || (rig.routing.metric(count) >= 1.0).then_some(()));
    assert!(rig.routing.metric("gateway_discovery_answered_seconds{service=\"orders\"}") > 1_000_000_000.0);
}

#[test]
fn a_file_of_instances_is_followed_without_a_reload_and_a_broken_one_changes_nothing() {
    let scene = Scene::default().routing(
        "users: { discover: { kind: dns, name: users.demo, port: {users} }, balance: round_robin }",
        "users: { discover: { kind: file, path: users.yaml }, ttl: { min: 100ms } }",
    );
    let rig = scene.raise(&BINARIES);
    let editor = rig.editor();
    let [first, second] = ["users-1", "users-2"].map(|name| rig.instances.get(name).address);
    rig.knock("GET /users/1").with(&editor).check("503 no-instances");
    let swap = |text: &str| {
        rig.folder.write("users.new", text);
        std::fs::rename(rig.folder.file("users.new"), rig.folder.file("users.yaml")).expect("renamed");
    };
    let serves = |name: &str| {
        until(&format!("{name} serves"), || (rig.knock("GET /users/1").with(&editor).go().status == 200).then_some(()));
        until(&format!("{name} alone serves"), || {
            (rig.knock("GET /users/1").with(&editor).check("200 users").instance() == name).then_some(())
        });
    };
    swap(&format!("- {first}\n"));
    serves("users-1");
    swap(&format!("[{{\"address\": \"{second}\", \"weight\": 3}}]"));
    serves("users-2");
    let before = service(&rig, "users")["generation"].clone();
    swap(&format!("- {second}\n- users-3\n"));
    until("the mistake is told", || rig.routing.log().contains("users.yaml:2:3 [1]: ").then_some(()));
    rig.knock("GET /users/1").with(&editor).check("200 users");
    let now = service(&rig, "users");
    assert_eq!((&now["generation"], now["failure"]["code"].as_str()), (&before, Some("malformed")), "{now}");
    assert_eq!(rig.routing.generation(), 1, "nothing was reloaded");
}
