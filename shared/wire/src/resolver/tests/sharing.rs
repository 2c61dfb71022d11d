//! One query under way for each question.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use scripted_dns::records::address;
use scripted_dns::reply::{Gate, Reply};
use scripted_dns::server::ScriptedDns;

use super::{names, searching, texts};
use crate::resolver::{Names, QUERIES_MAX};

fn held(server: &ScriptedDns, name: &str, gate: &Gate) {
    server.set(name, RecordType::A, Reply::records(vec![address(name, 60, "10.0.0.1")]).held(gate));
    server.set(name, RecordType::AAAA, Reply::Empty);
}

/// Waits for the answer in a task of its own, and says that it has it.
fn ask(names: &Arc<Names>, name: &str) -> tokio::task::JoinHandle<Vec<String>> {
    let (names, name) = (Arc::clone(names), name.to_owned());
    tokio::task::spawn(async move { texts(&names.addresses(&name).await.unwrap()) })
}

/// Lets everything that can go on do so.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn all_who_ask_for_a_name_share_one_query() {
    let (server, gate) = (ScriptedDns::start().await, Gate::shut());
    held(&server, "x.demo", &gate);
    let names = Arc::new(names(&[&server]));
    // However the name is written: what counts is what the server is asked.
    let waiting: Vec<_> = (0..50).map(|number| ask(&names, ["x.demo", "X.Demo", "x.demo."][number % 3])).collect();
    server.until_asked("x.demo", RecordType::A, 1).await;
    settle().await;
    gate.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), ["10.0.0.1"]);
    }
    for kind in [RecordType::A, RecordType::AAAA] {
        assert_eq!((server.asked_for("x.demo", kind), server.most_at_once("x.demo", kind)), (1, 1));
    }
    // The answer is not kept for the next one who asks.
    assert_eq!(ask(&names, "x.demo").await.unwrap(), ["10.0.0.1"]);
    assert_eq!(server.asked_for("x.demo", RecordType::A), 2);
}

#[tokio::test]
async fn who_goes_away_does_not_end_the_query_of_the_others() {
    let (server, gate) = (ScriptedDns::start().await, Gate::shut());
    held(&server, "x.demo", &gate);
    let names = Arc::new(names(&[&server]));
    let first = ask(&names, "x.demo");
    server.until_asked("x.demo", RecordType::A, 1).await;
    let second = ask(&names, "x.demo");
    settle().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();
    assert_eq!(second.await.unwrap(), ["10.0.0.1"]);
    assert_eq!(server.asked_for("x.demo", RecordType::A), 1);
}

#[tokio::test]
async fn different_search_lists_meet_at_the_same_question() {
    let (server, gate) = (ScriptedDns::start().await, Gate::shut());
    held(&server, "db.one.demo", &gate);
    let names = Arc::new(searching(&server, &["one.demo"]));
    let waiting = [ask(&names, "db"), ask(&names, "db.one.demo.")];
    server.until_asked("db.one.demo", RecordType::A, 1).await;
    settle().await;
    gate.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), ["10.0.0.1"]);
    }
    assert_eq!(server.asked_for("db.one.demo", RecordType::A), 1);
}

#[tokio::test]
async fn no_more_queries_than_the_ceiling_are_under_way() {
    let (server, gate) = (ScriptedDns::start().await, Gate::shut());
    let name = |number: usize| format!("h{number}.demo");
    let count = QUERIES_MAX;
    for number in 0..count {
        let held = Reply::records(vec![address(&name(number), 60, "10.0.0.1")]).held(&gate);
        server.set(&name(number), RecordType::A, held);
        server.set(&name(number), RecordType::AAAA, Reply::Empty.held(&gate));
    }
    let names = Arc::new(names(&[&server]));
    let waiting: Vec<_> = (0..count).map(|number| ask(&names, &name(number))).collect();
    let asked = || server.questions(RecordType::A).len() + server.questions(RecordType::AAAA).len();
    while asked() < QUERIES_MAX {
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(asked(), QUERIES_MAX);
    gate.open();
    for one in waiting {
        assert_eq!(one.await.unwrap(), ["10.0.0.1"]);
    }
    assert_eq!(asked(), 2 * count);
}
