//! In: the command line. Out: an exit status. Everything else is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    gwctl::cli::run(std::env::args_os())
}
