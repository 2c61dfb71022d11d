//! What clients cost that only sit there.

use tests::crowd::Crowd;
use tests::crowd::witness::Witness;
use tests::rig::Rig;
use tests::rig::quiet::Quiet;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

const MIB: u64 = 1024 * 1024;

/// Clients that sit there.
const IDLE: usize = 5000;
/// Connections of the client that looks meanwhile; one may still be closing while the next is open.
const WITNESSES: usize = 2;
/// What tier 1 may grow by for all of them before their first request: under 20 KiB each.
const SILENT_BYTES_MAX: u64 = 96 * MIB;
/// And after it, once they rest again: under 46 KiB each. What a resting connection gives back the allocator keeps in part: the more of them were
/// warm at the same time, which is the machine's doing, the more.
const ASKED_BYTES_MAX: u64 = 224 * MIB;

#[test]
fn five_thousand_idle_clients_cost_little_disturb_nobody_and_leave_nothing() {
    let _quiet = Quiet::wait();
    let scene =
        Scene::default().security("workers: 2", "workers: 2\nlimits: { head: 300s, idle: 300s, connections_per_address_max: 10000 }");
    let rig = scene.raise(&BINARIES);
    // What the first requests of a process make for good is no client's.
    let witness = Witness::watch(&rig);
    rig.knock("GET /public/page").check("200 orders");
    rig.knock("GET /public/page").h2().check("200 orders");
    let start = memory(&rig);
    let request = format!("GET /public/crowd HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", rig.door().port());

    let mut before = 0;
    for round in 0..2 {
        let mut crowd = Crowd::gather(IDLE, rig.door(), &rig.identity());
        assert_eq!(crowd.number(), IDLE);
        let silent = memory(&rig).saturating_sub(start);
        crowd.ask_each(&request, "HTTP/1.1 200 ");
        until("every request is over", || (requests_of(&rig) >= (round + 1) * IDLE).then_some(()));
        // That they rest is told by nothing but the memory that comes back.
        let asked = until("all rest and hold little", || Some(memory(&rig).saturating_sub(start)).filter(|&asked| asked < ASKED_BYTES_MAX));
        println!("round {round}: {} bytes each, {} after one request each", silent / IDLE as u64, asked / IDLE as u64);
        if round == 0 {
            assert!(silent < SILENT_BYTES_MAX, "before a first request {} KiB more", silent / 1024);
        } else {
            // The allocator gives little back to the kernel, but all of it to the next ones: what is not released shows here.
            assert!(asked < before + before / 4, "{} KiB more in the second round, {} KiB in the first", asked / 1024, before / 1024);
        }
        assert!(open(&rig) >= IDLE as f64, "only {} are open", open(&rig));
        drop(crowd);
        until("all their connections are gone", || (open(&rig) <= WITNESSES as f64).then_some(()));
        before = asked;
    }
    assert!(witness.end() > 10);
    until("no connection is open", || (open(&rig) == 0.0).then_some(()));
    assert_eq!(rig.security.metric("gateway_requests_in_flight"), 0.0);
}

fn open(rig: &Rig) -> f64 {
    rig.security.metric("gateway_connections_open{listener=\"https\"}")
}

fn memory(rig: &Rig) -> u64 {
    rig.security.memory().0
}

/// Requests of the crowd that have their record.
fn requests_of(rig: &Rig) -> usize {
    rig.records().iter().filter(|record| record["url.path"] == "/public/crowd").count()
}
