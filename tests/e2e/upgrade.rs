//! A tier is upgraded: a new process takes over the sockets of the old one, and nobody who is in front of it notices; or it fails, and nobody
//! notices that either.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tests::rig::Rig;
use tests::rig::binaries::Binaries;
use tests::rig::client::{Identity, Line, Offer, Version, over};
use tests::rig::folder::Folder;
use tests::rig::process::Process;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

const CLIENTS: usize = 6;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// What a client was told: the number of each request, and the status of its answer, or how that failed.
type Told = Vec<(String, String)>;

/// Clients that keep their connections for as long as they are let, and never repeat what they have sent.
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Runs clients beside `act`, and gives what they were told.
    fn beside(rig: &Rig, act: impl FnOnce(&Self)) -> Told {
        let load = Self { stop: AtomicBool::new(false), answered: AtomicUsize::new(0) };
        let (editor, door, identity) = (rig.editor(), rig.door(), rig.identity());
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (load, editor, identity) = (&load, &editor, &identity);
                    scope.spawn(move || runtime().block_on(load.client(client, door, identity, editor)))
                })
                .collect();
            load.some_more();
            act(&load);
            load.some_more();
            load.stop.store(true, Ordering::Relaxed);
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
        })
    }

    /// Waits until every client will have had a few more answers.
    fn some_more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        until("requests are answered", || (self.answered.load(Ordering::Relaxed) >= before + 10 * CLIENTS).then_some(()));
    }

    async fn client(&self, client: usize, door: SocketAddr, identity: &Identity, editor: &str) -> Told {
        let version = if client.is_multiple_of(2) { Version::H1 } else { Version::H2 };
        let mut line = Line::open(door, identity, version).await.expect("a connection");
        let mut told = Told::new();
        while !self.stop.load(Ordering::Relaxed) {
            let turn = told.len();
            let post = turn % 5 == 4;
            let number = format!("{}{client}-{turn}", if post { 'p' } else { 'g' });
            let request = Request::builder()
                .method(if post { "POST" } else { "GET" })
                .uri(if version == Version::H1 { "/orders/1".to_owned() } else { format!("https://localhost:{}/orders/1", door.port()) })
                .header(header::AUTHORIZATION, format!("Bearer {editor}"))
                .header("x-ledger", &number);
            let request = if version == Version::H1 { request.header(header::HOST, "localhost") } else { request };
            let request = request.body(Full::new(Bytes::new())).expect("a request");
            let status = loop {
                match line.offer(request.clone()).await {
                    Offer::Answered(reply) => break reply.status.as_u16().to_string(),
                    Offer::Broken(how) => break how,
                    // The process has said that it takes nothing more here; nothing was sent, and another connection is opened.
                    Offer::Unsent => line = Line::open(door, identity, version).await.expect("a connection is never refused"),
                }
            };
            told.push((number, status));
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

/// Nothing was lost, and nothing was executed twice that must not be.
fn account(rig: &Rig, told: &Told) {
    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for line in rig.instances.ledger("orders") {
        *executed.entry(line.split(' ').next().expect("a number").to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = told.iter().filter(|(_, status)| status != "200").collect();
    assert!(lost.is_empty(), "{lost:?} of {}\n{}\n{}", told.len(), rig.security.log(), rig.routing.log());
    for (number, _) in told {
        let times = executed.get(number).copied().unwrap_or_default();
        assert!(times == 1 || (number.starts_with('g') && times > 1), "{number} was executed {times} times");
    }
    // Both processes have written into one file, whole lines.
    until("every request has its record", || (rig.records().len() >= told.len()).then_some(()));
    assert_eq!(rig.records().len(), told.len());
}

#[test]
fn nobody_is_lost_while_a_tier_is_upgraded() {
    for tier in ["security", "routing"] {
        let rig = Rig::two_tier(&BINARIES);
        let upgraded = if tier == "security" { &rig.security } else { &rig.routing };
        let first = upgraded.id();
        let told = Load::beside(&rig, |load| {
            for _ in 0..3 {
                upgraded.upgrade();
                load.some_more();
            }
        });
        account(&rig, &told);
        assert!(upgraded.wait_for_first().success(), "the first one ends with 0:\n{}", upgraded.log());
        assert_ne!(upgraded.id(), first);
        let page = upgraded.page("/generation");
        assert_eq!((&page["generation"], page["pid"].as_u64()), (&1.into(), Some(upgraded.id().into())));
        assert!(upgraded.metric("gateway_upgrades_total{outcome=\"handed_over\"}") >= 1.0);
    }
}

/// Connections that wait to be accepted on a port of loopback, as the kernel tells (`rx_queue` of a socket in state LISTEN).
fn waiting(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let local = format!(":{port:04X}");
    let queue = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1)?.ends_with(&local) && *fields.get(3)? == "0A").then_some(*fields.get(4)?)
    });
    let (_, received) = queue.expect("a listening socket").split_once(':').expect("two numbers");
    usize::from_str_radix(received, 16).expect("a number")
}

