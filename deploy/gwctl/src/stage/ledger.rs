//! What an instance has done, number by number, so that a test can tell "once" from "twice" after a crash.
//!
//! In: the number a client gave its request (`x-ledger`) and the method. Out: lines `NUMBER METHOD`, in memory and, when
//! asked for, in a file that survives `kill -9`. Refuses: more than [`ENTRIES_MAX`] entries, and numbers that are not one
//! short word. Never: answers before the line has been handed to the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries a ledger may have.
pub const ENTRIES_MAX: usize = 200_000;
/// A number is at most this long.
pub const NUMBER_BYTES_MAX: usize = 64;
/// What is read back from a file at the start.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The ledger has [`ENTRIES_MAX`] entries.
    #[error("the ledger is full")]
    Full,
    /// The number is empty, too long, or not visible ASCII.
    #[error("a ledger number is one word of up to {NUMBER_BYTES_MAX} visible ASCII characters")]
    Number,
    /// The file refused the line.
    #[error("the ledger file: {0}")]
    File(#[from] io::Error),
}

/// The ledger of one instance.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: Vec<String>,
    file: Option<File>,
}

impl Ledger {
    /// An empty ledger in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A ledger that goes on where the one in `path` ended.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        (&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        let entries = text.lines().take(ENTRIES_MAX).map(str::to_owned).collect();
        Ok(Self(Mutex::new(Book { entries, file: Some(file) })))
    }

    /// Adds `NUMBER METHOD`.
    ///
    /// # Errors
    /// As [`LedgerFault`] says; then the request must not be answered as done.
    pub fn append(&self, number: &[u8], method: &str) -> Result<(), LedgerFault> {
        if number.is_empty() || number.len() > NUMBER_BYTES_MAX || !number.iter().all(u8::is_ascii_graphic) {
            return Err(LedgerFault::Number);
        }
        let mut book = self.book();
        if book.entries.len() >= ENTRIES_MAX {
            return Err(LedgerFault::Full);
        }
        let entry = format!("{} {method}", String::from_utf8_lossy(number));
        if let Some(file) = &mut book.file {
            // One write of the whole line: the kernel keeps it when this process is killed a moment later.
            file.write_all(format!("{entry}\n").as_bytes())?;
            file.flush()?;
        }
        book.entries.push(entry);
        Ok(())
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        self.book().entries.clone()
    }

    /// All entries, one a line.
    #[must_use]
    pub fn text(&self) -> String {
        self.book().entries.iter().fold(String::new(), |text, entry| text + entry + "\n")
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_goes_on_where_its_file_ended() {
        let path = std::env::temp_dir().join(format!("gwctl-ledger-{}", std::process::id()));
        let _absent = std::fs::remove_file(&path);
        Ledger::open(&path).unwrap().append(b"1", "POST").unwrap();
        let again = Ledger::open(&path).unwrap();
        again.append(b"2", "GET").unwrap();
        assert_eq!(again.entries(), ["1 POST", "2 GET"]);
        assert_eq!(again.text(), std::fs::read_to_string(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_number_that_could_forge_a_line_is_refused() {
        let ledger = Ledger::new();
        for number in [&b""[..], b"1 POST\n2", b"a b", &[b'9'; 65]] {
            assert!(matches!(ledger.append(number, "GET"), Err(LedgerFault::Number)));
        }
        assert!(ledger.entries().is_empty());
    }
}
