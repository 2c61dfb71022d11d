//! The scripted name server against the real tiers: what each answer and each failure does to a service.

use std::collections::BTreeSet;

use hickory_proto::rr::RecordType;
use scripted_dns::records::{address, alias, chain, service};
use scripted_dns::reply::{Gate, Reply, Script};
use scripted_dns::server::ScriptedDns;
use serde_json::Value;
use tests::rig::Rig;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::runtime::Runtime;

use crate::BINARIES;

const USERS: &str = "users: { discover: { kind: dns, name: users.demo, port: {users} }, balance: round_robin }";
const ORDERS: &str = "orders: { discover: { kind: srv, name: _http._tcp.orders.demo }, ttl: { min: 200ms, max: 1s } }";
/// Look-ups follow each other quickly, and nobody is forgotten meanwhile.
const QUICK: &str = "ttl: { min: 100ms, max: 300ms }";

/// The server on a thread of its own, and tier 2 that asks it.
struct Stand {
    kit: ScriptedDns,
    rig: Rig,
    _runtime: Runtime,
}

impl Stand {
    /// Tier 2 with this line for `users`, once the server knows what `fill` tells it.
    fn raise(users: &str, fill: impl FnOnce(&ScriptedDns)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let kit = runtime.block_on(ScriptedDns::start());
        fill(&kit);
        let scene = Scene::default()
            .routing("dns: { servers: [\"{dns}\"] }", &format!("dns: {{ servers: [\"{}\"] }}", kit.address()))
            // What the other service does is nothing to this test.
            .routing(ORDERS, "orders: { discover: { kind: static, addresses: [\"127.0.0.1:1\"] } }")
            .routing(USERS, users);
        Self { kit, rig: scene.raise(&BINARIES), _runtime: runtime }
    }

    /// Both instances by address, asked for quickly.
    fn both() -> Self {
        Self::raise(&USERS.replace("balance", &format!("{QUICK}, balance")), |kit| {
            kit.set_addresses("users.demo", 60, &["127.0.0.1", "127.0.0.2"])
        })
    }

    fn users(&self) -> Value {
        let page = self.rig.routing.page("/services");
        page.as_array().and_then(|services| services.iter().find(|service| service["name"] == "users")).expect("the service").clone()
    }

    fn failure(&self) -> Option<String> {
        self.users()["failure"]["code"].as_str().map(str::to_owned)
    }

    fn generation(&self) -> u64 {
        self.users()["generation"].as_u64().expect("a number")
    }

    /// Waits until both instances have answered.
    fn meet_both(&self) {
        let mut met = BTreeSet::new();
        until("both instances are met", || {
            met.insert(self.ask());
            (met.len() == 2).then_some(())
        });
    }

    fn ask(&self) -> String {
        self.rig.knock("GET /users/1").with(&self.rig.editor()).check("200 users").instance()
    }
}

fn lie() -> Vec<hickory_proto::rr::Record> {
    vec![address("users.demo", 60, "127.0.0.9")]
}

#[test]
fn each_failure_is_told_by_its_word_and_no_request_notices() {
    let stand = Stand::both();
    let failures = [
        (Reply::server_failure(), "server-failure"),
        (Reply::refused(), "refused"),
        (Reply::Referral, "referral"),
        (Reply::no_such_name(), "no-such-name"),
        (Reply::Empty, "no-records"),
        (Reply::EmptyWithoutSoa, "no-records"),
        (Reply::Garbage, "malformed"),
        (Reply::Echo, "malformed"),
        (Reply::records(chain(60, &["users.demo", "b.demo", "users.demo"])), "alias-loop"),
        (Reply::ForgedId(lie()), "timeout"),
        (Reply::WrongQuestion(lie()), "timeout"),
        (Reply::Silence, "timeout"),
        // The last one: a connection over TCP is used again, where an answer to another question is no forgery from outside.
        (Reply::TruncatedTwice(lie()), "malformed"),
    ];
    let generation = stand.generation();
    for (reply, word) in failures {
        let said = format!("{reply:?}");
        stand.kit.to_all(reply);
        until(&format!("{said} is told as {word}"), || (stand.failure()? == word).then_some(()));
        stand.ask();
        stand.ask();
        stand.kit.as_scripted();
        until("the failure is over", || stand.failure().is_none().then_some(()));
    }
    assert_eq!(stand.generation(), generation, "no failure has changed the instances");
}