#[test]
fn whoever_waits_to_be_accepted_at_the_switch_is_served_by_the_successor() {
    const WAITING: usize = 16;
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let identity = rig.identity();
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    for version in [Version::H1, Version::H2] {
        let door = rig.door();
        let knock = rig.knock("GET /orders/1").with(&editor);
        let request = if version == Version::H1 { knock.request() } else { knock.h2().request() };
        let connected = Barrier::new(WAITING + 1);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..WAITING)
                .map(|_| {
                    let (request, identity, connected) = (request.clone(), &identity, &connected);
                    scope.spawn(move || {
                        connected.wait();
                        let stream = TcpStream::connect(door).expect("a queue is open");
                        connected.wait();
                        runtime().block_on(async { over(stream, identity, version).await?.exchange(request).await })
                    })
                })
                .collect();
            let former = rig.security.pid();
            rig.security.upgrade_standing(
                || {
                    connected.wait();
                    connected.wait();
                    assert!(waiting(door.port()) >= WAITING, "{} wait", waiting(door.port()));
                },
                || {
                    for client in clients {
                        client.join().expect("a client").expect("an answer").check("200 orders");
                    }
                    assert!(former.stands_still(), "nobody but the successor can have answered");
                },
            );
        });
        rig.security.wait_for_former();
    }
}

#[test]
fn a_successor_that_does_not_become_ready_leaves_the_former_one_serving() {
    let rig = Scene::default().security("drain: {", "upgrade: { ready_within: 500ms }\ndrain: {").raise(&BINARIES);
    let editor = rig.editor();
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    rig.issuer.set_down(true);
    let first = rig.security.id();
    let told = Load::beside(&rig, |_| {
        let (status, answer) = rig.security.post("/upgrade");
        assert_eq!(status, 422, "{answer}");
        assert!(answer["what"].as_str().expect("what").contains("issuer demo"), "{answer}");
        assert!(answer["remedy"].as_str().expect("remedy").contains("upgrade.ready_within"), "{answer}");
        // The same by signal: nobody waits for an answer, and the metric counts it.
        rig.security.signal("USR2");
        until("the second one has failed", || (rig.security.metric("gateway_upgrades_total{outcome=\"failed\"}") >= 2.0).then_some(()));
    });
    assert!(told.iter().all(|(_, status)| status == "200"), "{told:?}");
    assert_eq!(rig.security.id(), first);
    assert!(rig.security.pid().children().is_empty(), "whoever failed was waited for");
    rig.issuer.set_down(false);
    rig.security.upgrade();
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
}

#[test]
fn a_broken_file_or_program_leaves_the_former_one_serving() {
    let place = Folder::new();
    let binaries = Binaries { security: copied(BINARIES.security, &place.file("gw")), ..BINARIES };
    let rig = Rig::two_tier(&binaries);
    let first = rig.security.id();
    let refused = |words: &[&str]| {
        let (status, answer) = rig.security.post("/upgrade");
        assert_eq!(status, 422, "{answer}");
        let said = answer.to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(rig.security.page("/generation")["pid"], first);
        assert!(rig.security.pid().children().is_empty());
        rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    };
    let file = std::fs::read_to_string(rig.folder.file("security.yaml")).expect("the file");
    rig.folder.write("security.yaml", &file.replace("workers: 2", "workers: 0"));
    refused(&["security.yaml:2:", "workers", "0 workers cannot be run", "check"]);
    rig.folder.write("security.yaml", &file);

    place.write("text", "<html>404 Not Found</html>\n");
    executable(&place.file("text"));
    std::fs::rename(place.file("text"), place.file("gw")).expect("a rename");
    refused(&["gw is no executable", "put the executable there"]);
    // What begins like a program and is none.
    place.write("torn", "\x7fELF");
    executable(&place.file("torn"));
    std::fs::rename(place.file("torn"), place.file("gw")).expect("a rename");
    refused(&["the successor ended", "before it served"]);
    std::fs::remove_file(place.file("gw")).expect("it is there");
    refused(&["gw cannot be read", "No such file"]);
    assert!(rig.security.metric("gateway_upgrades_total{outcome=\"failed\"}") >= 4.0);
}

