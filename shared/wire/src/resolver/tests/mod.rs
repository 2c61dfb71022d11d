//! The name service against a scripted server, and the files of a machine.

mod failures;
mod machine;
mod sharing;

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use scripted_dns::records::{address, alias, service};
use scripted_dns::reply::{Gate, Reply};
use scripted_dns::server::ScriptedDns;
use tokio::runtime::Handle;

use crate::resolver::families::Family;
use crate::resolver::fault::NameFault;
use crate::resolver::source::Source;
use crate::resolver::{Answer, Names, SrvTarget};
use crate::tasks::Tasks;

/// Long enough for a loopback answer on a busy machine.
const ONE_TRY: Duration = Duration::from_millis(2_000);
const QUESTION: Duration = Duration::from_millis(8_000);
/// For servers that are silent on purpose.
const SHORT: Duration = Duration::from_millis(200);

fn names(servers: &[&ScriptedDns]) -> Names {
    patient_for(servers, ONE_TRY)
}

fn hasty(servers: &[&ScriptedDns]) -> Names {
    patient_for(servers, SHORT)
}

fn patient_for(servers: &[&ScriptedDns], one_try: Duration) -> Names {
    Names::of(Source::fixed(&addresses(servers), one_try), &tasks(), QUESTION)
}

fn tasks() -> Tasks {
    Tasks::on(Handle::current())
}

fn addresses(servers: &[&ScriptedDns]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address()).collect()
}

fn texts<T: ToString>(answer: &Answer<T>) -> Vec<String> {
    answer.items.iter().map(ToString::to_string).collect()
}

/// What waits on these futures lives on a runtime that wants them to be `Send`.
#[tokio::test]
async fn the_futures_may_change_threads() {
    fn is_send<T: Send>(_: &T) {}
    let names = Names::servers(&[], &tasks());
    is_send(&names.addresses("a.demo"));
    is_send(&names.services("a.demo"));
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Names>();
}

