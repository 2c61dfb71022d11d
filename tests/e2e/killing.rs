//! An instance dies under load: no GET is lost, and no POST is executed twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use tests::rig::Rig;
use tests::rig::client::{Line, Version};

use crate::BINARIES;

const GETS: usize = 2_000;
const POSTS: usize = 200;
const CLIENTS: usize = 8;

#[test]
fn an_instance_that_dies_loses_no_get_and_repeats_no_post() {
    let rig = Rig::two_tier(&BINARIES);
    let editor = rig.editor();
    let identity = rig.identity();
    let done = AtomicUsize::new(0);

    let outcomes: Vec<(String, u16)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (rig, editor, identity, done) = (&rig, &editor, &identity, &done);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
                    runtime.block_on(async {
                        let version = if client % 2 == 0 { Version::H1 } else { Version::H2 };
                        let mut line = Line::open(rig.door(), identity, version).await.expect("a connection");
                        let mut outcomes = Vec::new();
                        for turn in (client..GETS + POSTS).step_by(CLIENTS) {
                            // Every eleventh request is a numbered POST.
                            let post = turn % 11 == 10;
                            let method = if post { Method::POST } else { Method::GET };
                            let number = format!("{}{turn}", if post { 'p' } else { 'g' });
                            let knock = rig.knock(&format!("{method} /orders/{turn}")).with(editor).header("x-ledger", &number);
                            let knock = if version == Version::H2 { knock.h2() } else { knock };
                            // This client never retries: a broken exchange is status 0.
                            let status = line.exchange(knock.request()).await.map_or(0, |reply| reply.status.as_u16());
                            outcomes.push((number, status));
                            if done.fetch_add(1, Ordering::Relaxed) == (GETS + POSTS) / 3 {
                                rig.instances.kill("orders-2");
                            }
                        }
                        outcomes
                    })
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });

    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for line in rig.instances.ledger("orders") {
        let number = line.split(' ').next().expect("a number").to_owned();
        *executed.entry(number).or_default() += 1;
    }
    let lost: Vec<_> = outcomes.iter().filter(|(number, status)| number.starts_with('g') && *status != 200).collect();
    assert!(lost.is_empty(), "GETs were lost: {lost:?}\n{}", rig.routing.log());
    for (number, status) in &outcomes {
        let times = executed.get(number).copied().unwrap_or_default();
        if number.starts_with('p') {
            assert!(times <= 1, "POST {number} was executed {times} times");
        }
        if *status == 200 {
            assert!(times >= 1, "{number} was answered and stands in no ledger");
        }
    }
    assert_eq!(outcomes.len(), GETS + POSTS);
    assert!(outcomes.iter().filter(|(number, _)| number.starts_with('p')).count() == POSTS);
}
