//! Active checks over real sockets, and what they do to the requests.

use std::cell::Cell;

use tokio::io::AsyncWriteExt;

use super::instance::{Instance, read_request};
use super::*;
use crate::endpoint::Endpoint;
use crate::health::standing::Standing;
use crate::plan::health::{HealthPlan, ProbePlan};

const PLAN: HealthPlan = HealthPlan {
    probe: ProbePlan::Link,
    every: Duration::from_millis(10),
    timeout: Duration::from_secs(5),
    unhealthy_threshold: 2,
    healthy_threshold: 1,
};

const WELL: &str = r#"{"tier":"routing-gw","treaty":1,"build":"7","generation":3,"draining":false,"ready":true}"#;
const DRAINING: &str = r#"{"tier":"routing-gw","treaty":1,"build":"7","generation":3,"draining":true,"ready":true}"#;
const NOT_READY: &str = r#"{"tier":"routing-gw","treaty":1,"build":"7","generation":3,"draining":false,"ready":false}"#;
const OVER_NEXT: &str = r#"{"tier":"routing-gw","treaty":3,"build":"9","generation":1,"draining":false,"ready":true}"#;

/// Instead of a status: the connection breaks, or nothing is said.
const BREAKS: u16 = 0;
const HANGS: u16 = 1;

/// A replica: what it says to a check is set by the test; requests are answered and written down.
struct Replica {
    instance: Instance,
    says: Rc<Cell<(u16, &'static str)>>,
    checks: Rc<Cell<usize>>,
}

impl Replica {
    async fn start() -> Self {
        let says = Rc::new(Cell::new((200, WELL)));
        let checks = Rc::new(Cell::new(0));
        let (said, counted) = (Rc::clone(&says), Rc::clone(&checks));
        let instance = Instance::accepting(move |mut socket, ledger| {
            let (said, counted) = (Rc::clone(&said), Rc::clone(&counted));
            async move {
                while let Some(request) = read_request(&mut socket).await {
                    let (status, body) = if request.contains(&format!("{}: 1\r\n", contract::headers::HEALTH)) {
                        counted.set(counted.get() + 1);
                        said.get()
                    } else {
                        ledger.requests.borrow_mut().push(request);
                        (200, "ok")
                    };
                    match status {
                        BREAKS => break,
                        HANGS => std::future::pending().await,
                        _ => {}
                    }
                    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
                    if socket.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
                        break;
                    }
                }
                ledger.closed.set(ledger.closed.get() + 1);
            }
        })
        .await;
        Self { instance, says, checks }
    }

    fn count(&self) -> usize {
        self.instance.ledger.count()
    }
}

async fn bench(replicas: &[&Replica]) -> Bench {
    let addresses: Vec<&String> = replicas.iter().map(|replica| &replica.instance.address).collect();
    let bench = Bench::planned(&addresses, |_| {}, |plan| plan.health = Some(PLAN));
    assert!(bench.service.wait_checked(LONG).await);
    bench
}

fn endpoint(bench: &Bench, replica: &Replica) -> Arc<Endpoint> {
    bench.service.endpoints().endpoints().iter().find(|one| one.name() == replica.instance.address).expect("named").clone()
}

async fn stands(bench: &Bench, replica: &Replica, standing: Standing) {
    let endpoint = endpoint(bench, replica);
    until(standing.word(), || endpoint.standing() == standing).await;
}

#[test]
fn a_replica_that_says_it_leaves_is_sent_nothing_and_its_idle_connections_close() {
    run(async {
        let (one, two) = (Replica::start().await, Replica::start().await);
        let bench = bench(&[&one, &two]).await;
        for _ in 0..4 {
            bench.get().await;
        }
        assert_eq!((one.count(), two.count(), bench.pools.idle()), (2, 2, 2));
        one.says.set((200, DRAINING));
        stands(&bench, &one, Standing::Draining).await;
        for _ in 0..6 {
            assert_eq!(bench.get().await.2.attempts, 1);
        }
        assert_eq!((one.count(), two.count()), (2, 8));
        until("the idle connection closes", || bench.pools.idle() == 1 && bench.open() == 1).await;
        let shown = serde_json::to_value(bench.service.snapshot()).expect("json");
        let shown = shown["endpoints"].as_array().expect("list").iter().find(|one_of| one_of["health"]["draining"] == true).expect("shown");
        assert_eq!(
            (&shown["health"]["state"], &shown["health"]["build"], &shown["health"]["treaty"]),
            (&"draining".into(), &"7".into(), &1.into())
        );

        // When both leave, both are used: a new connection may meet a successor, and is kept.
        two.says.set((200, DRAINING));
        stands(&bench, &two, Standing::Draining).await;
        until("no idle connection is left", || bench.pools.idle() == 0).await;
        let mut reused = 0;
        for _ in 0..6 {
            reused += usize::from(bench.get().await.2.reused);
        }
        assert_eq!((reused, bench.pools.idle()), (4, 2));
        assert!(one.count() > 2 && two.count() > 8, "{} {}", one.count(), two.count());

        // One that merely leaves goes before one that does not serve.
        one.says.set((200, NOT_READY));
        stands(&bench, &one, Standing::NotReady).await;
        let before = one.count();
        for _ in 0..6 {
            bench.get().await;
        }
        assert_eq!(one.count(), before);
    });
}

