//! What is wrong with a file of certificates or keys, in the three parts that every complaint has: where, what, remedy.

use std::fmt;
use std::path::Path;

/// A certificate, key or root file that cannot be used.
///
/// It never carries a byte of the file: key files hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The file, as it was named; empty where no file is concerned.
    pub file: String,
    /// What is wrong.
    pub what: String,
    /// What the operator may do about it.
    pub remedy: String,
}

impl CertificateFault {
    /// Names the file, what is wrong in it and what to do.
    pub fn new(file: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.into(), what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn at(file: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(file.display().to_string(), what, remedy)
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for CertificateFault {}
