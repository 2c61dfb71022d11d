//! A process that follows another one, as the one that comes sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]

mod rig;

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::parent_id;

use host::address::Address;
use host::inherit::Inherited;
use host::listen::Listener;
use host::succession::passed::{Passed, Passing};
use host::succession::predecessor::Predecessor;

use crate::rig::{LONG, Process, Wish};

fn listener() -> Listener {
    Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 0).unwrap()
}

/// What a predecessor passes on, and its end of the line.
fn inherited(listener: Listener, passed: Option<Passed>, predecessor: u32) -> (Inherited, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.set_read_timeout(Some(LONG)).unwrap();
    let passing = Passing { by: predecessor, sockets: BTreeMap::from_iter(passed.map(|passed| ("main".to_owned(), passed))) };
    (Inherited::from_predecessor(vec![(Some("main".to_owned()), listener)], passing, Predecessor::at(ours, predecessor)), theirs)
}

fn heard(line: &UnixDatagram) -> String {
    let mut text = [0; 1024];
    let length = line.recv(&mut text).unwrap();
    String::from_utf8_lossy(&text[..length]).into_owned()
}

/// The plan of these processes says 127.0.0.1:0.
#[test]
fn a_socket_is_kept_while_the_configuration_says_the_same_and_whenever_it_is_the_managers() {
    let passed = |address: &str, is_managers| Some(Passed { address: address.to_owned(), is_managers });
    let elsewhere = "127.0.0.2:4";
    let cases = [(passed("127.0.0.1:0", false), true), (passed(elsewhere, true), true), (passed(elsewhere, false), false), (None, false)];
    for (passed, is_kept) in cases {
        let told = format!("{passed:?}");
        // It stands where no plan says.
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 2], 0).into()), 0).unwrap();
        let address = listener.address();
        let (inherited, line) = inherited(listener, passed, parent_id());
        let process = Process::start(Wish { inherited, ..Wish::default() });
        assert_eq!(process.place == address, is_kept, "{told}");
        let word = if is_kept { "READY=1\nTAKEN=main\n" } else { "READY=1\nTAKEN=\n" };
        assert_eq!(heard(&line), word, "{told}");
        process.stop();
    }
}

#[test]
fn whoever_waits_for_what_it_lacks_serves_without_once_the_process_before_it_is_gone() {
    // No process has started this one but its parent.
    let (inherited, _line) = inherited(listener(), None, parent_id() ^ 1);
    let process = Process::start(Wish { inherited, lacks: true, ..Wish::default() });
    assert_eq!(process.connect().get("/").unwrap().1, "hello");
    process.stop();
}
