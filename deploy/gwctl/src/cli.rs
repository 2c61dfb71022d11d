//! The command line of gwctl.
//!
//! In: arguments. Out: the exit status: 0 done, 1 could not be done, 64 bad usage. Refuses: what clap refuses. Never:
//! does the work itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::demo::{act, run as demo_run};
use crate::fault::Fault;
use crate::order::Door;
use crate::stage::process::{self, StageArgs};
use crate::terminal::tell;
use crate::{history, keys, order, token};

/// The operator's tool of the two-tier gateway.
#[derive(Debug, Parser)]
#[command(name = "gwctl", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the whole gateway with an issuer, DNS and services on this machine, until Ctrl-C.
    Demo(DemoArgs),
    /// Prints an access token of the running demo.
    Token {
        /// editor or reader.
        #[arg(long)]
        user: String,
        /// The folder of the demo.
        #[arg(long, default_value = DEMO_DIR)]
        dir: PathBuf,
    },
    /// The keys with which a tier signs: tier 1 what it tells tier 2, tier 2 what it tells services.
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// Starts the executable of a running tier again; the new process takes over without losing a connection.
    Upgrade(Door),
    /// Has a running tier read its configuration again.
    Reload(Door),
    /// What discovery has found, as a running tier knows it.
    Dns {
        #[command(subcommand)]
        action: DnsAction,
    },
    #[command(hide = true)]
    Stage(StageArgs),
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// The folder that the demo writes.
    #[arg(long, global = true, default_value = DEMO_DIR)]
    dir: PathBuf,
    /// Shifts every port by so much.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=i64::from(crate::demo::ports::OFFSET_MAX)))]
    port_offset: u16,
    #[command(subcommand)]
    action: Option<DemoAction>,
}

#[derive(Debug, Subcommand)]
enum DemoAction {
    /// Kills one process of the running demo at once (kill -9).
    Kill {
        /// security-gw, routing-gw, issuer, dns, orders-1…, users-1….
        name: String,
    },
    /// Starts one process of the running demo again, or a new instance (orders-4), whose zone lines it prints.
    Start {
        /// As for kill.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// Begins a set of signing keys (link-signing.jwks.json), and adds the public half to link.jwks.json.
    New {
        #[command(flatten)]
        which: Which,
        /// Makes one key in PEM (link-signing-KID.pem) instead, which cannot be rotated.
        #[arg(long)]
        pem: bool,
    },
    /// Adds a key that signs in two minutes, once everybody can know it, and ends the former one two minutes after that. It is the only step.
    Rotate {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Subcommand)]
enum DnsAction {
    /// Prints the last generations of a service's instances, the newest first, each with its answer and what it changed.
    History {
        /// The service's name in the configuration; at security-gw it is `link`.
        service: String,
        #[command(flatten)]
        door: Door,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// The folder of the files.
    #[arg(long)]
    dir: PathBuf,
    /// How the names of the files begin.
    #[arg(long, default_value = "link")]
    name: String,
    /// The id of the new key; by default made from the key.
    #[arg(long)]
    kid: Option<String>,
}

impl Which {
    fn place(&self) -> keys::Place<'_> {
        keys::Place { dir: &self.dir, name: &self.name }
    }
}

/// Where the demo lives unless it is told otherwise.
const DEMO_DIR: &str = "target/demo";
/// `EX_USAGE` of sysexits.
const BAD_USAGE: u8 = 64;

/// Does what `args` (the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _closed_pipe = error.print();
            return if error.use_stderr() { ExitCode::from(BAD_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    dispatch(cli.command).unwrap_or_else(|fault| {
        tell(format_args!("gwctl: {fault}"));
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command) -> Result<ExitCode, Fault> {
    match command {
        Command::Demo(DemoArgs { dir, port_offset, action: None }) => demo_run::run(&dir, port_offset),
        Command::Demo(DemoArgs { dir, action: Some(DemoAction::Kill { name }), .. }) => act::kill(&dir, &name),
        Command::Demo(DemoArgs { dir, action: Some(DemoAction::Start { name }), .. }) => act::start(&dir, &name),
        Command::Token { user, dir } => token::print(&dir, &user),
        Command::Keys { action: KeysAction::New { which, pem } } => keys::new(which.place(), which.kid.as_deref(), pem),
        Command::Keys { action: KeysAction::Rotate { which } } => keys::rotate(which.place(), which.kid.as_deref()),
        Command::Upgrade(door) => order::upgrade(&door),
        Command::Reload(door) => order::reload(&door),
        Command::Dns { action: DnsAction::History { service, door } } => history::print(&door, &service),
        Command::Stage(args) => process::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_usage_is_64_and_help_is_0() {
        let run = |line: &str| format!("{:?}", super::run(line.split(' ').map(OsString::from)));
        for bad in [
            "gwctl",
            "gwctl nothing",
            "gwctl demo --port-offset 60000",
            "gwctl token",
            "gwctl upgrade",
            "gwctl reload --admin a --config b",
            "gwctl dns",
            "gwctl dns history orders",
            "gwctl dns history --admin a",
        ] {
            assert_eq!(run(bad), format!("{:?}", ExitCode::from(64)), "{bad}");
        }
        assert_eq!(run("gwctl --help"), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn the_folder_may_stand_before_or_behind_the_action() {
        for line in ["gwctl demo --dir d kill dns", "gwctl demo kill dns --dir d", "gwctl demo kill --dir d dns"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(
                matches!(cli.command, Command::Demo(DemoArgs { dir, action: Some(_), .. }) if dir.as_path() == std::path::Path::new("d")),
                "{line}"
            );
        }
    }
}
