//! The name service against the server in `fake`, and the files of a machine.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};

use crate::resolver::fake::{FakeServer, Reply, address, alias, service};
use crate::resolver::fault::NameFault;
use crate::resolver::view::{Source, System, View};
use crate::resolver::{Answer, ITEMS_MAX, Names, SrvTarget};
use crate::tls::forge::Folder;

/// Long enough for a loopback answer on a busy machine.
const ONE_TRY: Duration = Duration::from_millis(2_000);
const QUESTION: Duration = Duration::from_millis(8_000);
/// For servers that are silent on purpose.
const SHORT: Duration = Duration::from_millis(200);

fn names(servers: &[&FakeServer]) -> Names {
    Names::servers_within(&addresses(servers), ONE_TRY, QUESTION)
}

fn hasty(servers: &[&FakeServer]) -> Names {
    Names::servers_within(&addresses(servers), SHORT, QUESTION)
}

fn addresses(servers: &[&FakeServer]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address).collect()
}

fn texts<T: ToString>(answer: &Answer<T>) -> Vec<String> {
    answer.items.iter().map(ToString::to_string).collect()
}

/// What waits on these futures lives on a runtime that wants them to be `Send`.
#[test]
fn the_futures_may_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let names = Names::servers(&[]);
    is_send(&names.addresses("a.demo"));
    is_send(&names.services("a.demo"));
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Names>();
}

