//! The life of one process: boot, listen, deal, serve, drain, admin.
//!
//! In: a [`tier::Tier`] and a command line. Out: an exit code. The order of a life is the order of the modules: the file becomes a plan
//! (`config`, `plan`), sockets are bound or inherited (`bind`, `listen`, `inherit`), connections are dealt to workers (`deal`, `worker`), each is served
//! to its record (`serve`, `converse`, `answer`, `story`), and at the end everything leaves in good order (`drain`). What the spike about
//! listening and dealing found stands in [`deal`]. A newer configuration takes the place of the one that serves in `reload`, and a newer
//! executable in `handover` and `succession`.

pub mod tier;

pub mod address;
pub mod config;
pub mod limits_config;
pub mod plan;
pub mod plan_limits;
pub mod plan_listener;
pub mod network;
mod plan_tls;
pub mod hsts;
pub mod certificates;
pub mod shown;
pub mod load;
mod cold;

pub mod args;
mod command;
pub mod health;

mod bind;
pub mod boot;
mod descriptors;
pub mod drain;
pub mod orders;
pub mod reload;
mod change;
mod standing;
pub mod inherit;
pub mod listen;
pub mod notify;
pub mod succession;
mod handover;

mod ceiling;
mod accept_rate;
mod addresses;
mod relief;
pub mod deal;
mod worker;

mod serve;
mod converse;
mod rest;
mod answer;
mod streamed;
mod story;
pub mod proof;
pub mod roster;
pub mod watched;
pub mod figures;

mod admin;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::tier::Tier;

/// Runs a tier's program. `args` are a process's arguments, the program's name first: `host::run::<SecurityGw>(std::env::args_os())`.
///
/// Exit codes: 0 well, 1 not ready or could not start, 64 wrong usage, 78 wrong configuration.
pub fn run<T: Tier>(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    command::run::<T>(args.into_iter().skip(1))
}
