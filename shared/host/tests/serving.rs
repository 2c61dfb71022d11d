//! A process that serves: dealing, the ceiling, panics, handshakes, rests.

mod rig;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use host::drain::Departure;
use host::limits_config::LimitsConfig;
use serde_json::Value;
use settings::units::Span;

use crate::rig::client::Client;
use crate::rig::{LONG, Pem, Process, Wish, connections, field};

#[test]
fn connections_are_dealt_evenly() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    let mut clients: Vec<Client> = (0..64).map(|_| process.connect()).collect();
    let workers: Vec<String> = clients.iter_mut().map(|client| client.get("/worker").unwrap().1).collect();
    assert_eq!(workers.iter().filter(|worker| *worker == "0").count(), 32, "{workers:?}");
    // Those that leave one worker are made up for by those that come.
    let mut gone = 0;
    clients.retain(|_| {
        gone += 1;
        workers[gone - 1] == "1"
    });
    process.wait_until("/readyz", |_, body| body.contains("32 of "));
    let mut late: Vec<Client> = (0..32).map(|_| process.connect()).collect();
    let workers: Vec<String> = late.iter_mut().map(|client| client.get("/worker").unwrap().1).collect();
    assert!(workers.iter().all(|worker| worker == "0"), "{workers:?}");
    drop((clients, late));
    let (departure, records) = process.stop();
    assert_eq!(departure, Departure::Drained);
    assert_eq!((records.len(), connections(&records)), (96, 96), "one record each");
}

#[test]
fn at_the_ceiling_connections_wait_until_one_ends() {
    let limits = LimitsConfig { connections_max: 2, ..LimitsConfig::default() };
    let process = Process::start(Wish { limits, ..Wish::default() });
    let (mut first, mut second) = (process.connect(), process.connect());
    assert!(first.get("/").is_some() && second.get("/").is_some());
    let mut third = process.connect();
    third.send("/");
    process.wait_until("/metrics", |_, body| body.contains("gateway_accept_pauses_total 1"));
    third.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(!third.is_closed(), "it waits in the queue, unanswered and not refused");
    third.stream.set_read_timeout(Some(LONG)).unwrap();
    drop(first);
    assert_eq!(third.read().unwrap().body, "hello");
    drop((second, third));
    assert_eq!(process.stop().1.len(), 3);
}

#[test]
fn a_panic_costs_one_request() {
    let process = Process::start(Wish::default());
    let mut client = process.connect();
    let answer = {
        client.send("/panic");
        client.read().unwrap()
    };
    assert_eq!(answer.status, 500);
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["reason"], "internal-error");
    assert!(!answer.body.contains("a bug"), "internals stay inside: {}", answer.body);
    assert_eq!(client.get("/").unwrap(), (200, "hello".to_owned()), "the same connection serves on");
    assert!(process.admin("/metrics").1.contains("gateway_panics_total 1"));
    drop(client);
    process.wait_until("/metrics", |_, body| body.contains("end=\"closed\""));
    let (_, records) = process.stop();
    assert_eq!((field(&records, "gateway.end"), records[0]["gateway.requests"].as_u64()), (vec!["closed"], Some(2)));
}

#[test]
fn a_slow_handshake_ends_with_its_record() {
    let limits = LimitsConfig { handshake: Span::millis(100), ..LimitsConfig::default() };
    let process = Process::start(Wish { tls: Some(Pem::new()), limits, ..Wish::default() });
    let mut silent = process.connect();
    assert!(silent.is_closed());
    let mut scanner = process.connect();
    scanner.stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    while !scanner.is_closed() {}
    let (_, records) = process.stop();
    assert_eq!(field(&records, "gateway.reason"), ["handshake-timeout", "tls-malformed"], "{records:?}");
    assert_eq!(field(&records, "gateway.end"), ["refused", "refused"]);
    assert_eq!(records[0]["tls.established"], false);
    assert_eq!(records[0]["client.address"], "127.0.0.1");
}