/// Docker's resolver says 600 seconds of everything.
#[test]
fn an_answer_that_says_it_is_good_for_long_is_asked_for_again_within_the_clamp() {
    let stand = Stand::raise(USERS, |kit| kit.set_addresses("users.demo", 600, &["127.0.0.1"]));
    assert_eq!(stand.ask(), "users-1");
    for (ttl, now) in [(600, "127.0.0.2"), (u32::MAX, "127.0.0.1"), (0, "127.0.0.2")] {
        let before = stand.generation();
        stand.kit.set_addresses("users.demo", ttl, &[now]);
        until("the change is seen", || (stand.generation() > before).then_some(()));
        let wanted = if now == "127.0.0.1" { "users-1" } else { "users-2" };
        until("the new address is met", || (stand.ask() == wanted).then_some(()));
    }
}

#[test]
fn one_query_for_a_name_is_under_way_however_many_services_wait_for_it() {
    let more = ["one", "two", "three"]
        .map(|name| format!("\n  {name}: {{ discover: {{ kind: dns, name: users.demo, port: {{users}} }}, {QUICK} }}"));
    let users = USERS.replace("balance", &format!("{QUICK}, balance")) + &more.concat();
    let stand = Stand::raise(&users, |kit| kit.set_addresses("users.demo", 1, &["127.0.0.1"]));
    let gate = Gate::shut();
    let asked = stand.kit.asked_for("users.demo", RecordType::A);
    stand.kit.set("users.demo", RecordType::A, Reply::records(vec![address("users.demo", 1, "127.0.0.2")]).held(&gate));
    until("the name is asked for", || (stand.kit.asked_for("users.demo", RecordType::A) > asked).then_some(()));
    // Meanwhile the other services become due, and no request waits.
    for _ in 0..100 {
        assert_eq!(stand.ask(), "users-1");
    }
    gate.open();
    until("the answer has come", || (stand.ask() == "users-2").then_some(()));
    assert_eq!(stand.kit.most_at_once("users.demo", RecordType::A), 1);
}

/// A headless service of Kubernetes: named ports by SRV, a whole name, addresses along with the answer.
#[test]
fn a_headless_service_is_found_by_its_named_port_and_what_comes_along_needs_no_question() {
    const NAME: &str = "_http._tcp.users.shop.svc.cluster.local";
    let line = USERS
        .replace("kind: dns, name: users.demo, port: {users}", &format!("kind: srv, name: {NAME}."))
        .replace("balance", &format!("{QUICK}, balance"));
    let stand = Stand::raise(&line, |kit| {
        kit.set(NAME, RecordType::SRV, Reply::records(vec![service(NAME, 30, (0, 100, 1), "none.cluster.local")]));
        kit.set_addresses("none.cluster.local", 30, &["127.0.0.1"]);
    });
    let ports = ["users-1", "users-2"].map(|name| stand.rig.instances.get(name).address);
    let host = |number: usize| format!("10-0-0-{number}.users.shop.svc.cluster.local");
    let answers = (0..2).map(|number| service(NAME, 30, (0, 50, ports[number].port()), &host(number))).collect::<Vec<_>>();
    let additional = (0..2).map(|number| address(&host(number), 30, &ports[number].ip().to_string())).collect();
    let before = stand.generation();
    stand.kit.set(NAME, RecordType::SRV, Reply::Answer { answers: answers.clone(), additional });
    until("the change is seen", || (stand.generation() > before).then_some(()));
    stand.meet_both();
    // The other family may be there all the same.
    assert_eq!((0..2).map(|number| stand.kit.asked_for(&host(number), RecordType::A)).sum::<usize>(), 0);
    assert!((0..2).all(|number| stand.kit.asked_for(&host(number), RecordType::AAAA) > 0));
    // Without what comes along, each host is asked for, by its whole name alone.
    for (number, at) in ports.iter().enumerate() {
        stand.kit.set_addresses(&host(number), 30, &[&at.ip().to_string()]);
    }
    stand.kit.set(NAME, RecordType::SRV, Reply::records(answers));
    until("the hosts are asked for", || (0..2).all(|number| stand.kit.asked_for(&host(number), RecordType::A) > 1).then_some(()));
    stand.meet_both();
    assert!(stand.kit.questions(RecordType::A).iter().all(|name| name == "none.cluster.local" || *name == host(0) || *name == host(1)));
}

