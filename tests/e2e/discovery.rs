//! Instances come and go in DNS alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use gwctl::stage::zone_handle::Conduct;
use tests::rig::Rig;
use tests::rig::scene::srv_lines;
use tests::rig::wait::until;

use crate::BINARIES;

fn zone(rig: &Rig, numbers: impl IntoIterator<Item = u16>) -> String {
    let mut text = String::from("routing-gw.demo. 1 A 127.0.0.1\nusers.demo. 1 A 127.0.0.1\n");
    for number in numbers {
        let _ = writeln!(text, "{}", srv_lines(number, rig.instances.get(&format!("orders-{number}")).address.port()));
    }
    text
}

fn generation(rig: &Rig) -> u64 {
    let page = rig.routing.page("/services");
    let orders = page.as_array().and_then(|services| services.iter().find(|service| service["name"] == "orders")).expect("the service");
    orders["generation"].as_u64().expect("a number")
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
