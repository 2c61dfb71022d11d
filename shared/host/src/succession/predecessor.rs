//! The line from a successor to the process that started it.
//!
//! In: how the start goes. Out: one [`Word`]. Never: fails because nobody listens any more: then there is nobody to take over from, and all the
//! more reason to serve.

use std::os::unix::net::UnixDatagram;

use crate::succession::word::Word;
use crate::tier::BootError;

/// The process that waits for us to serve.
#[derive(Debug)]
pub struct Predecessor {
    socket: UnixDatagram,
}

impl Predecessor {
    /// The other end of `socket` is the predecessor.
    #[must_use]
    pub fn at(socket: UnixDatagram) -> Self {
        Self { socket }
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
