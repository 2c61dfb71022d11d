//! The lock that ties the processes of a demo to its life.
//!
//! In: the lock file. Out: the demo's hold on it; in every child a thread that waits for it. The kernel lets the lock go
//! however the demo ends, `kill -9` included, so no child outlives it unseen. Refuses: a second demo in one folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use rustix::process::{Signal, getpid, kill_process};

use crate::demo::place::Place;
use crate::fault::Fault;

/// Held by a running demo; dropping it ends the demo for all others.
#[derive(Debug)]
pub struct DemoLock {
    held: File,
}

impl Drop for DemoLock {
    fn drop(&mut self) {
        let_go(&self.held);
    }
}

impl DemoLock {
    /// Takes the lock of `place`.
    ///
    /// # Errors
    /// When a demo runs there already.
    pub fn take(place: &Place) -> Result<Self, Fault> {
        let file = open(&place.lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Self { held: file }),
            Err(TryLockError::WouldBlock) => Err(Fault::new(
                format!("a demo is running in {}", place.dir().display()),
                "end it with Ctrl-C, or choose another folder with --dir",
            )),
            Err(TryLockError::Error(error)) => Err(Fault::file(&place.lock(), &error)),
        }
    }
}

/// Whether a demo runs in `place`.
///
/// # Errors
/// When the lock cannot be asked.
pub fn is_running(place: &Place) -> Result<bool, Fault> {
    let file = open(&place.lock())?;
    match file.try_lock_shared() {
        Ok(()) => {
            let_go(&file);
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Fault::file(&place.lock(), &error)),
    }
}

/// Sends this process SIGTERM once nobody holds the lock at `path` any more.
///
/// # Errors
/// When the lock or a thread cannot be had.
pub fn end_with(path: &Path) -> Result<(), Fault> {
    let file = open(path)?;
    let wait = move || {
        // A lock that fails says as little about the demo as one that was let go: both end the process.
        let _let_go = file.lock_shared();
        let _gone_already = kill_process(getpid(), Signal::TERM);
    };
    std::thread::Builder::new().name("demo-lock".to_owned()).spawn(wait).map_err(|error| Fault::machine("start a thread", &error))?;
    Ok(())
}

/// Lets go of a lock at once. Closing alone would not: a child that another thread has forked shares the open file until its exec, and with it
/// the lock.
fn let_go(file: &File) {
    let _closing_does_it_soon = file.unlock();
}

fn open(path: &Path) -> Result<File, Fault> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(|error| Fault::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_demo_a_folder() {
        let dir = std::env::temp_dir().join(format!("gwctl-lock-{}", std::process::id()));
        let place = Place::made(&dir).unwrap();
        assert!(!is_running(&place).unwrap());
        let held = DemoLock::take(&place).unwrap();
        assert!(is_running(&place).unwrap());
        assert!(DemoLock::take(&place).unwrap_err().to_string().starts_with("a demo is running in"));
        drop(held);
        assert!(!is_running(&place).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
