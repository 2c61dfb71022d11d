//! The line from a successor to the process that started it.
//!
//! In: how the start goes. Out: one [`Word`], and whether anybody is there to hear it. Never: fails because nobody listens any more: then there is nobody to take over from, and all the
//! more reason to serve.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::parent_id;

use crate::succession::word::Word;
use crate::tier::BootError;

/// The process that waits for us to serve.
#[derive(Debug)]
pub struct Predecessor {
    socket: UnixDatagram,
    pid: u32,
}

impl Predecessor {
    /// The other end of `socket` is the predecessor, whose process id is `pid` and who has started this process.
    #[must_use]
    pub fn at(socket: UnixDatagram, pid: u32) -> Self {
        Self { socket, pid }
    }

    /// Whether it has ended without having heard anything: then nobody serves.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        // A process whose parent ends is given another one.
        parent_id() != self.pid
    }

    /// We accept from the sockets named `taken`; from here on the other one stops.
    pub fn ready(self, taken: Vec<String>) {
        self.say(&Word::Ready { taken });
    }

    /// We do not serve; the other one goes on.
    pub fn failed(self, error: &BootError) {
        self.say(&Word::Failed { what: error.what.clone(), remedy: error.remedy.clone() });
    }

    fn say(self, word: &Word) {
        if let Err(error) = self.socket.send(word.encode().as_bytes()) {
            tracing::warn!(%error, "the process before this one does not listen any more");
        }
    }
}
