//! routing-gw, tier 2 of the gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run::<routing_gw::tier::RoutingGw>(std::env::args_os())
}
