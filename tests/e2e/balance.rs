//! Which instance a request goes to: by key, by cookie, by priority and weight, through both tiers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use serde_json::Value;
use tests::rig::Rig;
use tests::rig::folder::Folder;
use tests::rig::process::Process;
use tests::rig::reply::Reply;
use tests::rig::scene::{Scene, srv_lines};
use tests::rig::wait::until;

use crate::BINARIES;

const ORDERS: &str = "ttl: { min: 200ms, max: 1s } }";
const SECRET: &str = "forty-eight bytes that both replicas of it share";

/// `orders` with more options.
fn scene(options: &str) -> Scene {
    Scene::default().routing(ORDERS, &format!("ttl: {{ min: 200ms, max: 1s }}, {options} }}"))
}

/// Instances of `orders` as priority, weight and number.
fn zone(rig: &Rig, instances: &[(u16, u16, u16)]) -> String {
    let mut text = String::from("routing-gw.demo. 1 A 127.0.0.1\nusers.demo. 1 A 127.0.0.1\n");
    for (priority, weight, number) in instances {
        let lines = srv_lines(*number, rig.instances.get(&format!("orders-{number}")).address.port());
        let _ = writeln!(text, "{}", lines.replace(" SRV 0 1 ", &format!(" SRV {priority} {weight} ")));
    }
    text
}

fn orders(routing: &Process) -> Value {
    let page = routing.page("/services");
    page.as_array().and_then(|services| services.iter().find(|service| service["name"] == "orders")).expect("the service").clone()
}

/// Sets the zone and waits until its instances are those in use.
fn publish(rig: &Rig, instances: &[(u16, u16, u16)]) {
    rig.zone.set(&zone(rig, instances)).expect("a lawful zone");
    let mut wanted: Vec<(u64, u64)> = instances.iter().map(|(priority, weight, _)| (u64::from(*priority), u64::from(*weight))).collect();
    wanted.sort_unstable();
    until("the zone is known", || {
        let service = orders(&rig.routing);
        let number = |one: &Value, key: &str| one[key].as_u64().unwrap_or(u64::MAX);
        let endpoints = service["endpoints"].as_array().expect("instances");
        let mut known: Vec<_> = endpoints.iter().map(|one| (number(one, "priority"), number(one, "weight"))).collect();
        known.sort_unstable();
        (known == wanted).then_some(())
    });
}

fn start(rig: &Rig, number: u16) {
    rig.instances.start(rig.stage(), "orders", &format!("orders-{number}"), (Ipv4Addr::LOCALHOST, 0));
}

fn counts(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let editor = rig.editor();
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(rig.knock("GET /orders/1").with(&editor).check("200 orders").instance()).or_default() += 1;
    }
    counts
}

#[test]
fn a_key_keeps_to_its_instance_and_keys_are_spread() {
    let rig = scene("balance: consistent_hash, hash: { on: header, name: x-tenant }").raise(&BINARIES);
    let editor = rig.editor();
    let ask = |tenant: &str| rig.knock("GET /orders/1").with(&editor).header("x-tenant", tenant).check("200 orders").instance();
    let tenants: Vec<String> = (0..12).map(|number| format!("tenant-{number}")).collect();
    let before: Vec<String> = tenants.iter().map(|tenant| ask(tenant)).collect();
    for _ in 0..3 {
        assert_eq!(tenants.iter().map(|tenant| ask(tenant)).collect::<Vec<_>>(), before);
    }
    assert!(before.iter().collect::<BTreeSet<_>>().len() > 1, "{before:?}");
    start(&rig, 4);
    publish(&rig, &[(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 4)]);
    let stayed = tenants.iter().zip(&before).filter(|(tenant, was)| ask(tenant) == **was).count();
    assert!(stayed >= 6, "{stayed} of 12 keys stay when a fourth instance comes");
    assert_eq!(counts(&rig, 40).len(), 4, "without a key all are used");
}

/// The pair that an answer sets.
fn cookie(reply: &Reply) -> String {
    let field = reply.header("set-cookie");
    assert!(field.ends_with("; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"), "{field}");
    field.split_once(';').expect("attributes").0.to_owned()
}

