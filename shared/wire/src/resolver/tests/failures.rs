//! Each way in which a name server fails, and what is made of it.

use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use scripted_dns::records::{address, alias, chain, many, service};
use scripted_dns::reply::{Gate, Reply, Script};
use scripted_dns::server::ScriptedDns;

use super::{hasty, names, tasks, texts};
use crate::resolver::aliases::{Chain, Step};
use crate::resolver::fault::NameFault;
use crate::resolver::{ALIASES_MAX, ITEMS_MAX, Names};

fn one() -> Vec<Record> {
    vec![address("x.demo", 60, "6.6.6.6")]
}

#[tokio::test]
async fn each_way_to_fail_has_its_word() {
    let server = ScriptedDns::start().await;
    let cases = [
        (Reply::no_such_name(), "no-such-name", true),
        (Reply::Empty, "no-records", true),
        (Reply::EmptyWithoutSoa, "no-records", true),
        (Reply::server_failure(), "server-failure", false),
        (Reply::Code(ResponseCode::NotImp), "server-failure", false),
        (Reply::Code(ResponseCode::Unknown(3841)), "server-failure", false),
        (Reply::refused(), "refused", false),
        (Reply::Referral, "referral", false),
        (Reply::Garbage, "malformed", false),
        (Reply::Echo, "malformed", false),
        (Reply::records(vec![address("y.demo", 60, "6.6.6.6")]), "malformed", false),
        (Reply::ForgedId(one()), "timeout", false),
        (Reply::WrongQuestion(one()), "timeout", false),
        (Reply::Silence, "timeout", false),
        (Reply::TruncatedThenWrongNo(ResponseCode::NXDomain), "malformed", false),
        (Reply::TruncatedThenWrongNo(ResponseCode::NoError), "malformed", false),
        (Reply::TruncatedTwice(one()), "malformed", false),
        (Reply::records(chain(60, &["x.demo", "y.demo", "x.demo"])), "alias-loop", false),
        (Reply::records(vec![alias("x.demo", 60, "x.demo")]), "alias-loop", false),
    ];
    for (reply, code, definite) in cases {
        let said = format!("{reply:?}");
        // A new one each time: a server that was silent would be asked last, which changes nothing with one server.
        let names = hasty(&[&server]);
        server.set_both("x.demo", reply.clone());
        server.set("x.demo", RecordType::SRV, reply);
        let by_address = names.addresses("x.demo").await.unwrap_err();
        assert_eq!((by_address.code(), by_address.is_definite()), (code, definite), "{said}: {by_address}");
        let by_service = names.services("x.demo").await.unwrap_err();
        assert_eq!((by_service.code(), by_service.is_definite()), (code, definite), "{said}: {by_service}");
    }
    assert_eq!(Names::servers(&[], &tasks()).addresses("x.demo").await, Err(NameFault::NoServers));
}

#[tokio::test]
async fn a_forged_answer_does_not_keep_the_true_one_out() {
    let server = ScriptedDns::start().await;
    server.set("x.demo", RecordType::A, Reply::ForgedFirst(one(), Box::new(Reply::records(vec![address("x.demo", 60, "10.0.0.1")]))));
    server.set("x.demo", RecordType::AAAA, Reply::Empty);
    assert_eq!(texts(&names(&[&server]).addresses("x.demo").await.unwrap()), ["10.0.0.1"]);
}

#[tokio::test]
async fn aliases_are_followed_whoever_follows_them_and_only_so_far() {
    let server = ScriptedDns::start().await;
    let names = names(&[&server]);
    // The server tells the whole way, or each step when it is asked for it.
    server.set("a.demo", RecordType::AAAA, Reply::Empty);
    let mut whole = chain(60, &["a.demo", "b.demo", "c.demo"]);
    whole.extend([address("c.demo", 9, "10.0.0.1"), address("other.demo", 1, "6.6.6.6")]);
    server.set("a.demo", RecordType::A, Reply::records(whole));
    let answer = names.addresses("a.demo").await.unwrap();
    assert_eq!((texts(&answer), answer.ttl.as_secs()), (vec!["10.0.0.1".to_owned()], 9));
    assert_eq!(server.asked("c.demo"), 0, "what an answer holds is not asked for");

    let step = |number: usize| format!("n{number}.demo");
    for number in 0..=ALIASES_MAX {
        server.set_both(&step(number), Reply::records(vec![alias(&step(number), 60, &step(number + 1))]));
    }
    server.set_addresses(&step(ALIASES_MAX), 60, &["10.0.0.2"]);
    assert_eq!(texts(&names.addresses("n0.demo").await.unwrap()), ["10.0.0.2"]);
    server.set_both(&step(ALIASES_MAX), Reply::records(vec![alias(&step(ALIASES_MAX), 60, &step(ALIASES_MAX + 1))]));
    server.set_addresses(&step(ALIASES_MAX + 1), 60, &["10.0.0.2"]);
    assert_eq!(names.addresses("n0.demo").await, Err(NameFault::AliasLoop));

    // An alias to nothing is nothing.
    server.set_both("a.demo", Reply::records(vec![alias("a.demo", 60, "gone.demo")]));
    assert_eq!(names.addresses("a.demo").await, Err(NameFault::NoSuchName));
}

/// The name of a service may be an alias too; its targets may not, and are no part of the chain.
#[tokio::test]
async fn a_service_behind_an_alias_is_found() {
    let server = ScriptedDns::start().await;
    let told = vec![alias("_http._tcp.a.demo", 60, "_http._tcp.b.demo"), service("_http._tcp.b.demo", 30, (0, 1, 80), "h.demo")];
    server.set("_http._tcp.a.demo", RecordType::SRV, Reply::records(told));
    let found = names(&[&server]).services("_http._tcp.a.demo").await.unwrap();
    assert_eq!((found.targets.items.len(), &*found.targets.items[0].target, found.targets.ttl.as_secs()), (1, "h.demo", 30));
}

