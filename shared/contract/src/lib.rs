//! What the tiers promise each other, byte for byte: headers, caller, assertion, trace context, trail, reasons, problems.
//!
//! In: bytes that a peer wrote, and facts that a tier wants to hand on. Out: values, or a closed fault. Pure: no tokio, no I/O, no clock;
//! `now` and randomness are parameters. Never: panics on anything a peer can write.

pub mod headers;

pub mod target;

mod hex;
pub mod request_id;
pub mod seen;
pub mod trace_context;

pub mod assertion;
pub mod attempt;
pub mod caller;
pub mod deadline;
pub mod grpc;
pub mod identity_token;
pub mod json;
pub mod jws;
pub mod signing_keys;

pub mod trail;

pub mod health;

pub mod problem;
pub mod reason;

pub mod grpc_answer;

pub mod treaty;

/// The version of everything in this crate that crosses the link; the tiers exchange it, and one that is not [adjacent](treaty) is refused.
pub const TREATY: u16 = 1;
