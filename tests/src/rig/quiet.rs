//! Tests that measure time or memory have the machine to themselves, as far as it is this process's to give.
//!
//! In: who raises something. Out: a word that is held as long as it stands. A quiet test waits until nobody else stands and lets nobody else begin;
//! what it raises itself is its own. The others never wait for each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

struct Stands {
    loud: usize,
    quiet: Option<ThreadId>,
}

static STANDS: Mutex<Stands> = Mutex::new(Stands { loud: 0, quiet: None });
static CHANGED: Condvar = Condvar::new();

fn stands() -> MutexGuard<'static, Stands> {
    STANDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing else stands while this is held.
#[derive(Debug)]
pub struct Quiet(());

impl Quiet {
    /// Waits until nothing stands. The test takes it before it raises anything, on the thread on which it will.
    #[must_use]
    pub fn wait() -> Self {
        let mut stands =
            CHANGED.wait_while(stands(), |stands| stands.loud > 0 || stands.quiet.is_some()).unwrap_or_else(PoisonError::into_inner);
        stands.quiet = Some(thread::current().id());
        Self(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stands().quiet = None;
        CHANGED.notify_all();
    }
}

/// Something stands, and nothing is quiet but the thread that raised it.
#[derive(Debug)]
pub struct Loud(());

impl Loud {
    /// Waits until nobody else is quiet.
    #[must_use]
    pub fn wait() -> Self {
        let own = thread::current().id();
        let mut stands =
            CHANGED.wait_while(stands(), |stands| stands.quiet.is_some_and(|quiet| quiet != own)).unwrap_or_else(PoisonError::into_inner);
        stands.loud += 1;
        Self(())
    }
}

impl Drop for Loud {
    fn drop(&mut self) {
        stands().loud -= 1;
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_quiet_one_waits_for_the_loud_and_holds_the_others_off() {
        let loud = Loud::wait();
        let (tell, told) = sync_channel(2);
        let quiet = thread::spawn({
            let tell = tell.clone();
            move || {
                let quiet = Quiet::wait();
                // What it raises itself does not wait for it.
                drop(Loud::wait());
                tell.send("quiet").unwrap();
                drop(quiet);
            }
        });
        // The loud never wait for each other, though somebody waits for quiet.
        drop(Loud::wait());
        tell.send("loud").unwrap();
        drop(loud);
        quiet.join().unwrap();
        drop(Loud::wait());
        assert_eq!((told.recv(), told.recv()), (Ok("loud"), Ok("quiet")));
    }
}
