//! A process that leaves: what is in flight finishes, what waits in a queue is served, what never ends is cut.

mod rig;

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use host::address::Address;
use host::config::DrainConfig;
use host::drain::Departure;
use host::inherit::Inherited;
use host::listen::Listener;
use host::notify::Notifier;
use settings::units::Span;

use crate::rig::client::Client;
use crate::rig::{Process, Wish, field, gathered};

#[test]
fn what_is_in_flight_finishes_and_the_queue_is_emptied() {
    let process =
        Process::start(Wish { workers: 2, drain: DrainConfig { wait: Span::millis(300), deadline: Span::secs(10) }, ..Wish::default() });
    let mut busy: Vec<Client> = (0..4).map(|_| process.connect()).collect();
    for client in &mut busy {
        client.send("/slow");
    }
    process.gate.wait_for(4);
    let mut resting = process.connect();
    assert!(resting.get("/").is_some());
    process.ask_to_leave();
    process.wait_until("/readyz", |status, body| status == 503 && body.contains("\"draining\":true"));
    assert_eq!(process.gate.drained.load(Ordering::Relaxed), 1);
    // Readiness fails already, and accepting goes on.
    assert_eq!(process.connect().get("/").unwrap().1, "hello");
    // From the end of the wait on nobody gets in any more.
    let started = Instant::now();
    while std::net::TcpStream::connect(process.address).is_ok() {
        assert!(started.elapsed() < rig::LONG);
    }
    process.gate.open.send_replace(true);
    for client in &mut busy {
        let answer = client.read().expect("in flight means that it is answered");
        assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
        assert!(client.is_closed());
    }
    assert!(resting.is_closed(), "a resting connection is ended after its second chance");
    let (departure, records) = process.end();
    assert_eq!(departure, Departure::Drained);
    assert!(field(&records, "gateway.end").iter().filter(|end| **end == "drained").count() >= 4, "{records:?}");
}

#[test]
fn a_busy_connection_is_told_to_close_and_loses_no_request() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    let mut client = process.connect();
    assert!(client.get("/").is_some());
    process.ask_to_leave();
    // It never stops asking; the process may only end it with an answer that says so.
    loop {
        client.send("/");
        let answer = client.read().expect("every request is answered until the client was told to close");
        assert_eq!(answer.body, "hello");
        if answer.head.contains("connection: close") {
            break;
        }
    }
    assert!(client.is_closed());
    let (departure, records) = process.end();
    assert_eq!((departure, field(&records, "gateway.end")), (Departure::Drained, vec!["drained"]));
}

#[test]
fn whoever_leaves_reads_nothing_again_and_says_nothing_more_to_its_manager() {
    let name = format!("host-drain-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_read_timeout(Some(rig::LONG)).unwrap();
    let heard = || {
        let mut text = [0; 512];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let notifier = Notifier::to(format!("@{name}").as_ref()).unwrap();
    let watch = Some(Span::millis(10));
    let drain = DrainConfig { wait: Span::secs(0), deadline: Span::secs(10) };
    let process = Process::start(Wish { notifier, watch, drain, ..Wish::default() });
    let mut busy = process.connect();
    busy.send("/slow");
    process.gate.wait_for(1);
    assert!(heard().starts_with("READY=1"));
    process.ask_to_leave();
    assert!(heard().starts_with("STOPPING=1"));
    // Its file changes in the midst of the drain, and somebody asks.
    std::fs::write(process.file(), "something else").unwrap();
    let (status, body) = process.reload();
    assert!(status == 422 && body["complaints"][0].as_str().unwrap().starts_with("the process is leaving"), "{body}");
    // Long enough for the file to be looked at often.
    manager.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut nothing = [0; 512];
    assert!(manager.recv(&mut nothing).is_err(), "{}", String::from_utf8_lossy(&nothing));
    assert!(!process.admin("/metrics").1.contains("gateway_config_reloads_total{outcome"), "nothing was read");
    process.gate.open.send_replace(true);
    assert_eq!(busy.read().unwrap().body, "slow");
    assert_eq!(process.end().0, Departure::Drained);
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut nothing).is_err(), "{}", String::from_utf8_lossy(&nothing));
}

#[test]
fn what_never_ends_is_cut_at_the_deadline_with_its_record() {
    let process = Process::start(Wish { drain: DrainConfig { wait: Span::secs(0), deadline: Span::millis(200) }, ..Wish::default() });
    let mut stuck = process.connect();
    stuck.send("/slow");
    process.gate.wait_for(1);
    let started = Instant::now();
    let (departure, records) = process.stop();
    assert_eq!(departure, Departure::Cut);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(stuck.read().is_none());
    assert_eq!(field(&records, "gateway.end"), ["cut"]);
    assert_eq!(records[0]["gateway.requests"], 1, "what was cut had its requests all the same");
}

#[test]
fn a_second_signal_ends_at_once() {
    let process = Process::start(Wish { drain: DrainConfig { wait: Span::secs(600), deadline: Span::secs(600) }, ..Wish::default() });
    let mut stuck = process.connect();
    stuck.send("/slow");
    process.gate.wait_for(1);
    process.ask_to_leave();
    process.ask_to_leave();
    let (departure, records) = process.end();
    assert_eq!(departure, Departure::AtOnce);
    assert_eq!(field(&records, "gateway.end"), ["cut"], "its records are written all the same");
}

#[test]
fn an_inherited_queue_loses_nobody() {
    let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 0).unwrap();
    let passed_on = listener.try_clone().unwrap();
    let address = listener.address().parse().unwrap();
    // Twenty clients are in the queue, their requests sent, before the process exists that will accept them.
    let mut clients: Vec<Client> = (0..20).map(|_| Client::to(address)).collect();
    for client in &mut clients {
        client.send("/");
    }
    // The process before it closes its own descriptor; the queue lives on.
    drop(listener);
    let inherited = Inherited::of(vec![(Some("main".to_owned()), passed_on)], &["main", "admin"]);
    let process = Process::start(Wish { workers: 2, inherited, ..Wish::default() });
    assert_eq!(process.address, address);
    for client in &mut clients {
        assert_eq!(client.read().expect("nobody is lost").body, "hello");
    }
    drop(clients);
    assert_eq!(process.stop().1.len(), 20);
}

#[test]
fn closing_serves_whoever_has_connected_before_it() {
    let process = Process::start(Wish { workers: 2, ..Wish::default() });
    let address = process.address;
    // Connected, and some of them still in the queue when the process closes.
    let clients = gathered(16, move |_| {
        let mut client = Client::to(address);
        client.send("/");
        client
    });
    process.ask_to_leave();
    let answered = clients.into_iter().filter_map(|mut client| client.read()).filter(|answer| answer.status == 200).count();
    assert_eq!(answered, 16);
    assert_eq!(process.end().0, Departure::Drained);
    assert!(TcpListener::bind(address).is_ok(), "the address is free again");
}
