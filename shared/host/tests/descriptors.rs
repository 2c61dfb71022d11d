//! A process that runs out of descriptors waits, counts, and serves on.
//!
//! The test starts itself again under a low limit of open files, so that it starves nobody but itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]

mod rig;

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use crate::rig::client::Client;
use crate::rig::{LONG, Process, Wish};

const CHILD: &str = "HOST_TEST_FEW_DESCRIPTORS";

#[test]
fn a_process_without_descriptors_neither_spins_nor_dies() {
    if std::env::var_os(CHILD).is_some() {
        return starve();
    }
    let script = "ulimit -n 64; exec \"$0\" --exact a_process_without_descriptors_neither_spins_nor_dies --nocapture";
    let child = Command::new("sh").arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(CHILD, "1").output().unwrap();
    assert!(child.status.success(), "{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
}

fn starve() {
    let process = Process::start(Wish::default());
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    assert!(!hoard.is_empty());
    // One descriptor for the client, none for the process to accept it with.
    hoard.pop();
    let mut client = Client::to(process.address);
    client.send("/");
    client.stream.set_read_timeout(Some(Duration::from_millis(450))).unwrap();
    assert!(!client.is_closed(), "it waits in the queue");
    drop(hoard);
    client.stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(client.read().expect("it is served as soon as there is a descriptor").body, "hello");
    let metrics = process.admin("/metrics").1;
    let counted: u32 = metrics
        .lines()
        .find_map(|line| line.strip_prefix("gateway_accept_failures_total{listener=\"main\",reason=\"out-of-descriptors\"} "))
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap();
    assert!((1..=20).contains(&counted), "{counted} tries in half a second");
    drop(client);
    process.stop();
}