#[tokio::test]
async fn what_comes_along_is_taken_for_targets_alone() {
    let server = ScriptedDns::start().await;
    let name = "_http._tcp.a.demo";
    let answers = vec![service(name, 30, (0, 1, 80), "H1.demo"), service(name, 30, (0, 1, 80), "h2.demo")];
    let additional = vec![
        address("h1.demo", 20, "10.0.0.1"),
        address("h1.demo", 25, "2001:db8::1"),
        address("h1.demo", 25, "10.0.0.1"),
        address("evil.demo", 1, "6.6.6.6"),
    ];
    server.set(name, RecordType::SRV, Reply::Answer { answers, additional });
    let found = names(&[&server]).services(name).await.unwrap();
    assert_eq!(found.additional, [("h1.demo".to_owned(), vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])]);
    assert_eq!(found.targets.ttl.as_secs(), 20);
}

#[test]
fn an_address_of_another_class_is_none() {
    let (told, mut elsewhere) = (service("_http._tcp.a.demo", 30, (0, 1, 80), "h1.demo"), address("h1.demo", 20, "6.6.6.6"));
    elsewhere.dns_class = DNSClass::CH;
    let mut message = Message::response(1, OpCode::Query);
    let mut chain = Chain::from(told.name.clone());
    message.add_answers([told]);
    message.add_additionals([elsewhere, address("h1.demo", 20, "10.0.0.1")]);
    let Ok(Step::Found(found)) = chain.step(&message, RecordType::SRV) else { panic!("it has an answer") };
    assert_eq!(found.beside.len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_over_tcp() {
    let server = ScriptedDns::start().await;
    let names = names(&[&server]);
    server.set("many.demo", RecordType::AAAA, Reply::Empty);
    // More than 512 bytes fit: the asker offers 1232.
    for (count, over_tcp) in [(40, 0), (90, 1), (ITEMS_MAX + 500, 2)] {
        server.set("many.demo", RecordType::A, Reply::records(many("many.demo", 60, u32::try_from(count).unwrap())));
        assert_eq!(names.addresses("many.demo").await.unwrap().items.len(), count.min(ITEMS_MAX));
        assert_eq!(server.asked_over_tcp("many.demo", RecordType::A), over_tcp, "{count}");
    }
    server.set("many.demo", RecordType::A, Reply::Truncated(one_of("many.demo")));
    assert_eq!(texts(&names.addresses("many.demo").await.unwrap()), ["10.0.0.1"]);
    server.set("many.demo", RecordType::A, Reply::TruncatedThenClosed);
    let fault = names.addresses("many.demo").await.unwrap_err();
    assert!(!fault.is_definite(), "{fault}");
}

fn one_of(name: &str) -> Vec<Record> {
    vec![address(name, 60, "10.0.0.1")]
}

#[tokio::test]
async fn a_time_to_live_is_taken_as_it_is_however_it_lies() {
    let server = ScriptedDns::start().await;
    let names = names(&[&server]);
    // A number with the highest bit is large, not none (RFC 8767 §4); who asks has a clamp.
    for ttl in [0, 600, u32::MAX] {
        server.set("x.demo", RecordType::A, Reply::records(vec![address("x.demo", ttl, "10.0.0.1")]));
        assert_eq!(names.addresses("x.demo").await.unwrap().ttl, Duration::from_secs(ttl.into()));
    }
}

#[tokio::test]
async fn answers_that_flap_are_told_as_they_come() {
    let server = ScriptedDns::start().await;
    let subset = |text: &str| Reply::records(vec![address("x.demo", 1, text)]);
    server.set("x.demo", RecordType::A, Script::cycle(vec![subset("10.0.0.1"), subset("10.0.0.2")]));
    let names = names(&[&server]);
    for round in 0..4 {
        assert_eq!(texts(&names.addresses("x.demo").await.unwrap()), [["10.0.0.1", "10.0.0.2"][round % 2]]);
    }
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let (server, gate) = (ScriptedDns::start().await, Gate::shut());
    server.set("x.demo", RecordType::A, Reply::records(vec![address("x.demo", 1, "10.0.0.1")]).held(&gate));
    server.set("x.demo", RecordType::AAAA, Reply::Empty);
    let names = names(&[&server]);
    let (answer, ()) = tokio::join!(names.addresses("x.demo"), async {
        server.until_asked("x.demo", RecordType::A, 1).await;
        gate.open();
    });
    assert_eq!(texts(&answer.unwrap()), ["10.0.0.1"]);
}

#[tokio::test]
async fn a_server_that_is_silent_about_one_name_alone_stays_in_front() {
    let (first, second) = (ScriptedDns::start().await, ScriptedDns::start().await);
    for (server, own) in [(&first, "10.0.0.1"), (&second, "10.0.0.2")] {
        server.set_addresses("x.demo", 60, &[own]);
    }
    first.set("mute.demo", RecordType::A, Reply::Silence);
    first.set("mute.demo", RecordType::AAAA, Reply::Silence);
    let names = hasty(&[&first, &second]);
    let ask_x = async {
        // While the other question is waited for.
        first.until_asked("mute.demo", RecordType::A, 1).await;
        names.addresses("x.demo").await.unwrap()
    };
    let (mute, x) = tokio::join!(names.addresses("mute.demo"), ask_x);
    assert_eq!((mute, texts(&x)), (Err(NameFault::NoSuchName), vec!["10.0.0.1".to_owned()]));
    assert_eq!(&*names.addresses("x.demo").await.unwrap().server, first.address().to_string());
}
