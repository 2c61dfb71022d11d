//! Instances that a file lists, read again whenever it has changed, on the control runtime.
//!
//! In: the path. Out: what the file lists, told to the service. Refuses: a file that is broken, gone, no regular file or too large: the last good list
//! stays, and each mistake is told once with file, line, column, key and remedy. Never: needs a reload, reads a file that is being written, or waits
//! for a file system on a runtime's thread.
//!
//! The file is looked at every `ttl.min`, through every symlink, so that one that is renamed over it or swapped behind it is seen. A change is taken
//! once it looked the same twice.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use settings::files::Files;
use settings::read::read_drop_in;
use settings::report::Report;
use settings::sight::Sights;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::config::entries::Entries;
use crate::discover::answer::Answer;
use crate::discover::{meanwhile, rest_for};
use crate::endpoints::Found;
use crate::instances::{Instances, Terms};
use crate::lookup::LookupFault;
use crate::plan::discover::TtlPlan;

/// Bytes of a file at most; enough for as many instances as a service may have.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The pause before the second look at a change.
const AGAIN: Duration = Duration::from_millis(250);

/// Looks at a change that does not come to rest; then what there is is read, and the next look mends it.
const RESTLESS_MAX: u32 = 10;

/// The file cannot be read.
const UNREADABLE: LookupFault = LookupFault { code: "unreadable", definite: false };

/// The file is no list of instances.
const MALFORMED: LookupFault = LookupFault { code: "malformed", definite: false };

/// A file, and the folder that it must lie in where there is one: whoever may write it may not show by it what the gateway may read.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) within: Option<PathBuf>,
}

/// Reads the file now and after every change, until the instances are dropped.
pub(crate) async fn keep_read(instances: Weak<Instances>, place: Place, mut terms: watch::Receiver<Terms>) {
    loop {
        let file = place.clone();
        let Some(read) = meanwhile(&instances, &mut terms, spawn_blocking(move || read(&file))).await else { return };
        let Ok((found, sights)) = read else { return };
        match instances.upgrade() {
            Some(instances) => instances.learn_answer(told(&instances.name, found)),
            None => return,
        }
        if meanwhile_changed(&instances, &mut terms, sights).await.is_none() {
            return;
        }
    }
}

/// Waits until the file looks other than `known`; `None` when the instances were dropped.
async fn meanwhile_changed(instances: &Weak<Instances>, terms: &mut watch::Receiver<Terms>, mut known: Sights) -> Option<()> {
    let (mut moment, mut restless) = (None::<Sights>, 0);
    loop {
        let is_second = moment.is_some();
        let pause = |ttl: &TtlPlan| if is_second { ttl.min.min(AGAIN) } else { ttl.min };
        if !rest_for(pause, instances, terms).await {
            return None;
        }
        let before = known.clone();
        let seen = meanwhile(instances, terms, spawn_blocking(move || before.again())).await?.ok()?;
        if seen.first_change(&known).is_none() {
            // The same, and its time stamps are a look older: soon they are old enough to be believed.
            (known, moment, restless) = (seen, None, 0);
            continue;
        }
        let rests = moment.as_ref().is_some_and(|moment| seen.is_at_rest(&known, moment));
        restless += u32::from(!rests);
        if rests || restless >= RESTLESS_MAX {
            return Some(());
        }
        moment = Some(seen);
    }
}

/// What a file lists, or what is wrong with it, a line each.
type Listed = Result<Vec<Found>, (LookupFault, Vec<String>)>;

/// Reads and checks; it may wait for a disk.
fn read(place: &Place) -> (Listed, Sights) {
    let (files, path) = (Files::of(Path::new("")), &place.path);
    let text = match &place.within {
        None => files.read_text(path, FILE_BYTES_MAX),
        Some(folder) => files.read_text_within(path, folder, FILE_BYTES_MAX),
    };
    let listed = match text {
        Err(what) => Err((UNREADABLE, vec![format!("{what}; put a list of instances there that this user may read")])),
        Ok(text) => list(&path.display().to_string(), &text),
    };
    (listed, files.sights())
}

fn list(file: &str, text: &str) -> Listed {
    let mut report = Report::new();
    let entries = read_drop_in::<Entries>(file, text, &mut report).and_then(|entries| entries.check("", &mut report));
    match entries {
        Some(entries) if report.is_clean() => Ok(entries.iter().map(Found::from).collect()),
        _ => Err((MALFORMED, report.complaints().iter().map(ToString::to_string).collect())),
    }
}

/// Tells what is wrong, and gives the rest on.
fn told(service: &str, listed: Listed) -> Answer {
    match listed {
        Ok(found) => Answer::known(found),
        Err((fault, complaints)) => {
            for complaint in complaints {
                tracing::warn!(service, complaint, "the file of a service's instances is not used; the last good list stays");
            }
            Answer::failed(fault)
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
