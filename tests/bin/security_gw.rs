//! The real `main` of security-gw, for the rig to spawn.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::run::<security_gw::tier::SecurityGw>(std::env::args_os())
}