#[test]
fn a_drop_in_that_has_broken_since_is_not_lost_by_an_upgrade() {
    let rig = Rig::two_tier(&BINARIES);
    std::fs::create_dir(rig.folder.file("routes.d")).expect("a folder");
    let good = "services:\n  team: { discover: { kind: srv, name: _http._tcp.orders.demo } }\nroutes:\n  - { name: team, path: \"/team/\", service: team, public: true }\n";
    rig.folder.write("routes.d/team.yaml", good);
    let file = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    rig.folder.write("routing.yaml", &format!("{file}drop_ins: routes.d\n"));
    rig.routing.upgrade();
    rig.folder.write("routes.d/team.yaml", &good.replace("public: true", "pubic: true"));
    let (status, answer) = rig.routing.post("/upgrade");
    assert_eq!(status, 422, "{answer}");
    let what = answer["what"].as_str().expect("what");
    assert!(what.contains("team.yaml:") && what.contains("pubic"), "{answer}");
    rig.folder.write("routes.d/team.yaml", good);
    rig.routing.upgrade();
}

fn executable(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// A copy of an executable; its path lives as long as the tests do.
fn copied(from: &str, to: &Path) -> &'static str {
    std::fs::copy(from, to).expect("a copy");
    to.to_str().expect("a path").to_owned().leak()
}

#[test]
fn the_executable_that_was_put_in_place_is_the_one_that_follows() {
    let place = Folder::new();
    let binaries = Binaries { routing: copied(BINARIES.routing, &place.file("gw")), ..BINARIES };
    let rig = Rig::two_tier(&binaries);
    let runs = |id: u32| std::fs::metadata(format!("/proc/{id}/exe")).expect("it runs").ino();
    let former = runs(rig.routing.id());
    copied(BINARIES.routing, &place.file("gw.new"));
    std::fs::rename(place.file("gw.new"), place.file("gw")).expect("a rename");
    let latter = std::fs::metadata(place.file("gw")).expect("it is there").ino();
    assert_eq!(runs(rig.routing.upgrade()), latter);
    assert_ne!(former, latter);
    // And once more, from a process that was itself started by one whose file is gone.
    copied(BINARIES.routing, &place.file("gw.new"));
    std::fs::rename(place.file("gw.new"), place.file("gw")).expect("a rename");
    let newest = std::fs::metadata(place.file("gw")).expect("it is there").ino();
    assert_eq!(runs(rig.routing.upgrade()), newest);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
}

#[test]
fn five_upgrades_leave_nothing_behind() {
    let rig = Rig::two_tier(&BINARIES);
    let upgraded = |tier: &Process| {
        tier.upgrade();
        tier.wait_for_former();
        rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    };
    for tier in [&rig.security, &rig.routing] {
        upgraded(tier);
        let mut most = 0;
        until("it is at rest", || {
            let before = std::mem::replace(&mut most, tier.pid().descriptors());
            (before == most).then_some(())
        });
        for _ in 0..4 {
            upgraded(tier);
        }
        // A kept connection of each worker and one of the checks may have been there then or now; each upgrade that left only one descriptor
        // behind would have left four.
        until("no descriptors are left over", || (tier.pid().descriptors() <= most + 3).then_some(()));
        assert!(tier.pid().children().is_empty());
    }
}

#[test]
fn a_link_over_a_unix_socket_keeps_its_file() {
    let uid = std::fs::metadata("/proc/self").expect("our own user").uid();
    let tls = "    tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ], clients: { ca: ca.pem, peers: [\"dns:security-gw.demo\"] } }\n";
    let rig = Scene::default()
        .routing("address: \"127.0.0.1:0\"", "address: \"unix:r.link\"")
        .routing(tls, &format!("    unix: {{ mode: \"0600\", uids: [{uid}] }}\n"))
        .security(
            "  discover: { kind: dns, name: routing-gw.demo, port: {link} }\n  tls: { ca: ca.pem, certificate: security-gw.pem, key: security-gw.key, peers: [\"dns:routing-gw.demo\"] }\n",
            "  discover: { kind: unix, path: r.link }\n",
        )
        .raise(&BINARIES);
    let file = |name: &str| std::fs::metadata(rig.folder.file(name)).expect("the socket's file").ino();
    let before = [file("r.link"), file("r.sock"), file("s.sock")];
    let told = Load::beside(&rig, |load| {
        for _ in 0..2 {
            rig.routing.upgrade();
            load.some_more();
            rig.security.upgrade();
            load.some_more();
        }
    });
    account(&rig, &told);
    rig.routing.wait_for_former();
    assert_eq!([file("r.link"), file("r.sock"), file("s.sock")], before);
}

