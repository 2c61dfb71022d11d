//! The upgrade of the binary, on the side of the process that goes: it starts its executable again, hands it every listening socket, and waits
//! until the successor serves.
//!
//! In: the sockets of a running process and how it was started. Out: a [`Successor`], and in the end whether it took over, which sockets it took,
//! or why it did not. Refuses: in a container's first process, and a file that is no program. Never: stops serving before the successor has said
//! that it serves; leaves a child behind that nobody waits for.

pub mod origin;
pub mod passed;
pub mod predecessor;
pub mod word;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::bind::Bound;
use crate::inherit::PREDECESSOR;
use crate::listen::Listener;
use crate::succession::origin::Origin;
use crate::succession::passed::{Passing, VARIABLE};
use crate::succession::word::{WORD_BYTES_MAX, Word};
use crate::tier::BootError;

/// The first descriptor that is passed (sd_listen_fds(3), SD_LISTEN_FDS_START).
const FIRST_DESCRIPTOR: i32 = 3;

/// How long a successor that has failed or is asked to leave may take to end by itself.
const END_MAX: Duration = Duration::from_secs(5);

/// Long enough to see what has been said already.
const GLANCE: Duration = Duration::from_millis(5);

/// Every listening socket of this process once more, by name, for the one that follows. It keeps their queues open: drop it, or what of it
/// nobody follows in, when they close.
#[derive(Debug)]
pub(crate) struct Heritage {
    sockets: Vec<(Arc<str>, Listener)>,
    passing: Passing,
}

/// A successor that was started and has not said yet how it went.
#[derive(Debug)]
pub(crate) struct Successor {
    pid: u32,
    child: Child,
    words: tokio::net::UnixDatagram,
    fault: Option<BootError>,
}

impl Heritage {
    /// Second descriptors of all that is bound.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn of(bound: &Bound) -> Result<Self, BootError> {
        let sockets: BTreeMap<_, _> = bound.all().map(|socket| (socket.name.to_string(), socket.passed.clone())).collect();
        let passing = Passing { by: std::process::id(), sockets };
        let again = bound.all().map(|socket| socket.listener.try_clone().map(|listener| (Arc::clone(&socket.name), listener)));
        let sockets = again.collect::<Result<_, _>>();
        let sockets = sockets.map_err(|error| {
            BootError::new(format!("a socket cannot be kept for a successor: {error}"), "raise the limit of open files")
        })?;
        Ok(Self { sockets, passing })
    }

    /// Keeps no socket but those of these names: the queues of all others may close.
    pub(crate) fn keep(&mut self, names: &[String]) {
        self.sockets.retain(|(name, _)| names.iter().any(|kept| **kept == **name));
    }

    /// Starts the executable again with the same arguments, this heritage, and a line back to us. Call it inside the control runtime.
    ///
    /// # Errors
    /// What cannot be started, and the remedy.
    pub(crate) fn pass_on(&self, origin: &Origin) -> Result<Successor, BootError> {
        origin.assert_program()?;
        let fault = |error: std::io::Error| {
            BootError::new(
                format!("{} cannot be started: {error}", origin.program.display()),
                "put the executable there that is to follow, with the right to execute it, and ask again",
            )
        };
        let (words, theirs) = UnixDatagram::pair().map_err(fault)?;
        words.set_nonblocking(true).map_err(fault)?;
        let words = tokio::net::UnixDatagram::from_std(words).map_err(fault)?;
        let mut names = Vec::with_capacity(self.sockets.len() + 1);
        let mut descriptors: Vec<OwnedFd> = Vec::with_capacity(self.sockets.len() + 1);
        for (name, listener) in &self.sockets {
            names.push(&**name);
            descriptors.push(listener.try_clone().map_err(fault)?.into());
        }
        names.push(PREDECESSOR);
        descriptors.push(theirs.into());

        let mut command = std::process::Command::new(&origin.program);
        command.arg0(&origin.name).args(&origin.arguments);
        // Whose number LISTEN_PID would have to be is known only once the process exists; without it the descriptors are anybody's who has them.
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDS_FIRST_FD");
        command.env("LISTEN_FDS", descriptors.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        command.env(VARIABLE, self.passing.encode());
        let mapping = |(parent_fd, child_fd)| FdMapping { parent_fd, child_fd };
        let mappings = descriptors.into_iter().zip(FIRST_DESCRIPTOR..).map(mapping).collect();
        command.fd_mappings(mappings).map_err(|fault| BootError::new(fault.to_string(), "report this as a bug"))?;
        // Everything else that is open here has CLOEXEC, from the standard library and from those who took over inherited sockets.
        let mut command = Command::from(command);
        let child = command.spawn().map_err(fault)?;
        // The command holds the other end of our line, and the descriptors a second time.
        drop(command);
        let pid = child.id().ok_or_else(|| BootError::new("the successor ended as soon as it began", "see what it said on stderr"))?;
        Ok(Successor { pid, child, words, fault: None })
    }
}

impl Successor {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits at most `within` until it serves, and tells which sockets it took. If it fails, it has ended and was waited for.
    ///
    /// May be broken off and taken up again; if it is not taken up, [`Successor::give_up`] must be called.
    ///
    /// # Errors
    /// Why it does not serve, in its own words where it had any.
    pub(crate) async fn outcome(&mut self, within: Duration) -> Result<Vec<String>, BootError> {
        let fault = match self.fault.take() {
            Some(fault) => fault,
            None => match timeout(within, self.hear()).await {
                Ok(Heard::Word(Word::Ready { taken })) => return Ok(taken),
                Ok(Heard::Word(Word::Failed { what, remedy })) => BootError { what, remedy },
                Ok(Heard::End(status)) => ended(status),
                Ok(Heard::Nonsense) => {
                    BootError::new("the successor said something that is not understood", "start a version next to this one")
                }
                Err(_) => BootError::new(format!("the successor said nothing within {within:?} and was ended"), "see its log lines"),
            },
        };
        // Its reason is said once, and must outlive a wait that is broken off here.
        self.fault = Some(fault.clone());
        if timeout(END_MAX, self.child.wait()).await.is_err() {
            self.end().await;
        }
        Err(fault)
    }

