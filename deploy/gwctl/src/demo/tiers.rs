//! The two tiers' own `main`, called inside a process of the demo.
//!
//! In: a configuration file. Out: the exit status of the tier. Never: anything that the tiers' own binaries do not do.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use host::tier::Tier;
use routing_gw::tier::RoutingGw;
use security_gw::tier::SecurityGw;

/// Runs tier 1 to its end.
#[must_use]
pub fn security_gw(config: &Path) -> ExitCode {
    run::<SecurityGw>(config)
}

/// Runs tier 2 to its end.
#[must_use]
pub fn routing_gw(config: &Path) -> ExitCode {
    run::<RoutingGw>(config)
}

fn run<T: Tier>(config: &Path) -> ExitCode {
    host::run::<T>([OsString::from(T::NAME), OsString::from("--config"), config.into()])
}