#[test]
fn a_request_under_way_at_a_replica_that_leaves_ends_in_peace_and_its_connection_is_not_kept() {
    run(async {
        let replica = Replica::start().await;
        let bench = bench(&[&replica]).await;
        let (sent, _) = bench.send(request(Method::GET, Body::Empty)).await;
        replica.says.set((200, DRAINING));
        stands(&bench, &replica, Standing::Draining).await;
        assert_eq!(read(sent.expect("an answer")).await.1, "ok");
        assert_eq!(bench.pools.idle(), 0);
    });
}

#[test]
fn a_request_that_broke_at_the_one_that_is_well_is_not_sent_to_one_that_is_not() {
    run(async {
        // Answers the checks, and breaks off the first request that it reads.
        let broke = Rc::new(Cell::new(false));
        let well = Instance::accepting({
            let broke = Rc::clone(&broke);
            move |mut socket, ledger| {
                let broke = Rc::clone(&broke);
                async move {
                    while let Some(request) = read_request(&mut socket).await {
                        if !request.contains(contract::headers::HEALTH.as_str()) {
                            ledger.requests.borrow_mut().push(request);
                            if !broke.replace(true) {
                                break;
                            }
                        }
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{WELL}", WELL.len());
                        socket.write_all(answer.as_bytes()).await.expect("written");
                    }
                }
            }
        })
        .await;
        let not_ready = Replica::start().await;
        not_ready.says.set((200, NOT_READY));
        let bench = Bench::planned(&[&well.address, &not_ready.instance.address], |_| {}, |plan| plan.health = Some(PLAN));
        assert!(bench.service.wait_checked(LONG).await);
        let (status, _, trip) = bench.get().await;
        assert_eq!((status, trip.attempts, well.ledger.count(), not_ready.count()), (200, 2, 2, 0));
    });
}

#[test]
fn an_instance_that_was_just_found_waits_for_its_first_check_unless_nobody_is_better() {
    run(async {
        let (one, fresh) = (Replica::start().await, Replica::start().await);
        fresh.says.set((HANGS, ""));
        let alone = Bench::planned(&[&fresh.instance.address], |_| {}, |plan| plan.health = Some(PLAN));
        assert_eq!(alone.get().await.0, 200, "a start waits for no check");

        let bench = bench(&[&one]).await;
        let found = |replica: &Replica| crate::endpoints::Found {
            address: crate::endpoint::Address::Tcp(replica.instance.address.parse().expect("address")),
            host: None,
            weight: 0,
            priority: 0,
        };
        let checks = fresh.checks.get();
        bench.service.instances().learn(Ok(vec![found(&one), found(&fresh)]));
        until("it is asked at once", || fresh.checks.get() > checks).await;
        for _ in 0..6 {
            bench.get().await;
        }
        assert_eq!((one.count(), fresh.count()), (6, 1));
        // One that leaves is no better than one that may be well.
        one.says.set((200, DRAINING));
        stands(&bench, &one, Standing::Draining).await;
        bench.get().await;
        assert_eq!((one.count(), fresh.count()), (6, 2));
    });
}

#[test]
fn an_over_next_treaty_is_shown_and_never_used() {
    run(async {
        let (one, two) = (Replica::start().await, Replica::start().await);
        one.says.set((200, OVER_NEXT));
        let bench = bench(&[&one, &two]).await;
        for _ in 0..4 {
            bench.get().await;
        }
        assert_eq!((one.count(), two.count()), (0, 4));
        two.says.set((200, OVER_NEXT));
        stands(&bench, &two, Standing::Foreign).await;
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::NoInstances)));
        // It would only answer in a language that is not ours: failing its checks does not change that.
        two.says.set((BREAKS, ""));
        let seen = two.checks.get();
        until("checks fail", || two.checks.get() > seen + 5).await;
        assert!(matches!(bench.send(request(Method::GET, Body::Empty)).await.0, Err(SendFault::NoInstances)));
        one.says.set((200, r#"{"treaty":2}"#));
        stands(&bench, &one, Standing::Healthy).await;
        assert_eq!(bench.get().await.0, 200);
    });
}

