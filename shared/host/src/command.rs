//! The commands of a tier's program.
//!
//! In: arguments. Out: an exit code, lines on stdout for what was asked, on stderr for what is wrong. Never: serves by a file with a complaint.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use settings::report::Complaint;
use tokio::runtime::Builder;

use crate::args::{self, Order};
use crate::boot::{self, BUILD, Boot};
use crate::drain::Departure;
use crate::health;
use crate::inherit::Inherited;
use crate::load::{Loaded, Loader};
use crate::notify::Notifier;
use crate::orders::Orders;
use crate::shown;
use crate::succession::origin::Origin;
use crate::tier::{BootError, Tier};

/// Not ready, or could not start.
const FAILED: u8 = 1;
/// sysexits(3): EX_USAGE.
const USAGE: u8 = 64;
/// sysexits(3): EX_CONFIG.
const CONFIG: u8 = 78;

pub(crate) fn run<T: Tier>(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let begun = Instant::now();
    match args::parse(args) {
        Ok(Order::Run(file)) => serve::<T>(&file, begun),
        Ok(Order::Check(file)) => check::<T>(&file),
        Ok(Order::Schema) => say(&shown::schema_text::<T::Config>()),
        Ok(Order::Health(file)) => ask::<T>(&file),
        Ok(Order::Help) => say(&args::usage(T::NAME)),
        Ok(Order::Version) => say(&format!("{} {BUILD} (treaty {})\n", T::NAME, contract::TREATY)),
        Err(fault) => {
            complain(&format!("{fault}\n\n{}", args::usage(T::NAME)));
            ExitCode::from(USAGE)
        }
    }
}

/// Reads a file to serve by, or prints what is wrong with it.
fn read<T: Tier>(loader: &Loader<T>) -> Result<Loaded<T>, ExitCode> {
    loader.load(None).map_err(|refused| told(loader.name(), &refused.complaints))
}

fn told(name: &str, complaints: &[Complaint]) -> ExitCode {
    complain(&listed(name, complaints));
    ExitCode::from(CONFIG)
}

fn listed(name: &str, complaints: &[Complaint]) -> String {
    let lines: String = complaints.iter().map(|complaint| format!("{complaint}\n")).collect();
    let number = complaints.len();
    let noun = if number == 1 { "complaint" } else { "complaints" };
    format!("{lines}{number} {noun} about {name}\n")
}

/// Here a part that would be set aside is as bad as any other: whoever checks wants to know before it is.
fn check<T: Tier>(file: &Path) -> ExitCode {
    let loaded = match read::<T>(&Loader::of_file(file)) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if loaded.checked.aside.is_empty() {
        return say(&format!("ok: {}\n", file.display()));
    }
    let complaints: Vec<Complaint> = loaded.checked.aside.into_iter().flat_map(|aside| aside.complaints).collect();
    told(&file.display().to_string(), &complaints)
}

fn serve<T: Tier>(file: &Path, begun: Instant) -> ExitCode {
    let origin = Origin::of_this_process();
    let mut inherited = match Inherited::from_environment() {
        Ok(inherited) => inherited,
        Err(error) => return cannot_start::<T>(&error),
    };
    let loader = Loader::of_file(file);
    let loaded = match loader.load(None) {
        Ok(loaded) => loaded,
        Err(refused) => {
            if let Some(predecessor) = inherited.predecessor() {
                let what = listed(loader.name(), &refused.complaints);
                predecessor.failed(&BootError::new(what.trim_end(), "mend the file; `check` tells the same"));
            }
            return told(loader.name(), &refused.complaints);
        }
    };
    telemetry::logs::init(&loaded.checked.host.logs);
    log_panics();
    // Without it the process serves all the same, and an upgrade says why it cannot be.
    let origin = origin.inspect_err(|error| tracing::warn!(%error, "there will be no upgrade")).ok();
    let notifier = match Notifier::from_environment() {
        Ok(notifier) => notifier,
        Err(error) => return cannot_start::<T>(&error),
    };
    match whole_life::<T>(Boot { loaded, loader, inherited, origin, notifier, begun }) {
        Ok(Departure::Drained | Departure::Cut) => ExitCode::SUCCESS,
        Ok(Departure::AtOnce) => ExitCode::from(FAILED),
        Err(error) => cannot_start::<T>(&error),
    }
}

fn cannot_start<T: Tier>(error: &BootError) -> ExitCode {
    tracing::error!(what = error.what, remedy = error.remedy, "could not start");
    // Also in plain words, for whoever reads the terminal and not the log.
    complain(&format!("{}: {error}\n", T::NAME));
    ExitCode::from(FAILED)
}

fn whole_life<T: Tier>(boot: Boot<T>) -> Result<Departure, BootError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("control")
        .build()
        .map_err(|error| BootError::new(format!("the control runtime cannot be made: {error}"), "raise the limit of open files"))?;
    let outcome = runtime.block_on(async { boot::live::<T>(boot, Orders::on_signals()?, |_| {}).await });
    // Background work has nothing left to finish.
    runtime.shutdown_background();
    outcome
}

/// Panics are caught where they happen; here they get a line of log with their place, instead of free text on stderr.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("no message");
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, what, thread, "panic");
    }));
}

fn ask<T: Tier>(file: &Path) -> ExitCode {
    let loaded = match read::<T>(&Loader::of_file(file)) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let address = &loaded.checked.host.admin.address;
    match health::ask(address) {
        Ok(answer) if answer.ready => say("ready\n"),
        Ok(answer) => {
            complain(&format!("not ready: {}\n", answer.body.trim_end()));
            ExitCode::from(FAILED)
        }
        Err(error) => {
            complain(&format!("nobody answers at {address}: {error}; start the process, or see its log\n"));
            ExitCode::from(FAILED)
        }
    }
}

/// What was asked for; a closed pipe is no failure of ours.
fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

fn complain(text: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}