#[tokio::test]
async fn both_families_are_merged_and_the_shortest_life_counts() {
    let server = FakeServer::start().await;
    server.set(
        "users.demo",
        RecordType::A,
        Reply::Records(vec![address("users.demo.", 30, "10.0.0.2"), address("users.demo.", 7, "10.0.0.1")]),
    );
    server.set("users.demo", RecordType::AAAA, Reply::Records(vec![address("users.demo.", 60, "2001:db8::1")]));
    let answer = names(&[&server]).addresses("Users.Demo").await.unwrap();
    assert_eq!(texts(&answer), ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
    assert_eq!((answer.ttl, &*answer.server), (Duration::from_secs(7), server.address.to_string().as_str()));
}

#[tokio::test]
async fn an_alias_is_followed_and_its_life_counts() {
    let server = FakeServer::start().await;
    let chain = vec![alias("www.demo.", 3, "users.demo."), address("users.demo.", 60, "10.0.0.1")];
    server.set("www.demo", RecordType::A, Reply::Records(chain));
    server.set("www.demo", RecordType::AAAA, Reply::Records(vec![alias("www.demo.", 3, "users.demo.")]));
    server.set("users.demo", RecordType::AAAA, Reply::Code(ResponseCode::NoError));
    let answer = names(&[&server]).addresses("www.demo").await.unwrap();
    assert_eq!((texts(&answer), answer.ttl), (vec!["10.0.0.1".to_owned()], Duration::from_secs(3)));
}

#[tokio::test]
async fn an_alias_that_leads_back_to_itself_ends() {
    let server = FakeServer::start().await;
    server.set_both("a.demo", &Reply::Records(vec![alias("a.demo.", 60, "b.demo.")]));
    server.set_both("b.demo", &Reply::Records(vec![alias("b.demo.", 60, "a.demo.")]));
    assert!(names(&[&server]).addresses("a.demo").await.is_err());
    assert!(server.asked("a.demo") < 20, "{}", server.asked("a.demo"));
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = FakeServer::start().await;
    let four = Reply::Records(vec![address("users.demo.", 60, "10.0.0.1")]);
    for other in [
        Reply::Code(ResponseCode::ServFail),
        Reply::Code(ResponseCode::NoError),
        Reply::Code(ResponseCode::NXDomain),
        Reply::Silence,
        Reply::Garbage,
    ] {
        server.set("users.demo", RecordType::A, four.clone());
        server.set("users.demo", RecordType::AAAA, other);
        assert_eq!(texts(&hasty(&[&server]).addresses("users.demo").await.unwrap()), ["10.0.0.1"]);
    }
}

#[tokio::test]
async fn a_silent_family_holds_up_the_other_one_for_a_moment_only() {
    let server = FakeServer::start().await;
    server.set("users.demo", RecordType::A, Reply::Records(vec![address("users.demo.", 60, "10.0.0.1")]));
    server.set("users.demo", RecordType::AAAA, Reply::Silence);
    let patient = Names::servers_within(&[server.address], Duration::from_secs(60), Duration::from_secs(60));
    let answer =
        tokio::time::timeout(Duration::from_secs(20), patient.addresses("users.demo")).await.expect("it waited for the silent family");
    assert_eq!(texts(&answer.unwrap()), ["10.0.0.1"]);
}

#[tokio::test]
async fn nothing_is_remembered() {
    let server = FakeServer::start().await;
    let names = names(&[&server]);
    for (round, now) in ["10.0.0.1", "10.0.0.2"].into_iter().enumerate() {
        server.set("users.demo", RecordType::A, Reply::Records(vec![address("users.demo.", 86_400, now)]));
        assert_eq!(texts(&names.addresses("users.demo").await.unwrap()), [now]);
        assert_eq!(server.asked("users.demo"), 2 * (round + 1));
        assert_eq!(names.addresses("gone.demo").await, Err(NameFault::NoSuchName));
        assert_eq!(server.asked("gone.demo"), 2 * (round + 1));
    }
}

#[tokio::test]
async fn each_way_to_fail_has_its_word() {
    let server = FakeServer::start().await;
    let names = hasty(&[&server]);
    let cases = [
        (Reply::Code(ResponseCode::NXDomain), "no-such-name", true),
        (Reply::Code(ResponseCode::NoError), "no-records", true),
        (Reply::Code(ResponseCode::ServFail), "server-failure", false),
        (Reply::Code(ResponseCode::Refused), "refused", false),
        (Reply::Referral, "referral", false),
        (Reply::Garbage, "malformed", false),
        (Reply::Forged(vec![address("x.demo.", 60, "6.6.6.6")]), "timeout", false),
        (Reply::Silence, "timeout", false),
    ];
    for (reply, code, definite) in cases {
        server.set_both("x.demo", &reply);
        server.set("x.demo", RecordType::SRV, reply);
        let by_address = names.addresses("x.demo").await.unwrap_err();
        assert_eq!((by_address.code(), by_address.is_definite()), (code, definite), "{by_address}");
        let by_service = names.services("x.demo").await.unwrap_err();
        assert_eq!((by_service.code(), by_service.is_definite()), (code, definite), "{by_service}");
    }
    assert_eq!(Names::servers(&[]).addresses("x.demo").await, Err(NameFault::NoServers));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_over_tcp() {
    let server = FakeServer::start().await;
    let many = |count: usize| {
        (0..count).map(|n| address("many.demo.", 60, &format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255))).collect::<Vec<_>>()
    };
    server.set("many.demo", RecordType::A, Reply::OverTcp(many(500)));
    let names = names(&[&server]);
    assert_eq!(names.addresses("many.demo").await.unwrap().items.len(), 500);
    server.set("many.demo", RecordType::A, Reply::OverTcp(many(ITEMS_MAX + 500)));
    assert_eq!(names.addresses("many.demo").await.unwrap().items.len(), ITEMS_MAX);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_and_not_when_it_says_no() {
    let (first, second) = (FakeServer::start().await, FakeServer::start().await);
    let good = Reply::Records(vec![address("x.demo.", 60, "10.0.0.2")]);
    second.set("x.demo", RecordType::A, good.clone());
    let names = hasty(&[&first, &second]);
    first.set_both("x.demo", &Reply::Code(ResponseCode::ServFail));
    let answer = names.addresses("x.demo").await.unwrap();
    assert_eq!(&*answer.server, second.address.to_string());
    first.set_both("x.demo", &Reply::Code(ResponseCode::NXDomain));
    assert_eq!(names.addresses("x.demo").await, Err(NameFault::NoSuchName));

    // A silent server stands behind the others for a while, so its silence is paid for once.
    first.set_both("x.demo", &Reply::Silence);
    assert_eq!(&*names.addresses("x.demo").await.unwrap().server, second.address.to_string());
    let asked = first.asked("x.demo");
    assert_eq!(&*names.addresses("x.demo").await.unwrap().server, second.address.to_string());
    assert_eq!(first.asked("x.demo"), asked);
}

#[tokio::test]
async fn services_come_in_order_and_one_that_is_declared_absent_is_none() {
    let server = FakeServer::start().await;
    let name = "_http._tcp.orders.demo.";
    let records = vec![
        service(name, 20, (10, 5, 9302), "Orders-2.demo."),
        service(name, 9, (1, 0, 9301), "orders-1.demo."),
        service(name, 20, (10, 5, 9302), "orders-2.demo."),
        service(name, 20, (0, 0, 0), "orders-3.demo."),
    ];
    server.set("_http._tcp.orders.demo", RecordType::SRV, Reply::Records(records));
    let names = names(&[&server]);
    let answer = names.services("_http._tcp.orders.demo").await.unwrap().targets;
    let target = |priority, weight, target: &str, port| SrvTarget { priority, weight, target: target.to_owned(), port };
    assert_eq!(answer.items, [target(1, 0, "orders-1.demo", 9301), target(10, 5, "orders-2.demo", 9302)]);
    assert_eq!(answer.ttl, Duration::from_secs(9));
    server.set("_http._tcp.orders.demo", RecordType::SRV, Reply::Records(vec![service(name, 60, (0, 0, 0), ".")]));
    assert_eq!(names.services("_http._tcp.orders.demo").await, Err(NameFault::NoRecords));
}

#[tokio::test]
async fn an_address_is_its_own_answer_and_what_is_no_name_is_not_asked_for() {
    let names = Names::servers(&[]);
    for (text, address) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")] {
        let answer = names.addresses(text).await.unwrap();
        assert_eq!((texts(&answer), &*answer.server), (vec![address.to_owned()], "literal"));
    }
    let long = "a".repeat(64);
    for text in ["", ".", "..", "a..b", ".a", "a b", "a\\b", "ä.demo", "a\n", long.as_str()] {
        assert_eq!(names.addresses(text).await, Err(NameFault::NotAName), "{text:?}");
        assert_eq!(names.services(text).await, Err(NameFault::NotAName), "{text:?}");
    }
}

/// RFC 6761: the local host needs no server.
#[tokio::test]
async fn the_local_host_is_here() {
    let server = FakeServer::start().await;
    assert_eq!(texts(&names(&[&server]).addresses("localhost").await.unwrap()), ["127.0.0.1", "::1"]);
    assert_eq!(server.asked("localhost"), 0);
}

fn names_of(candidates: Vec<Name>) -> Vec<String> {
    candidates.iter().map(Name::to_ascii).collect()
}

/// A machine whose resolver file says this.
fn machine(resolv_conf: &str, hosts: &str) -> (Folder, System) {
    let folder = Folder::new();
    let system = System::at(folder.write("resolv.conf", resolv_conf), folder.write("hosts", hosts));
    (folder, system)
}

fn candidates(view: &View, name: &str) -> Vec<String> {
    names_of(view.candidates(Name::from_ascii(name).unwrap()))
}

#[test]
fn the_search_list_follows_the_number_of_dots() {
    let (_folder, system) = machine("nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n", "");
    let view = system.view();
    assert_eq!(candidates(&view, "orders"), ["orders.ns.svc.cluster.local.", "orders.svc.cluster.local.", "orders."]);
    assert_eq!(candidates(&view, "a.b.c.d.e.f"), ["a.b.c.d.e.f.", "a.b.c.d.e.f.ns.svc.cluster.local.", "a.b.c.d.e.f.svc.cluster.local."]);
    assert_eq!(candidates(&view, "orders."), ["orders."]);
    let (_folder, system) = machine("nameserver 127.0.0.11\n", "");
    assert_eq!(candidates(&system.view(), "orders"), ["orders."]);
}

#[test]
fn the_machines_files_are_read_again_when_they_change() {
    let (folder, system) = machine("nameserver 10.0.0.1\n", "10.1.1.1 db db.local # the database\n::5 db\n");
    let first = system.view();
    let db = Name::from_ascii("db").unwrap();
    assert_eq!(texts(&first.hosts(&db).unwrap()), ["10.1.1.1", "::5"]);
    assert!(std::sync::Arc::ptr_eq(&first, &system.view()));
    folder.write("hosts", "10.1.1.2 db and.one.more\n");
    assert_eq!(texts(&system.view().hosts(&db).unwrap()), ["10.1.1.2"]);
    std::fs::remove_file(folder.path().join("hosts")).unwrap();
    std::fs::remove_file(folder.path().join("resolv.conf")).unwrap();
    assert!(system.view().hosts(&db).is_none());
}

#[tokio::test]
async fn the_hosts_file_comes_before_dns_and_without_servers_it_is_all_there_is() {
    let (_folder, system) = machine("", "10.1.1.1 db\n");
    let names = Names { source: Source::System(system), question: QUESTION };
    let answer = names.addresses("DB").await.unwrap();
    assert_eq!((texts(&answer), &*answer.server), (vec!["10.1.1.1".to_owned()], "hosts"));
    assert_eq!(names.addresses("other").await, Err(NameFault::NoServers));
}

/// A search list over the fake server; `resolv.conf` could not name its port.
fn searching(server: &FakeServer, domains: &[&str]) -> Names {
    Names { source: Source::searching(&[server.address], ONE_TRY, domains, 1), question: QUESTION }
}

#[tokio::test]
async fn the_search_goes_on_after_a_plain_no_and_stops_at_a_failure() {
    let server = FakeServer::start().await;
    server.set("db.two.demo", RecordType::A, Reply::Records(vec![address("db.two.demo.", 60, "10.0.0.1")]));
    let names = searching(&server, &["one.demo", "two.demo"]);
    assert_eq!(texts(&names.addresses("db").await.unwrap()), ["10.0.0.1"]);
    assert_eq!(server.questions(RecordType::A), ["db.one.demo", "db.two.demo"]);

    // One family of an earlier candidate must never mix with the other family of a later one.
    server.set("db.two.demo", RecordType::AAAA, Reply::Records(vec![address("db.two.demo.", 60, "2001:db8::2")]));
    server.set("db.one.demo", RecordType::A, Reply::Records(vec![address("db.one.demo.", 60, "10.0.0.9")]));
    server.set("db.one.demo", RecordType::AAAA, Reply::Code(ResponseCode::NoError));
    assert_eq!(texts(&names.addresses("db").await.unwrap()), ["10.0.0.9"]);

    server.set_both("db.one.demo", &Reply::Code(ResponseCode::ServFail));
    assert_eq!(names.addresses("db").await.unwrap_err().code(), "server-failure");
}