#[test]
fn a_build_without_the_question_is_alive() {
    for status in [403, 404] {
        run(async {
            let replica = Replica::start().await;
            replica.says.set((status, "{}"));
            let bench = bench(&[&replica]).await;
            stands(&bench, &replica, Standing::Healthy).await;
            let shown = bench.service.snapshot().endpoints[0].health.clone().expect("checked");
            assert_eq!((shown.state, shown.treaty, shown.failure), ("healthy", None, None));
            assert_eq!(bench.get().await.0, 200);
        });
    }
}

#[test]
fn checks_go_over_one_kept_connection_that_takes_no_place_and_ends_with_the_service() {
    run(async {
        let replica = Replica::start().await;
        let bench = bench(&[&replica]).await;
        until("some checks", || replica.checks.get() > 5).await;
        assert_eq!((replica.instance.ledger.connections.get(), bench.open()), (1, 0));
        let Bench { pools: _pools, service } = bench;
        drop(service);
        until("the connection ends", || replica.instance.ledger.closed.get() == 1).await;
    });
}

#[test]
fn whatever_is_no_good_answer_makes_it_unhealthy_and_a_good_one_well_again() {
    const LONG_BODY: &str = match std::str::from_utf8(&[b'x'; 8_000]) {
        Ok(text) => text,
        Err(_) => "",
    };
    for (says, code) in [((500, "no"), "status"), ((200, "ok"), "malformed"), ((200, LONG_BODY), "malformed"), ((BREAKS, ""), "reset")] {
        run(async {
            let (one, two) = (Replica::start().await, Replica::start().await);
            let bench = bench(&[&one, &two]).await;
            one.says.set(says);
            stands(&bench, &one, Standing::Unhealthy).await;
            assert_eq!(endpoint(&bench, &one).checked().snapshot().expect("checked").failure, Some(code));
            for _ in 0..4 {
                bench.get().await;
            }
            assert_eq!((one.count(), two.count()), (0, 4), "{code}");
            two.says.set(says);
            stands(&bench, &two, Standing::Unhealthy).await;
            for _ in 0..8 {
                assert_eq!(bench.get().await.0, 200, "the checks may be wrong: when all are unhealthy, all are used");
            }
            assert!(one.count() > 0 && two.count() > 4);
            one.says.set((200, WELL));
            stands(&bench, &one, Standing::Healthy).await;
        });
    }
}

#[test]
fn a_replica_that_nobody_can_connect_to_is_unhealthy_and_a_check_that_gets_through_forgives() {
    run(async {
        let replica = Replica::start().await;
        let address = replica.instance.address.clone();
        replica.instance.stop_listening().await;
        let bench = Bench::planned(&[&address], |_| {}, |plan| plan.health = Some(PLAN));
        let set = bench.service.endpoints();
        until("unhealthy", || set.endpoints()[0].standing() == Standing::Unhealthy).await;
        let now_ms = crate::moment::now_ms();
        set.endpoints()[0].connect_failed(now_ms, now_ms);
        let listener = tokio::net::TcpListener::bind(&address).await.expect("its address");
        tokio::task::spawn_local(async move {
            let (mut socket, _) = listener.accept().await.expect("a check");
            while read_request(&mut socket).await.is_some() {
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{WELL}", WELL.len());
                socket.write_all(answer.as_bytes()).await.expect("written");
            }
        });
        until("healthy", || set.endpoints()[0].standing() == Standing::Healthy).await;
        assert_eq!(set.endpoints()[0].consecutive_failures(), 0);
    });
}

#[test]
fn checks_follow_the_instances_and_the_configuration() {
    run(async {
        let (one, two) = (Replica::start().await, Replica::start().await);
        one.says.set((200, DRAINING));
        let bench = bench(&[&one]).await;
        stands(&bench, &one, Standing::Draining).await;
        let metrics = Metrics::new();
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let after = |plan| Service::after(Some(&bench.service), plan, &Arc::new(NoNames), &tasks, &Clock::system(), &metrics);
        // An instance that comes is checked, and one that goes is checked no more.
        let address = crate::endpoint::Address::Tcp(two.instance.address.parse().expect("address"));
        let first = endpoint(&bench, &one);
        bench.service.instances().learn(Ok(vec![crate::endpoints::Found { address, host: None, weight: 0, priority: 0 }]));
        stands(&bench, &two, Standing::Healthy).await;
        assert!(first.is_gone());
        until("its connection ends", || one.instance.ledger.connections.get() == one.instance.ledger.closed.get()).await;
        // Without checks nothing is held against anybody.
        two.says.set((200, DRAINING));
        stands(&bench, &two, Standing::Draining).await;
        let unchecked = after(ServicePlan { health: None, ..bench.service.plan().clone() });
        stands(&bench, &two, Standing::Unknown).await;
        drop(unchecked);
        stands(&bench, &two, Standing::Draining).await;
    });
}
