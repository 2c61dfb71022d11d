//! `gwctl demo`: the whole gateway on one machine.
//!
//! In: a folder and a port offset. Out: both tiers, an issuer, a DNS server and five instances, each a process of its
//! own. Never: touches anything outside its folder and its ports.

pub mod act;
pub mod ask;
pub mod lock;
pub mod part;
pub mod pids;
pub mod place;
pub mod ports;
pub mod prepare;
pub mod readiness;
pub mod run;
pub mod spawn;
pub mod successor;
pub mod supervise;
pub mod tiers;
