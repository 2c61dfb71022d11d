//! security-gw, tier 1 of the gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run::<security_gw::tier::SecurityGw>(std::env::args_os())
}
