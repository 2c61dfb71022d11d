//! A process whose configuration is read again: the whole of it or nothing, under whoever is connected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]

mod rig;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use host::drain::Departure;
use host::orders::Order;

use crate::rig::client::Client;
use crate::rig::{LONG, Process, Wish, field};

fn adopted(process: &Process, generation: u64) {
    let (status, body) = process.reload();
    assert_eq!((status, &body["outcome"], &body["generation"]), (200, &"adopted".into(), &generation.into()), "{body}");
}

fn say(process: &Process, greeting: &str) {
    process.plan.lock().unwrap().1.greeting = greeting.to_owned();
}

#[test]
fn the_next_request_of_every_connection_is_served_by_the_new_generation() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    let mut clients: Vec<Client> = (0..4).map(|_| process.connect()).collect();
    let mut slow = process.connect();
    slow.send("/slow");
    process.gate.wait_for(1);
    say(&process, "good day");
    adopted(&process, 2);
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().1, "good day", "a connection that was open before");
        assert_eq!(client.get("/known").unwrap().1, "[1]", "its worker was handed what it had");
    }
    assert_eq!(process.gate.alive.load(Ordering::SeqCst), 2, "a request in flight holds the former generation");
    process.gate.open.send_replace(true);
    assert_eq!(slow.read().unwrap().body, "slow", "it finishes by what it began with");
    let started = Instant::now();
    while process.gate.alive.load(Ordering::SeqCst) > 1 {
        assert!(started.elapsed() < LONG, "the former generation goes with its last request");
        std::thread::yield_now();
    }
    let (_, body) = process.admin("/generation");
    assert!(body.contains("\"generation\":2") && body.contains(&format!("\"pid\":{}", std::process::id())), "{body}");
    assert!(process.admin("/metrics").1.contains("gateway_config_generation 2"));
    assert_eq!(process.stop().0, Departure::Drained);
}

#[test]
fn what_was_not_changed_makes_no_generation() {
    let process = Process::start(Wish::default());
    let (status, body) = process.reload();
    assert_eq!((status, &body["outcome"], &body["generation"]), (200, &"unchanged".into(), &1.into()), "{body}");
    assert!(process.admin("/metrics").1.contains("gateway_config_reloads_total{outcome=\"unchanged\"} 1"));
    process.stop();
}

#[test]
fn what_is_wrong_is_told_everywhere_and_nothing_changes() {
    let process = Process::start(Wish::default());
    let mut client = process.connect();
    say(&process, "!");
    let (status, body) = process.reload();
    assert_eq!((status, &body["generation"]), (422, &1.into()));
    assert_eq!(body["complaints"][0], "tiny:3:5 greeting: it says nothing; write another one");
    assert_eq!(client.get("/").unwrap().1, "hello");
    let (status, page) = process.admin("/readyz");
    assert!(status == 200 && page.contains("generation 1 serves, for the last reload was refused: tiny:3:5 greeting"), "{page}");
    assert!(process.admin("/metrics").1.contains("gateway_config_reload_failed 1"));

    // A generation that cannot be started is no other matter.
    say(&process, "welcome");
    process.plan.lock().unwrap().1.broken = Some("no port is free".to_owned());
    let (status, body) = process.reload();
    assert_eq!((status, &body["complaints"][0]), (422, &"no port is free; mend it".into()));
    process.plan.lock().unwrap().1.broken = Some("panic".to_owned());
    let (status, body) = process.reload();
    assert!(status == 422 && body["complaints"][0].as_str().unwrap().contains("panicked"), "{body}");
    assert_eq!(client.get("/").unwrap().1, "hello");

    // The former file again: no new generation, and nothing is wrong any more.
    say(&process, "hello");
    process.plan.lock().unwrap().1.broken = None;
    assert_eq!(process.reload().1["outcome"], "unchanged");
    assert!(process.admin("/metrics").1.contains("gateway_config_reload_failed 0"));
    say(&process, "welcome");
    // Two generations could not be started; no number is given twice.
    adopted(&process, 4);
    assert_eq!(client.get("/").unwrap().1, "welcome");
    process.stop();
}

#[test]
fn a_part_that_is_set_aside_is_an_alarm_and_the_rest_loads() {
    let process = Process::start(Wish::default());
    say(&process, "?");
    adopted(&process, 2);
    let (status, page) = process.admin("/readyz");
    assert!(status == 200 && page.contains("drop-in tiny"), "{page}");
    assert!(page.contains("set aside, its former version stays in use: tiny:3:5 greeting: it asks"), "{page}");
    assert!(process.admin("/metrics").1.contains("gateway_config_drop_ins_set_aside 1"));
    assert_eq!(process.connect().get("/").unwrap().1, "hello");
    say(&process, "fine");
    adopted(&process, 3);
    assert!(process.admin("/metrics").1.contains("gateway_config_drop_ins_set_aside 0"));
    process.stop();
}

#[test]
fn an_order_reloads_as_well_and_the_drain_is_that_of_the_newest_generation() {
    let process = Process::start(Wish::default());
    {
        let mut plan = process.plan.lock().unwrap();
        plan.0.drain.deadline = Duration::from_millis(200);
        plan.1.greeting = "bye".to_owned();
    }
    process.orders.try_send(Order::Reload("SIGHUP")).unwrap();
    process.wait_until("/generation", |_, body| body.contains("\"generation\":2"));
    let mut stuck = process.connect();
    stuck.send("/slow");
    process.gate.wait_for(1);
    assert_eq!(process.stop().0, Departure::Cut, "by the deadline of the second generation");
}