#[test]
fn one_upgrade_at_a_time_and_none_while_leaving() {
    let rig = Scene::default().routing("drain: {", "upgrade: { ready_within: 10m }\ndrain: {").raise(&BINARIES);
    // A successor that finds no instances waits for them.
    rig.zone.set("").expect("a zone");
    let former = rig.routing.pid();
    rig.routing.signal("USR2");
    let successor = until("a successor is started", || former.children().pop());
    let (status, answer) = rig.routing.post("/upgrade");
    assert_eq!(status, 409, "{answer}");
    assert!(answer["what"].as_str().expect("what").contains(&successor.id.to_string()), "{answer}");
    rig.routing.terminate();
    until("it is ended with the process that wanted it", || (!successor.is_alive()).then_some(()));
    assert!(rig.routing.wait().success(), "{}", rig.routing.log());
}

#[test]
fn what_is_reloaded_while_a_successor_starts_is_not_lost() {
    let rig = Scene::default().routing("drain: {", "reload: { watch: null }\nupgrade: { ready_within: 10m }\ndrain: {").raise(&BINARIES);
    let (zone, _) = rig.zone.now();
    rig.zone.set("").expect("a zone");
    let former = rig.routing.pid();
    rig.routing.signal("USR2");
    let successor = until("a successor is started", || former.children().pop());
    // Its workers are there, so it has read its configuration; it waits for instances now.
    let threads = || std::fs::read_dir(format!("/proc/{}/task", successor.id)).map_or(0, Iterator::count);
    until("it has begun", || (threads() > 2).then_some(()));
    let file = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    rig.folder.write("routing.yaml", &file.replace("{ name: public, path: \"/public/\"", "{ name: public, path: \"/other/\""));
    assert_eq!(rig.routing.reload(), 2);
    assert_eq!(rig.routing.page("/generation")["pid"], former.id);
    rig.zone.replace(zone.as_ref().clone());
    rig.routing.follow();
    assert_eq!(rig.routing.id(), successor.id);
    rig.routing.wait_generation(2);
}

#[test]
fn whoever_has_handed_over_and_is_asked_to_leave_finishes_what_it_began() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| rig.knock("GET /orders/1?delay_ms=3000").with(&editor).try_go());
        until("the slow request is under way", || (rig.routing.metric("gateway_requests_in_flight") >= 1.0).then_some(()));
        let former = rig.routing.pid();
        rig.routing.upgrade();
        // As a service manager does that tells every process of the service.
        former.signal("TERM");
        slow.join().expect("the client").expect("an answer").check("200 orders");
        rig.routing.wait_for_former();
        assert!(rig.routing.log().contains("asked to leave, which it does already"), "{}", rig.routing.log());
    });
    assert!(rig.routing.is_alive(), "the successor was not asked");
}

#[test]
fn a_successor_that_dies_while_the_former_one_drains_is_followed_by_another_one() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| rig.knock("GET /orders/1?delay_ms=4000").with(&editor).try_go());
        until("the slow request is under way", || (rig.security.metric("gateway_requests_in_flight") >= 1.0).then_some(()));
        rig.security.upgrade();
        rig.security.signal("KILL");
        rig.security.follow();
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
        slow.join().expect("the client").expect("an answer").check("200 orders");
    });
    rig.security.wait_for_former();
}

#[test]
fn gwctl_upgrades_and_says_what_is_in_the_way() {
    let rig = Scene::default().security("drain: {", "upgrade: { ready_within: 100ms }\ndrain: {").raise(&BINARIES);
    let gwctl = |words: &[&str]| {
        let output = Command::new(BINARIES.gwctl).args(words).current_dir(rig.folder.path()).output().expect("gwctl runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, said, _) = gwctl(&["upgrade", "--admin", "unix:s.sock"]);
    rig.security.follow();
    assert_eq!((code, said), (Some(0), format!("upgraded: process {} serves\n", rig.security.id())));
    let (code, said, _) = gwctl(&["upgrade", "--config", "routing.yaml"]);
    rig.routing.follow();
    assert_eq!((code, said), (Some(0), format!("upgraded: process {} serves\n", rig.routing.id())));
    rig.issuer.set_down(true);
    let (code, _, complaint) = gwctl(&["upgrade", "--config", "security.yaml"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("issuer demo") && complaint.contains("upgrade.ready_within"), "{complaint}");
    rig.issuer.set_down(false);
    let (code, said, complaint) = gwctl(&["reload", "--config", "security.yaml"]);
    assert_eq!((code, said.as_str()), (Some(0), "reloaded: generation 1 serves\n"), "{complaint}");
    rig.folder.write("security.yaml", "admin: { address: \"unix:s.sock\" }\nworkers: many\n");
    let (code, _, complaint) = gwctl(&["reload", "--config", "security.yaml"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("security.yaml:2:"), "{complaint}");
    let (code, _, complaint) = gwctl(&["upgrade", "--admin", "unix:nobody.sock"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("nobody answers at unix:./nobody.sock"), "{complaint}");
}
