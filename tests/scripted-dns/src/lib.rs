//! A name server for tests that fails in every way in which name servers fail, each when it is told to.
//!
//! In: for each name and type what is said, once or in a row. Out: answers over UDP and TCP on one port of loopback, and a count of what was
//! asked. Refuses: nothing; what has no script does not exist. Never: asks another server, or answers by the clock: what is slow waits for a gate.

#![allow(clippy::panic, reason = "a server that cannot be started fails its test")]

mod book;
pub mod records;
pub mod reply;
pub mod server;
mod spoken;