    async fn hear(&mut self) -> Heard {
        let mut text = vec![0; WORD_BYTES_MAX];
        let length = tokio::select! {
            biased;
            heard = self.words.recv(&mut text) => heard,
            status = self.child.wait() => match self.words.try_recv(&mut text) {
                // Its last word may have come between the two looks.
                Ok(length) => Ok(length),
                Err(_) => return Heard::End(status.ok()),
            },
        };
        match length.ok().and_then(|length| Word::parse(&text[..length])) {
            Some(word @ Word::Failed { .. }) => Heard::Word(word),
            // Whoever has ended since serves nobody, whatever it has said.
            Some(word @ Word::Ready { .. }) => match self.child.try_wait() {
                Ok(Some(status)) => Heard::End(Some(status)),
                Ok(None) | Err(_) => Heard::Word(word),
            },
            None => Heard::Nonsense,
        }
    }

    /// Has it read its configuration once more: what was asked of this process since it was started may have reached this process alone.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// It is not wanted any more: asks it to leave, and ends it if it does not. One that serves is left to do so, and drains if it was asked to
    /// leave before that was known; then the sockets that it has taken are told.
    pub(crate) async fn give_up(&mut self) -> Option<Vec<String>> {
        if self.fault.is_none()
            && let Ok(Heard::Word(Word::Ready { taken })) = timeout(GLANCE, self.hear()).await
        {
            return Some(taken);
        }
        self.signal(Signal::TERM);
        self.outcome(END_MAX).await.ok()
    }

    /// Returns once it has ended against its will, by a signal that nobody handles, and tells how; never, if it leaves in good order, as it was asked.
    pub(crate) async fn breaks_down(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) if status.signal().is_some() => ending(Some(status)),
            _ => std::future::pending().await,
        }
    }

    fn signal(&self, signal: Signal) {
        // Without an id it has ended and was waited for, and the number may be somebody else's.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
            tracing::warn!(%error, ?signal, "the successor could not be sent a signal");
        }
    }

    /// Ends it at once, and waits for it.
    async fn end(&mut self) {
        // It fails where the process has ended already, and then there is nothing to do.
        let _ = self.child.kill().await;
    }
}

enum Heard {
    Word(Word),
    End(Option<ExitStatus>),
    Nonsense,
}

fn ended(status: Option<ExitStatus>) -> BootError {
    BootError::new(format!("the successor ended {} before it served", ending(status)), "see what it said on stderr")
}

fn ending(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "in an unknown way".to_owned(), |status| format!("with {status}"))
}

/// Why a process of this id cannot hand over, if it cannot.
pub(crate) fn refusal(own_pid: u32) -> Option<BootError> {
    // A container lives as long as its first process, whatever that has started.
    (own_pid == 1).then(|| {
        BootError::new(
            "this is the first process of its container, which ends with it, so no other can follow it",
            "roll the image instead: start the new container, then stop this one with SIGTERM",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A successor that does as `script` says, and what it would say over its line.
    fn playing(script: &str) -> (Successor, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let words = tokio::net::UnixDatagram::from_std(ours).unwrap();
        (Successor { pid: child.id().unwrap(), child, words, fault: None }, theirs)
    }

    fn ready() -> Word {
        Word::Ready { taken: vec!["link".to_owned()] }
    }

    #[tokio::test]
    async fn whoever_is_dead_is_handed_nothing_whatever_it_has_said() {
        let (mut successor, line) = playing("exit 3");
        line.send(ready().encode().as_bytes()).unwrap();
        let stat = format!("/proc/{}/stat", successor.pid());
        while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
            tokio::task::yield_now().await;
        }
        let fault = successor.outcome(END_MAX).await.unwrap_err();
        assert!(fault.what.contains("ended with exit status: 3"), "{fault}");
    }

    #[tokio::test]
    async fn whoever_serves_is_not_ended_and_whoever_does_not_is_asked_to_leave() {
        let (mut serves, line) = playing("exec sleep 600");
        line.send(ready().encode().as_bytes()).unwrap();
        assert_eq!(serves.give_up().await, Some(vec!["link".to_owned()]));
        assert_eq!(serves.child.try_wait().unwrap(), None, "it serves on");
        serves.end().await;
        assert!(serves.breaks_down().await.contains("signal: 9"));
        let (mut leaves, _line) = playing("exit 0");
        leaves.child.wait().await.unwrap();
        assert!(timeout(GLANCE, leaves.breaks_down()).await.is_err(), "it was asked to leave, and nobody is to follow it");
        let (mut starts, _line) = playing("exec sleep 600");
        assert_eq!(starts.give_up().await, None);
        assert_eq!(starts.child.wait().await.unwrap().signal(), Some(15), "SIGTERM, and not SIGKILL");
    }

    #[test]
    fn the_first_process_of_a_container_has_no_successor() {
        assert!(refusal(1).unwrap().remedy.contains("roll the image"));
        assert_eq!(refusal(std::process::id()), None);
    }
}
