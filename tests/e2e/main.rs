//! End-to-end tests: both real tiers as processes, one binary, a module for each promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

mod abuse;
mod balance;
mod breaker;
mod chaos;
mod check;
mod corpus_h1;
mod corpus_h2;
mod deadlines;
mod demo;
mod discovery;
mod drain;
mod even;
mod failures;
mod farewell;
mod floods;
mod footprint;
mod front_door;
mod golden;
mod health;
mod keys;
mod killing;
mod ledger;
mod ledger_changes;
mod link;
mod link_health;
mod names;
mod overload;
mod protocols;
mod proxy_protocol;
mod readme;
mod records;
mod reload;
mod secrets;
mod streaming;
mod systemd;
mod tls;
mod traces;
mod trust;
mod upgrade;

use tests::rig::binaries::Binaries;

/// What Cargo built for these tests.
const BINARIES: Binaries = Binaries {
    security: env!("CARGO_BIN_EXE_rig-security-gw"),
    routing: env!("CARGO_BIN_EXE_rig-routing-gw"),
    gwctl: env!("CARGO_BIN_EXE_rig-gwctl"),
};
