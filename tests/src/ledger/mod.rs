//! The ledger: clients that never retry, what they were told, what instances did and what was recorded, compared one by one.
//!
//! A request counts from its first byte inside TLS. Whoever is refused or reset before that goes to the other replica, as every client of a replicated
//! service does. After that byte the request is in the books for good, whatever becomes of it.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a ledger that cannot be kept fails its test")]

pub mod account;
mod client;
pub mod entries;
mod exchange;
pub mod fault;
mod frames;
mod h1;
mod h2;
pub mod latency;
pub mod load;
mod paced;
pub mod table;
mod websocket;
mod written;
