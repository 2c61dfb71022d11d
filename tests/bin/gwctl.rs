//! The real `main` of gwctl, for the rig to spawn: its demo starts itself with hidden subcommands.

use std::process::ExitCode;

fn main() -> ExitCode {
    gwctl::cli::run(std::env::args_os())
}