#[test]
fn the_ceiling_of_connections_and_their_rests_are_hot() {
    let process = Process::start(Wish::default());
    let mut clients: Vec<Client> = (0..3).map(|_| process.connect()).collect();
    for client in &mut clients {
        assert!(client.get("/").is_some());
    }
    process.plan.lock().unwrap().0.limits.connections_max = 2;
    adopted(&process, 2);
    let mut late = process.connect();
    late.send("/");
    late.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    clients.pop();
    assert!(!late.is_closed(), "two are open, and two is the ceiling");
    clients.pop();
    late.stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(late.read().unwrap().body, "hello");
    process.plan.lock().unwrap().0.limits.idle = Duration::from_millis(50);
    adopted(&process, 3);
    assert!(clients[0].is_closed(), "it rests longer than anybody may now");
    process.stop();
}

#[test]
fn a_worker_that_cannot_adopt_costs_the_generation_on_all_of_them() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    let mut clients: Vec<Client> = (0..4).map(|_| process.connect()).collect();
    for failing in [0, 1] {
        say(&process, "good day");
        process.plan.lock().unwrap().0.limits.connections_max = 1;
        *process.gate.fails.lock().unwrap() = Some(failing);
        let (status, body) = process.reload();
        assert!(status == 422 && body["complaints"][0].as_str().unwrap().contains(&format!("panicked in workers [{failing}]")), "{body}");
        assert!(process.admin("/readyz").1.contains("generation 1 serves, for the last reload was refused"));
        for client in &mut clients {
            assert_eq!(client.get("/").unwrap().1, "hello", "no worker serves by what was refused");
        }
        assert_eq!(process.connect().get("/").unwrap().1, "hello", "nor is its ceiling kept");
    }
    let started = Instant::now();
    while process.gate.alive.load(Ordering::SeqCst) > 1 {
        assert!(started.elapsed() < LONG, "what was refused goes");
        std::thread::yield_now();
    }
    process.plan.lock().unwrap().0.limits.connections_max = 100;
    adopted(&process, 4);
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().1, "good day");
    }
    process.stop();
}

#[test]
fn who_is_taken_off_the_list_keeps_no_connection() {
    let own = std::fs::metadata("/proc/self").unwrap().uid();
    let process = Process::start(Wish { uids: Some(vec![own, own + 1]), ..Wish::default() });
    let connect = || {
        let stream = UnixStream::connect(process.place.strip_prefix("unix:").unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    };
    let list = |uids: Vec<u32>| process.plan.lock().unwrap().0.listeners[0].uids = uids;
    let ask = |stream: &mut UnixStream, path: &str| write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    let hello = |stream: &mut UnixStream| {
        ask(stream, "/").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    };
    let to_the_end = |stream: &mut UnixStream| {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        rest
    };
    let (mut resting, mut busy) = (connect(), connect());
    hello(&mut resting);
    hello(&mut busy);
    // Somebody else goes, and somebody comes: no business of whoever stays on other lists.
    list(vec![own, own + 1, own + 2]);
    adopted(&process, 2);
    assert!(!hello(&mut resting).contains("connection: close"));
    ask(&mut busy, "/slow").unwrap();
    process.gate.wait_for(1);
    list(vec![own + 1]);
    adopted(&process, 3);
    assert_eq!(to_the_end(&mut resting), "", "a connection that rests is ended");
    process.gate.open.send_replace(true);
    let answer = to_the_end(&mut busy);
    assert!(answer.contains("connection: close") && answer.ends_with("slow"), "what is in flight is the last: {answer}");
    // Nobody comes back.
    let mut late = connect();
    let _ = ask(&mut late, "/");
    let mut nothing = Vec::new();
    let _ = late.read_to_end(&mut nothing);
    assert_eq!(nothing, b"");
    let (_, records) = process.stop();
    assert_eq!(field(&records, "gateway.end"), ["reconfigured", "reconfigured", "refused"], "{records:?}");
}

#[test]
fn those_who_wait_for_a_reload_keep_nobody_from_asking_how_the_process_is() {
    let process = Process::start(Wish::default());
    // What is to be read cannot be read yet.
    let file = process.plan.lock().unwrap();
    let mut asking: Vec<Client> = (0..20).map(|_| Client::to(process.admin)).collect();
    for client in &mut asking {
        client.stream.write_all(b"POST /reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
    let mut late = Vec::new();
    while late.len() < 16 {
        late = asking.iter().filter(|client| client.has_answer()).collect();
        assert_eq!(process.admin("/livez").0, 200);
        assert_eq!(process.admin("/readyz").0, 200);
    }
    drop(file);
    let statuses: Vec<u16> = asking.iter_mut().map(|client| client.read().unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 16, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
    process.stop();
}

#[test]
fn web_pages_cannot_ask() {
    let process = Process::start(Wish::default());
    say(&process, "forged");
    for (headers, expected) in [
        ("origin: https://evil.example\r\n", 403),
        ("origin: null\r\n", 403),
        ("content-type: text/plain\r\n", 415),
        ("content-type: application/x-www-form-urlencoded; charset=utf-8\r\n", 415),
        ("content-type: Multipart/Form-Data; boundary=x\r\n", 415),
    ] {
        assert_eq!(Client::to(process.admin).post("/reload", headers).unwrap().0, expected, "{headers}");
    }
    assert_eq!(process.admin("/reload").0, 405, "GET changes nothing");
    assert_eq!(process.connect().get("/").unwrap().1, "hello");
    assert_eq!(Client::to(process.admin).post("/reload", "content-type: application/json\r\n").unwrap().0, 200);
    process.stop();
}