#[test]
fn an_answer_that_is_cut_comes_over_tcp_and_aliases_are_followed() {
    let stand = Stand::both();
    let before = stand.generation();
    stand.kit.set("users.demo", RecordType::A, Reply::Truncated(vec![address("users.demo", 1, "127.0.0.2")]));
    until("the change is seen", || (stand.generation() > before).then_some(()));
    assert!(stand.kit.asked_over_tcp("users.demo", RecordType::A) > 0);
    assert_eq!((stand.ask(), stand.ask()), ("users-2".to_owned(), "users-2".to_owned()));

    let before = stand.generation();
    stand.kit.set_addresses("elsewhere.demo", 1, &["127.0.0.1"]);
    stand.kit.set_both("users.demo", Reply::records(vec![alias("users.demo", 1, "elsewhere.demo")]));
    until("the alias is followed", || (stand.generation() > before).then_some(()));
    assert_eq!((stand.ask(), stand.ask()), ("users-1".to_owned(), "users-1".to_owned()));
}

#[test]
fn one_family_that_fails_takes_nothing_from_the_other() {
    // Nobody is held here, so that whoever an answer seems to leave out would be gone at once. Behind the last address there is nothing.
    let line = USERS.replace("balance", "ttl: { min: 100ms, max: 300ms, hold: 0s }, balance");
    let known = ["127.0.0.1", "127.0.0.2", "::1"];
    let stand = Stand::raise(&line, |kit| kit.set_addresses("users.demo", 60, &known));
    let addresses = || -> BTreeSet<String> {
        let endpoints = stand.users()["endpoints"].as_array().cloned().unwrap_or_default();
        endpoints.iter().filter_map(|one| Some(one["address"].as_str()?.rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned())).collect()
    };
    let wanted: BTreeSet<String> = known.map(str::to_owned).into();
    until("all are known", || (addresses() == wanted).then_some(()));
    for (kind, family) in [(RecordType::AAAA, "ipv6"), (RecordType::A, "ipv4")] {
        for (reply, word) in [
            (Reply::server_failure(), "server-failure"),
            (Reply::refused(), "refused"),
            (Reply::Garbage, "malformed"),
            (Reply::Silence, "timeout"),
        ] {
            stand.kit.set("users.demo", kind, reply);
            until(&format!("{family} is told as unanswered: {word}"), || {
                let failure = &stand.users()["failure"];
                (failure["code"] == word && failure["family"] == family).then_some(())
            });
            let asked = stand.kit.asked_for("users.demo", kind);
            until("it was asked for several times more", || (stand.kit.asked_for("users.demo", kind) > asked + 2).then_some(()));
            assert_eq!(addresses(), wanted, "{family}: {word}");
            stand.ask();
            stand.kit.set_addresses("users.demo", 60, &known);
            until("the failure is over", || stand.failure().is_none().then_some(()));
        }
    }
    // A certain no is one, also for one family alone.
    stand.kit.set("users.demo", RecordType::AAAA, Reply::Empty);
    until("that family is gone", || (!addresses().contains("::1")).then_some(()));
    assert_eq!((stand.failure(), addresses().len()), (None, 2));
}

#[test]
fn answers_that_flap_lose_no_request() {
    let stand = Stand::both();
    let subset = |text: &str| Reply::records(vec![address("users.demo", 0, text)]);
    let asked = stand.kit.asked_for("users.demo", RecordType::A);
    stand.kit.set("users.demo", RecordType::A, Script::cycle(vec![subset("127.0.0.1"), subset("127.0.0.2")]));
    until("the answer has changed many times", || {
        stand.ask();
        (stand.kit.asked_for("users.demo", RecordType::A) > asked + 20).then_some(())
    });
}
