//! `gwctl upgrade` and `gwctl reload`: an order to a running tier over its admin door.
//!
//! In: where the door is, or the file that says so. Out: what came of the order, in one line or a few. Refuses: a file without a readable
//! `admin.address`. Never: decides anything; the tier does, and says why.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use host::address::Address;
use host::health::{self, Reply};
use serde::Deserialize;
use serde_json::Value;
use settings::files;
use settings::read;
use settings::report::Report;

use crate::fault::Fault;
use crate::terminal::{say, tell};

/// An upgrade waits for `upgrade.ready_within`, which may be ten minutes, and for the start before that.
const ANSWER_MAX: Duration = Duration::from_secs(15 * 60);

/// Where the admin door of a tier is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Door {
    /// 127.0.0.1:9901, or unix:PATH.
    #[arg(long)]
    admin: Option<String>,
    /// The configuration that the tier runs by, in which its admin address stands.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Starts the executable of the tier again, which takes over without losing a connection.
///
/// # Errors
/// Nobody answers, or the tier cannot be upgraded.
pub fn upgrade(door: &Door) -> Result<ExitCode, Fault> {
    let answer = order(&door.address()?, "/upgrade")?;
    say(format_args!("upgraded: process {} serves", answer["pid"]));
    Ok(ExitCode::SUCCESS)
}

/// Has the tier read its configuration again.
///
/// # Errors
/// Nobody answers, or the tier goes on by its former configuration.
pub fn reload(door: &Door) -> Result<ExitCode, Fault> {
    let answer = order(&door.address()?, "/reload")?;
    say(format_args!("reloaded: generation {} serves", answer["generation"]));
    Ok(ExitCode::SUCCESS)
}

impl Door {
    /// The address itself.
    pub(crate) fn address(&self) -> Result<Address, Fault> {
        match (&self.admin, &self.config) {
            (Some(address), _) => parse(address, Path::new(".")),
            (None, Some(file)) => parse(&of_file(file)?, files::Files::beside(file).base()),
            (None, None) => Err(Fault::new("there is no address", "name it with --admin, or a file with --config")),
        }
    }
}

fn parse(address: &str, base: &Path) -> Result<Address, Fault> {
    Address::parse(address, base).map_err(|(what, remedy)| Fault::new(what, remedy))
}

/// The part of a tier's file that is asked for here; the tier itself judges the rest.
#[derive(Deserialize)]
struct Written {
    admin: Admin,
}

#[derive(Deserialize)]
struct Admin {
    address: String,
}

fn of_file(file: &Path) -> Result<String, Fault> {
    let remedy = "mend the file: `check --config` of the tier tells all that is wrong, or name the address with --admin";
    let text = files::read_text(file, files::DOCUMENT_BYTES_MAX).map_err(|what| Fault::new(what, remedy))?;
    let mut report = Report::new();
    let environment = |name: &str| std::env::var(name).ok();
    let written = read::read::<Written>(&file.display().to_string(), &text, &environment, &mut report);
    written.map(|written| written.admin.address).ok_or_else(|| {
        Fault::new(format!("{} has no admin.address that can be read: {}", file.display(), report.print().trim_end()), remedy)
    })
}

/// Gives an order; what the tier says against it is a fault.
fn order(address: &Address, path: &str) -> Result<Value, Fault> {
    let reply = health::order(address, path, ANSWER_MAX).map_err(|error| unanswered(address, &error))?;
    let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    if reply.status == 200 {
        return Ok(answer);
    }
    for complaint in answer["complaints"].as_array().into_iter().flatten() {
        tell(format_args!("{}", complaint.as_str().map_or_else(|| complaint.to_string(), str::to_owned)));
    }
    Err(refused(&reply, &answer))
}

/// Nobody answers at the door.
pub(crate) fn unanswered(address: &Address, error: &io::Error) -> Fault {
    Fault::new(format!("nobody answers at {address}: {error}"), "start the tier, or see its log")
}

/// What a tier says against something, with its remedy.
pub(crate) fn refused(reply: &Reply, answer: &Value) -> Fault {
    let word = |name: &str| answer[name].as_str();
    let what = word("what").map_or_else(|| format!("the tier answered {}: {}", reply.status, reply.body.trim_end()), str::to_owned);
    Fault::new(what, word("remedy").unwrap_or("see its log"))
}