#[test]
fn connections_that_rest_too_long_are_ended() {
    let limits = LimitsConfig { head: Span::millis(200), idle: Span::millis(300), ..LimitsConfig::default() };
    let process = Process::start(Wish { limits, ..Wish::default() });
    let mut mute = process.connect();
    let mut idle = process.connect();
    assert_eq!(idle.get("/").unwrap().0, 200);
    let started = Instant::now();
    assert!(mute.is_closed() && idle.is_closed());
    assert!(started.elapsed() < LONG);
    // A request that takes longer than both is no rest.
    let mut busy = process.connect();
    busy.send("/slow");
    process.gate.wait_for(1);
    process.wait_until("/metrics", |_, body| body.contains("end=\"idle\"") && body.contains("end=\"no-request\""));
    let late = Instant::now();
    while late.elapsed() < Duration::from_millis(900) {
        assert!(process.connect().get("/").is_some());
    }
    process.gate.open.send_replace(true);
    assert_eq!(busy.read().unwrap().body, "slow");
    process.stop();
}

#[test]
fn the_admin_door_tells_and_changes_nothing() {
    let process = Process::start(Wish::default());
    assert_eq!(process.admin("/livez"), (200, "ok\n".to_owned()));
    let (status, ready) = process.admin("/readyz");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, &ready["ready"], &ready["draining"]), (200, &Value::Bool(true), &Value::Bool(false)));
    assert_eq!(ready["checks"][0]["name"], "gate");
    let generation: Value = serde_json::from_str(&process.admin("/generation").1).unwrap();
    assert_eq!(generation["tier"], "tiny");
    assert_eq!(generation["listeners"]["main"], process.address.to_string());
    assert_eq!(generation["allow_plaintext"][0], "main");
    let metrics = process.admin("/metrics").1;
    assert!(metrics.contains("gateway_build{tier=\"tiny\"") && metrics.ends_with("# EOF\n"), "{metrics}");
    let mut client = Client::to(process.admin);
    client.stream.write_all(b"POST /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 405);
    client.stream.write_all(b"GET /generation HTTP/1.1\r\nhost: rebound.example\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 421);
    assert_eq!(process.admin("/nothing").0, 404);
    process.stop();
}

#[test]
fn a_tunnel_has_one_record_when_it_ends() {
    let limits = LimitsConfig { head: Span::millis(100), idle: Span::millis(100), ..LimitsConfig::default() };
    let process = Process::start(Wish { limits, ..Wish::default() });
    let mut client = process.connect();
    client.stream.write_all(b"GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").unwrap();
    assert_eq!(client.read().unwrap().status, 101);
    // Other connections come and rest until they are ended; the tunnel is not theirs to end.
    let mut idle = process.connect();
    assert!(idle.get("/").is_some());
    assert!(idle.is_closed());
    client.stream.write_all(b"not HTTP at all\r\n\r\n").unwrap();
    let mut echoed = [0; 19];
    client.stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"not HTTP at all\r\n\r\n");
    drop(client);
    process.wait_until("/metrics", |_, body| body.contains("end=\"upgraded\""));
    let (_, records) = process.stop();
    let tunnel: Vec<_> = records.iter().filter(|record| record["gateway.end"] == "upgraded").collect();
    assert_eq!(tunnel.len(), 1, "{records:?}");
    assert!(tunnel[0]["gateway.bytes.in"].as_u64().unwrap() > 19, "{}", tunnel[0]);
}

#[test]
fn unix_peers_are_believed_by_the_kernels_word_alone() {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    let own = std::fs::metadata("/proc/self").unwrap().uid();
    for (uids, let_in) in [(vec![own], true), (vec![own + 1], false)] {
        let process = Process::start(Wish { uids: Some(uids), ..Wish::default() });
        let mut stream = UnixStream::connect(process.place.strip_prefix("unix:").unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // The other side may have closed before it takes a byte.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert_eq!(answer.ends_with("hello"), let_in, "{answer}");
        let (_, records) = process.stop();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["network.transport"], "unix");
        assert_eq!(records[0]["gateway.peer.uid"], own);
        assert_eq!(field(&records, "gateway.reason"), if let_in { vec![] } else { vec!["peer-not-allowed"] });
    }
}

#[test]
fn what_the_guard_refuses_stands_in_the_record() {
    let process = Process::start(Wish::default());
    let mut smuggler = process.connect();
    smuggler.stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").unwrap();
    while !smuggler.is_closed() {}
    let (_, records) = process.stop();
    assert_eq!((field(&records, "gateway.end"), field(&records, "gateway.reason")), (vec!["refused"], vec!["both-lengths"]));
}
