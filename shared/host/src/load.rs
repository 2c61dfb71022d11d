//! From the file to a plan, at start and at every reload.
//!
//! In: the path of the configuration, and what serves now. Out: a [`Loaded`] plan with the memory of every file that was read, or every complaint.
//! Refuses: a file with a complaint; at a reload also what cannot change while the process runs. Never: touches what serves; it reads and
//! computes, so it runs where blocking is allowed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use settings::files::{DOCUMENT_BYTES_MAX, Files};
use settings::report::{Complaint, Report};
use settings::sight::Sights;

use crate::cold;
use crate::plan::HostPlan;
use crate::shown::shown;
use crate::tier::{Checked, Tier};

/// What was read, checked and found good.
pub struct Loaded<T: Tier> {
    /// The plans, and what was set aside.
    pub checked: Checked<T>,
    /// The configuration as the operator may see it.
    pub shown: Value,
    /// Every file that was read.
    pub sights: Sights,
}

/// What was read and found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// All that is wrong; at least one.
    pub complaints: Vec<Complaint>,
    /// Every file that was read, for one of them has to change.
    pub sights: Sights,
}

/// What serves while something newer is read.
pub struct Former<T: Tier> {
    /// The process as it is.
    pub host: Arc<HostPlan>,
    /// The tier as it is.
    pub tier: Arc<T::Plan>,
    /// The configuration as the operator may see it.
    pub shown: Arc<Value>,
}

type Read<T> = dyn Fn(Option<&Former<T>>) -> Result<Loaded<T>, Refused> + Send + Sync;

/// Reads a configuration as often as it is asked to.
pub struct Loader<T: Tier> {
    name: Arc<str>,
    read: Arc<Read<T>>,
}

impl<T: Tier> Clone for Loader<T> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), read: Arc::clone(&self.read) }
    }
}

impl<T: Tier> fmt::Debug for Loader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loader").field(&self.name).finish()
    }
}

impl<T: Tier> Loader<T> {
    /// Reads `file`.
    #[must_use]
    pub fn of_file(file: &Path) -> Self {
        let path = file.to_owned();
        Self::of(&file.display().to_string(), move |former| read(&path, former))
    }

    /// Reads in another way, under a name for complaints.
    #[must_use]
    pub fn of(name: &str, read: impl Fn(Option<&Former<T>>) -> Result<Loaded<T>, Refused> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), read: Arc::new(read) }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads and checks, from the first file to the last.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn load(&self, former: Option<&Former<T>>) -> Result<Loaded<T>, Refused> {
        (self.read)(former)
    }
}

/// A complaint about the file as a whole.
pub(crate) fn about(file: &str, what: String, remedy: &str) -> Complaint {
    Complaint { file: file.to_owned(), line: 1, column: 1, key: String::new(), what, remedy: remedy.to_owned() }
}

fn read<T: Tier>(file: &Path, former: Option<&Former<T>>) -> Result<Loaded<T>, Refused> {
    let name = file.display().to_string();
    let in_use = former.iter().flat_map(|former| former.host.certificates.iter().map(|one| one.expiry.chain));
    let files = Files::beside(file).while_in_use(in_use);
    // The file itself is no path inside itself: it is relative to where the process was started.
    let here = Files::of(Path::new(""));
    let sights = |files: &Files| here.sights().and(files.sights());
    let text = here
        .read(file, DOCUMENT_BYTES_MAX)
        .map_err(|fault| about(&name, fault, "name a file that exists and that this user may read"))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| about(&name, "the file is not UTF-8 text".to_owned(), "save it as UTF-8")));
    let text = match text {
        Ok(text) => text,
        Err(complaint) => return Err(Refused { complaints: vec![complaint], sights: sights(&files) }),
    };
    let mut report = Report::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = settings::read::read::<T::Config>(&name, &text, &environment, &mut report);
    let checked = config.and_then(|config| T::check(config, &files, former.map(|former| &*former.tier), &mut report));
    let shown = shown::<T::Config>(&name, &text);
    if let (Some(former), Some(checked)) = (former, &checked) {
        cold::compare(&former.host, &checked.host, (&former.shown, &shown), &mut report);
    }
    match checked {
        Some(checked) if report.is_clean() => Ok(Loaded { checked, shown, sights: sights(&files) }),
        _ => {
            let mut complaints = report.complaints().to_vec();
            if complaints.is_empty() {
                complaints.push(about(
                    &name,
                    "it cannot be meant as it is written".to_owned(),
                    "report this: `check` should have said why",
                ));
            }
            Err(Refused { complaints, sights: sights(&files) })
        }
    }
}
