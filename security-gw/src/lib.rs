//! Tier 1: terminates TLS, establishes who is asking, keeps the central access record, injects the trace, and forwards.
//!
//! The modules stand in the order in which a request meets them; `corridor` walks it through. It knows routing tiers, not services.

pub mod corridor;

pub mod redirect;
pub mod authority;
pub mod rule;
pub mod limits;
pub mod authenticate;
pub mod assert;
pub mod forward;
pub mod access_log;

pub mod ask;
pub mod docket;
pub mod facts;
pub mod refusal;

mod replicas;

pub mod config;
pub mod tier;