#[test]
fn a_cookie_brings_a_client_back_through_every_change() {
    let fill = |folder: &Folder, _: &str| folder.write("sticky.secret", SECRET);
    let sticky = "balance: round_robin, sticky: { cookie: gw-home, key: sticky.secret }";
    let mut rig = scene(sticky).raise_after(&BINARIES, fill);
    let editor = rig.editor();
    let first = rig.knock("GET /orders/1").with(&editor).header("cookie", "theme=dark").go();
    let (home, pair) = (first.instance(), cookie(&first));
    assert!(pair.starts_with("gw-home=") && !pair.contains("127.0.0.1"), "{pair}");

    let ask = |rig: &Rig, pair: &str| rig.knock("GET /orders/1").with(&editor).header("cookie", &format!("theme=dark; {pair}")).go();
    let comes_home = |rig: &Rig| {
        for _ in 0..8 {
            let reply = ask(rig, &pair);
            assert_eq!((reply.check("200 orders").instance(), reply.headers.get("set-cookie")), (home.clone(), None));
            assert_eq!(reply.saw("cookie").as_deref(), Some("theme=dark"), "no instance sees it");
        }
    };
    // An instance of another service neither.
    let other = rig.knock("GET /users/1").with(&editor).header("cookie", &format!("theme=dark; {pair}")).go();
    assert_eq!((other.status.as_u16(), other.saw("cookie").as_deref()), (200, Some("theme=dark")));
    comes_home(&rig);
    start(&rig, 4);
    start(&rig, 5);
    publish(&rig, &[(0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 4), (0, 1, 5)]);
    comes_home(&rig);

    // Another replica with the same secret, in the place of the first.
    let link = rig.routing.listener("link").port();
    rig.routing.terminate();
    assert!(rig.routing.wait().success());
    let text = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("its file");
    let place = format!("- name: link\n    address: \"127.0.0.1:{link}\"");
    let text = text.replace("- name: link\n    address: \"127.0.0.1:0\"", &place).replace("unix:r.sock", "unix:again.sock");
    rig.folder.write("again.yaml", &text);
    rig.routing = Process::start("routing-gw", BINARIES.routing, &rig.folder.file("again.yaml"), &rig.folder.file("again.sock"));
    until("tier 1 has found the other replica", || (ask(&rig, &pair).status == 200).then_some(()));
    comes_home(&rig);

    // What was tampered with is no wish, and is replaced.
    let forged = format!("{}AAAA", pair.get(..pair.len() - 4).expect("longer"));
    let spread: BTreeSet<String> = (0..10).map(|_| ask(&rig, &forged).check("200 orders").instance()).collect();
    assert!(spread.len() > 1, "{spread:?}");
    cookie(&ask(&rig, &forged));

    // When its instance dies, nothing is lost, and the client has a new home.
    rig.instances.kill(&home);
    let moved = ask(&rig, &pair);
    let (elsewhere, next) = (moved.check("200 orders").instance(), cookie(&moved));
    assert_ne!(elsewhere, home);
    for _ in 0..8 {
        assert_eq!(ask(&rig, &next).check("200 orders").instance(), elsewhere);
    }
}

#[test]
fn a_backup_is_used_when_the_first_priority_is_down_and_no_longer() {
    let rig = scene("panic_percent: 50").raise(&BINARIES);
    publish(&rig, &[(0, 1, 1), (0, 1, 2), (10, 1, 3)]);
    let first: BTreeSet<String> = counts(&rig, 30).into_keys().collect();
    assert_eq!(first, BTreeSet::from(["orders-1".to_owned(), "orders-2".to_owned()]));
    let place = rig.instances.get("orders-1").address;
    rig.instances.kill("orders-1");
    let one_down = counts(&rig, 20);
    assert_eq!(one_down.keys().collect::<Vec<_>>(), ["orders-2"], "half of them is enough");
    rig.instances.kill("orders-2");
    let both_down = counts(&rig, 20);
    assert_eq!(both_down.keys().collect::<Vec<_>>(), ["orders-3"]);
    let levels = orders(&rig.routing)["levels"].clone();
    assert_eq!((&levels[1]["priority"], &levels[1]["instances"], &levels[1]["in_use"]), (&10.into(), &1.into(), &true.into()), "{levels}");

    rig.instances.start(rig.stage(), "orders", "orders-1", (Ipv4Addr::LOCALHOST, place.port()));
    until("the first priority serves again", || {
        let reply = rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders").instance();
        (reply == "orders-1").then_some(())
    });
}

#[test]
fn srv_weights_are_the_parts_of_a_round() {
    let rig = scene("balance: round_robin").raise(&BINARIES);
    publish(&rig, &[(0, 1, 1), (0, 3, 2), (0, 6, 3)]);
    let counts = counts(&rig, 40);
    let parts: Vec<usize> = counts.values().copied().collect();
    assert_eq!(parts, [4, 12, 24], "{counts:?}");
}