#[tokio::test]
async fn both_families_are_merged_and_the_shortest_life_counts() {
    let server = ScriptedDns::start().await;
    server.set(
        "users.demo",
        RecordType::A,
        Reply::records(vec![address("users.demo.", 30, "10.0.0.2"), address("users.demo.", 7, "10.0.0.1")]),
    );
    server.set("users.demo", RecordType::AAAA, Reply::records(vec![address("users.demo.", 60, "2001:db8::1")]));
    let answer = names(&[&server]).addresses("Users.Demo").await.unwrap();
    assert_eq!(texts(&answer), ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
    assert_eq!((answer.ttl, &*answer.server), (Duration::from_secs(7), server.address().to_string().as_str()));
}

#[tokio::test]
async fn an_alias_is_followed_and_its_life_counts() {
    let server = ScriptedDns::start().await;
    let chain = vec![alias("www.demo.", 3, "users.demo."), address("users.demo.", 60, "10.0.0.1")];
    server.set("www.demo", RecordType::A, Reply::records(chain));
    server.set("www.demo", RecordType::AAAA, Reply::records(vec![alias("www.demo.", 3, "users.demo.")]));
    server.set("users.demo", RecordType::AAAA, Reply::Empty);
    let answer = names(&[&server]).addresses("www.demo").await.unwrap();
    assert_eq!((texts(&answer), answer.ttl), (vec!["10.0.0.1".to_owned()], Duration::from_secs(3)));
}

#[tokio::test]
async fn one_family_is_enough() {
    let server = ScriptedDns::start().await;
    let four = Reply::records(vec![address("users.demo.", 60, "10.0.0.1")]);
    for other in [Reply::Code(ResponseCode::ServFail), Reply::Empty, Reply::Code(ResponseCode::NXDomain), Reply::Silence, Reply::Garbage] {
        server.set("users.demo", RecordType::A, four.clone());
        let (said, definite) = (format!("{other:?}"), matches!(other, Reply::Empty | Reply::Code(ResponseCode::NXDomain)));
        server.set("users.demo", RecordType::AAAA, other);
        let answer = hasty(&[&server]).addresses("users.demo").await.unwrap();
        assert_eq!(texts(&answer), ["10.0.0.1"]);
        let unanswered = answer.unanswered.map(|(family, fault)| (family, fault.is_definite()));
        assert_eq!(unanswered, (!definite).then_some((Family::Six, false)), "{said}");
    }
}

/// "There are none in this family" says nothing of the other one, of which nobody said anything.
#[tokio::test]
async fn a_certain_no_of_one_family_alone_is_no_certain_no() {
    let server = ScriptedDns::start().await;
    for no in [Reply::Empty, Reply::no_such_name()] {
        for (silent, other) in [(RecordType::A, RecordType::AAAA), (RecordType::AAAA, RecordType::A)] {
            server.set("users.demo", silent, Reply::server_failure());
            server.set("users.demo", other, no.clone());
            assert_eq!(names(&[&server]).addresses("users.demo").await.unwrap_err().code(), "server-failure");
        }
    }
}

#[tokio::test]
async fn a_silent_family_holds_up_the_other_one_for_a_moment_only() {
    let server = ScriptedDns::start().await;
    server.set("users.demo", RecordType::A, Reply::records(vec![address("users.demo.", 60, "10.0.0.1")]));
    server.set("users.demo", RecordType::AAAA, Reply::Silence);
    let minute = Duration::from_secs(60);
    let patient = Names::of(Source::fixed(&[server.address()], minute), &tasks(), minute);
    let answer =
        tokio::time::timeout(Duration::from_secs(20), patient.addresses("users.demo")).await.expect("it waited for the silent family");
    assert_eq!(texts(&answer.unwrap()), ["10.0.0.1"]);
}

#[tokio::test]
async fn nothing_is_remembered() {
    let server = ScriptedDns::start().await;
    let names = names(&[&server]);
    for (round, now) in ["10.0.0.1", "10.0.0.2"].into_iter().enumerate() {
        server.set("users.demo", RecordType::A, Reply::records(vec![address("users.demo.", 86_400, now)]));
        assert_eq!(texts(&names.addresses("users.demo").await.unwrap()), [now]);
        assert_eq!(server.asked("users.demo"), 2 * (round + 1));
        assert_eq!(names.addresses("gone.demo").await, Err(NameFault::NoSuchName));
        assert_eq!(server.asked("gone.demo"), 2 * (round + 1));
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_and_not_when_it_says_no() {
    let (first, second) = (ScriptedDns::start().await, ScriptedDns::start().await);
    let good = Reply::records(vec![address("x.demo.", 60, "10.0.0.2")]);
    second.set("x.demo", RecordType::A, good.clone());
    let names = hasty(&[&first, &second]);
    first.set_both("x.demo", Reply::Code(ResponseCode::ServFail));
    let answer = names.addresses("x.demo").await.unwrap();
    assert_eq!(&*answer.server, second.address().to_string());
    first.set_both("x.demo", Reply::Code(ResponseCode::NXDomain));
    assert_eq!(names.addresses("x.demo").await, Err(NameFault::NoSuchName));

    // A silent server stands behind the others for a while, so its silence is paid for once.
    first.set_both("x.demo", Reply::Silence);
    assert_eq!(&*names.addresses("x.demo").await.unwrap().server, second.address().to_string());
    let asked = first.asked("x.demo");
    assert_eq!(&*names.addresses("x.demo").await.unwrap().server, second.address().to_string());
    assert_eq!(first.asked("x.demo"), asked);
}

#[tokio::test]
async fn a_server_that_was_silent_is_tried_again_beside_a_question_and_comes_back() {
    let (first, second) = (ScriptedDns::start().await, ScriptedDns::start().await);
    second.set_addresses("x.demo", 60, &["10.0.0.2"]);
    first.set_both("x.demo", Reply::Silence);
    let minute = Duration::from_secs(60);
    let source = Source::fixed(&addresses(&[&first, &second]), SHORT);
    let view = source.view();
    let names = Names::of(source, &tasks(), minute);
    let asks = async || names.addresses("x.demo").await.unwrap().server.to_string();
    assert_eq!(asks().await, second.address().to_string());
    // Its time is over: one question tries it, and no question is answered by it or waits for it.
    let gate = Gate::shut();
    first.set("x.demo", RecordType::A, Reply::records(vec![address("x.demo", 60, "10.0.0.1")]).held(&gate));
    first.set("x.demo", RecordType::AAAA, Reply::Empty.held(&gate));
    view.servers[0].let_time_pass();
    let asked = first.asked("x.demo");
    for _ in 0..3 {
        assert_eq!(asks().await, second.address().to_string());
    }
    assert!(first.asked("x.demo") <= asked + 1, "one question at most");
    gate.open();
    first.set_addresses("x.demo", 60, &["10.0.0.1"]);
    view.servers[0].let_time_pass();
    let back = async {
        while asks().await != first.address().to_string() {
            view.servers[0].let_time_pass();
        }
    };
    tokio::time::timeout(minute, back).await.expect("it answers again");
}

#[tokio::test]
async fn services_come_in_order_and_one_that_is_declared_absent_is_none() {
    let server = ScriptedDns::start().await;
    let name = "_http._tcp.orders.demo.";
    let records = vec![
        service(name, 20, (10, 5, 9302), "Orders-2.demo."),
        service(name, 9, (1, 0, 9301), "orders-1.demo."),
        service(name, 20, (10, 5, 9302), "orders-2.demo."),
        service(name, 20, (0, 0, 0), "orders-3.demo."),
    ];
    server.set("_http._tcp.orders.demo", RecordType::SRV, Reply::records(records));
    let names = names(&[&server]);
    let answer = names.services("_http._tcp.orders.demo").await.unwrap().targets;
    let target = |priority, weight, target: &str, port| SrvTarget { priority, weight, target: target.to_owned(), port };
    assert_eq!(answer.items, [target(1, 0, "orders-1.demo", 9301), target(10, 5, "orders-2.demo", 9302)]);
    assert_eq!(answer.ttl, Duration::from_secs(9));
    server.set("_http._tcp.orders.demo", RecordType::SRV, Reply::records(vec![service(name, 60, (0, 0, 0), ".")]));
    assert_eq!(names.services("_http._tcp.orders.demo").await, Err(NameFault::NoRecords));
}

#[tokio::test]
async fn an_address_is_its_own_answer_and_what_is_no_name_is_not_asked_for() {
    let names = Names::servers(&[], &tasks());
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
    let server = ScriptedDns::start().await;
    let names = names(&[&server]);
    for name in ["localhost", "LocalHost.", "db.localhost"] {
        assert_eq!(texts(&names.addresses(name).await.unwrap()), ["127.0.0.1", "::1"]);
    }
    assert_eq!(names.addresses("db.invalid").await, Err(NameFault::NoSuchName));
    assert_eq!(names.services("_http._tcp.db.invalid").await, Err(NameFault::NoSuchName));
    assert_eq!(names.services("_http._tcp.localhost").await, Err(NameFault::NoRecords));
    assert!(server.questions(RecordType::A).is_empty() && server.questions(RecordType::SRV).is_empty());

    // The same where an alias or a target leads there, whatever the server says of it.
    let to = |name: &'static str| vec![alias("x.demo", 60, name), address(name, 60, "6.6.6.6"), address(name, 60, "2001:db8::6")];
    server.set_both("x.demo", Reply::records(to("db.localhost")));
    assert_eq!(texts(&names.addresses("x.demo").await.unwrap()), ["127.0.0.1", "::1"]);
    for records in [to("db.invalid"), vec![alias("x.demo", 60, "db.invalid")]] {
        server.set_both("x.demo", Reply::records(records));
        assert_eq!(names.addresses("x.demo").await, Err(NameFault::NoSuchName));
    }
    assert_eq!(server.asked("db.invalid"), 0);
    let (answers, additional) =
        (vec![service("_x._tcp.demo", 60, (0, 1, 80), "db.localhost")], vec![address("db.localhost", 60, "6.6.6.6")]);
    server.set("_x._tcp.demo", RecordType::SRV, Reply::Answer { answers, additional });
    assert_eq!(names.services("_x._tcp.demo").await.unwrap().additional, []);
}

/// A search list over the scripted server; `resolv.conf` could not name its port.
fn searching(server: &ScriptedDns, domains: &[&str]) -> Names {
    Names::of(Source::searching(&[server.address()], ONE_TRY, domains, 1), &tasks(), QUESTION)
}

#[tokio::test]
async fn the_search_goes_on_after_a_plain_no_and_stops_at_a_failure() {
    let server = ScriptedDns::start().await;
    server.set("db.two.demo", RecordType::A, Reply::records(vec![address("db.two.demo.", 60, "10.0.0.1")]));
    let names = searching(&server, &["one.demo", "two.demo"]);
    assert_eq!(texts(&names.addresses("db").await.unwrap()), ["10.0.0.1"]);
    assert_eq!(server.questions(RecordType::A), ["db.one.demo", "db.two.demo"]);

    // One family of an earlier candidate must never mix with the other family of a later one.
    server.set("db.two.demo", RecordType::AAAA, Reply::records(vec![address("db.two.demo.", 60, "2001:db8::2")]));
    server.set("db.one.demo", RecordType::A, Reply::records(vec![address("db.one.demo.", 60, "10.0.0.9")]));
    server.set("db.one.demo", RecordType::AAAA, Reply::Empty);
    assert_eq!(texts(&names.addresses("db").await.unwrap()), ["10.0.0.9"]);

    server.set_both("db.one.demo", Reply::Code(ResponseCode::ServFail));
    assert_eq!(names.addresses("db").await.unwrap_err().code(), "server-failure");
}
