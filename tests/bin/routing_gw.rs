//! The real `main` of routing-gw, for the rig to spawn.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run::<routing_gw::tier::RoutingGw>(std::env::args_os())
}
