//! The operator's tool of the two-tier gateway.
//!
//! In: a command line. Out: a running demo, a token, a signing key, an order to a running tier. It links both tiers as libraries, so that one
//! executable is the whole demo. Never: on the path of a production request.

pub mod cli;
pub mod demo;
pub mod fault;
pub mod history;
pub mod keys;
pub mod order;
pub mod private_file;
pub mod stage;
pub mod terminal;
pub mod token;
