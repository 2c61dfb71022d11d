//! What is told to the service manager: that the process serves, reloads, leaves, or has handed over (sd_notify(3)).
//!
//! In: NOTIFY_SOCKET, a path or an abstract name (`@…`). Out: one datagram each. Without the variable nothing is said. Never: waits for the
//! service manager, or fails because of it; takes the variable out of the environment, because a successor needs it too.
//!
//! The crate `sd-notify` was looked at: it knows no abstract names, and reads the environment anew for every word.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::tier::BootError;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    way: Option<(UnixDatagram, SocketAddr)>,
    /// The manager waits for the end of a reload.
    reloads: AtomicBool,
    /// Another process speaks for the service.
    over: AtomicBool,
}

impl Notifier {
    /// Nobody is told anything.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whoever NOTIFY_SOCKET names.
    ///
    /// # Errors
    /// It names what is no Unix socket: the manager would wait for a word that never comes.
    pub fn from_environment() -> Result<Self, BootError> {
        match std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) {
            None => Ok(Self::none()),
            Some(name) => Self::to(&name).map_err(|error| {
                BootError::new(format!("NOTIFY_SOCKET={} cannot be used: {error}", name.display()), "unset it, or name a Unix socket")
            }),
        }
    }

    /// Whoever listens at `name`: an absolute path, or `@` and an abstract name.
    ///
    /// # Errors
    /// It is neither, or there is no descriptor left.
    pub fn to(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { way: Some((socket, address)), reloads: AtomicBool::new(false), over: AtomicBool::new(false) })
    }

    /// The process serves, for the first time or again after a reload.
    pub fn ready(&self, status: &str) {
        self.reloads.store(false, Ordering::Relaxed);
        // A line more would be a word of its own.
        self.say(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// The process reads its configuration anew; [`Notifier::ready`] must follow, whatever comes of it.
    pub fn reloading(&self) {
        self.reloads.store(true, Ordering::Relaxed);
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reloading"));
    }

    /// The process leaves.
    pub fn stopping(&self, why: &str) {
        self.say(&format!("STOPPING=1\nSTATUS=draining ({why})"));
    }

    /// Another process is the service now, and this one says nothing more. Say it while this one still is.
    pub fn main_pid(&self, pid: u32) {
        // The new process knows of no reload that this one began.
        let ended = if self.reloads.load(Ordering::Relaxed) { "\nREADY=1" } else { "" };
        self.say(&format!("MAINPID={pid}{ended}"));
        self.over.store(true, Ordering::Relaxed);
    }

    fn say(&self, text: &str) {
        let Some((socket, address)) = self.way.as_ref().filter(|_| !self.over.load(Ordering::Relaxed)) else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::warn!(%error, "the service manager could not be told {}", text.lines().next().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn listens(address: &SocketAddr) -> UnixDatagram {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut text = [0; 512];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    #[test]
    fn every_word_is_one_datagram_by_path_and_by_abstract_name() {
        let name = format!("host-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(format!("{name}.sock"));
        let places = [
            (SocketAddr::from_pathname(&path).unwrap(), path.clone().into_os_string()),
            (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}").into()),
        ];
        for (address, variable) in places {
            let manager = listens(&address);
            let notifier = Notifier::to(&variable).unwrap();
            notifier.ready("serving\nSTOPPING=1");
            assert_eq!(heard(&manager), "READY=1\nSTATUS=serving STOPPING=1");
            notifier.reloading();
            let text = heard(&manager);
            let stamp = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().lines().next().unwrap();
            assert!(stamp.parse::<u64>().unwrap() > 0, "{text}");
            notifier.stopping("SIGTERM");
            assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=draining (SIGTERM)");
            notifier.main_pid(4711);
            assert_eq!(heard(&manager), "MAINPID=4711\nREADY=1", "a reload was under way");
            notifier.ready("serving");
            manager.set_nonblocking(true).unwrap();
            assert!(manager.recv(&mut [0; 512]).is_err(), "the new one speaks from here on");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_manager_that_is_gone_is_no_failure_and_one_that_is_none_is() {
        Notifier::to(OsStr::new("/nonexistent/notify")).unwrap().ready("serving");
        Notifier::none().ready("serving");
        for wrong in ["notify.sock", "vsock:2:1234", "@", ""] {
            let to = Notifier::to(OsStr::new(wrong));
            assert!(to.is_err() || wrong == "@", "{wrong}");
        }
    }
}
