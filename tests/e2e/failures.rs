//! The fail-closed table of the README: what happens when something that the gateway needs is down.

use gwctl::stage::link_key::LinkKey;
use tests::rig::Rig;
use tests::rig::process::Process;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

#[test]
fn a_dead_tier_two_is_told_and_nothing_passes() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    rig.routing.kill();
    rig.knock("GET /orders/1").with(&editor).check("503 link-unavailable");
    let again = Process::start("routing-gw", BINARIES.routing, &rig.folder.file("routing.yaml"), &rig.folder.file("r.sock"));
    assert!(again.is_alive());
}

#[test]
fn dead_instances_are_told_with_their_own_reason() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    for name in ["orders-1", "orders-2", "orders-3"] {
        rig.instances.kill(name);
    }
    rig.knock("GET /orders/1").with(&editor).check("502 upstream-connect-failed");
    rig.knock("POST /orders/1").with(&editor).check("502 upstream-connect-failed");
    rig.knock("GET /users/1").with(&editor).check("200 users");
}

#[test]
fn a_service_that_dns_never_knew_has_no_instances() {
    let rig = Scene::default().routing("_http._tcp.orders.demo", "_http._tcp.nowhere.demo").raise(&BINARIES);
    rig.knock("GET /orders/1").with(&rig.editor()).check("503 no-instances");
    rig.knock("GET /users/1").with(&rig.editor()).check("200 users");
}

#[test]
fn an_issuer_that_was_never_reached_fails_readiness_and_closes_its_paths() {
    let mut rig = Rig::two_tier(&BINARIES);
    let file = std::fs::read_to_string(rig.folder.file("security.yaml")).expect("the file");
    rig.issuer.set_down(true);
    rig.folder.write(
        "late.yaml",
        &file.replace("unix:s.sock", "unix:late.sock").replace("access.log", "late.log").replace("security.events.log", "late.events.log"),
    );
    let late = Process::spawn("security-gw", BINARIES.security, &rig.folder.file("late.yaml"), &rig.folder.file("late.sock"));
    let (_, page) = until("it answers although its issuer is down", || {
        late.ask("/readyz").filter(|(status, page)| *status == 503 && page.contains("issuer demo"))
    });
    assert!(page.contains("\"link\""), "{page}");
    rig.security = late;
    rig.knock("GET /orders/1").with(&rig.editor()).check("503 keys-unavailable");
    rig.knock("GET /public/1").check("200 orders");
    rig.issuer.set_down(false);
    until("it becomes ready by itself", || rig.security.ask("/readyz").filter(|(status, _)| *status == 200));
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
}

#[test]
fn link_keys_that_break_leave_the_former_ones_and_new_ones_are_taken() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    rig.folder.write("link.jwks.json", "{ broken");
    until("the broken file is told", || rig.routing.log().contains("vouch.jwks").then_some(()));
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    let stranger = LinkKey::new(Some("link-1")).expect("a key");
    rig.folder.write("link.jwks.json", &stranger.jwks().expect("a key set"));
    until("the new keys are in use, and tier 1's assertions are believed no more", || {
        (rig.knock("GET /orders/1").with(&editor).go().says() == "403 assertion-signature").then_some(())
    });
}

#[test]
fn a_port_that_is_taken_and_a_file_that_is_wrong_are_told_at_once() {
    let rig = Rig::two_tier(&BINARIES);
    let file = std::fs::read_to_string(rig.folder.file("security.yaml")).expect("the file");
    let taken = rig.security.listener("https").to_string();
    rig.folder.write("taken.yaml", &file.replacen("127.0.0.1:0", &taken, 1).replace("unix:s.sock", "unix:t.sock"));
    let process = Process::spawn("security-gw", BINARIES.security, &rig.folder.file("taken.yaml"), &rig.folder.file("t.sock"));
    assert_eq!(process.wait().code(), Some(1));
    assert!(process.log().contains(&taken), "{}", process.log());
    rig.folder.write("wrong.yaml", "listen: 5\n");
    let process = Process::spawn("security-gw", BINARIES.security, &rig.folder.file("wrong.yaml"), &rig.folder.file("w.sock"));
    assert_eq!(process.wait().code(), Some(78), "{}", process.log());
}
