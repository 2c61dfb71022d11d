//! What a successor says to the process that started it, in one datagram.
//!
//! In and out: `READY=1` with `TAKEN=` and the names of the sockets it has taken over, or `FAILED=` and `REMEDY=`, a line each. Refuses: whatever is
//! longer than its ceiling or has no such line. Lines that a later version adds are passed over, for the two are different versions by design.

/// The longest word, in bytes.
pub const WORD_BYTES_MAX: usize = 8192;

/// The longest line of a word, in bytes, so that a reason that quotes a whole file still fits.
const LINE_BYTES_MAX: usize = 2048;

/// What a successor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It serves.
    Ready {
        /// The names of the sockets that it accepts from; whoever else has them need not empty their queues.
        taken: Vec<String>,
    },
    /// It does not, and ends.
    Failed {
        /// What kept it from serving.
        what: String,
        /// What the operator can do.
        remedy: String,
    },
}

impl Word {
    /// The datagram.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Ready { taken } => format!("READY=1\nTAKEN={}\n", taken.join(":")),
            Self::Failed { what, remedy } => format!("FAILED={}\nREMEDY={}\n", line(what), line(remedy)),
        }
    }

    /// Reads a datagram.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() >= WORD_BYTES_MAX {
            // It may have been cut there.
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        if let Some(what) = value("FAILED") {
            return Some(Self::Failed { what: what.to_owned(), remedy: value("REMEDY").unwrap_or("see its log lines").to_owned() });
        }
        let taken = value("TAKEN").unwrap_or_default().split(':').filter(|name| !name.is_empty());
        (value("READY") == Some("1")).then(|| Self::Ready { taken: taken.map(str::to_owned).collect() })
    }
}

/// Text as one line, cut between characters.
fn line(text: &str) -> String {
    let mut line = text.trim().replace("\r\n", " | ").replace(['\n', '\r'], " | ");
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_back(word: &Word) {
        assert_eq!(Word::parse(word.encode().as_bytes()).as_ref(), Some(word));
    }

    #[test]
    fn what_is_said_is_understood() {
        reads_back(&Word::Ready { taken: vec!["https".into(), "admin".into()] });
        reads_back(&Word::Ready { taken: vec![] });
        reads_back(&Word::Failed { what: "issuer demo: no keys".into(), remedy: "start it".into() });
        let long = Word::Failed { what: format!("a\nb {}", "\u{e9}".repeat(5_000)), remedy: "x".repeat(5_000) };
        let Some(Word::Failed { what, remedy }) = Word::parse(long.encode().as_bytes()) else { panic!("it fits") };
        assert!(what.starts_with("a | b \u{e9}") && what.len() <= LINE_BYTES_MAX && remedy.len() == LINE_BYTES_MAX);
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert_eq!(Word::parse(b"COLOUR=blue\nREADY=1\nTAKEN=a\nMOOD=good"), Some(Word::Ready { taken: vec!["a".into()] }));
        assert_eq!(Word::parse(b"READY=1"), Some(Word::Ready { taken: vec![] }));
    }

    #[test]
    fn anything_else_is_no_word() {
        let long = format!("READY=1\nTAKEN={}", "a".repeat(WORD_BYTES_MAX));
        for text in [&b""[..], b"READY", b"READY=0", b"READY=12", b"ALREADY=1", b"\xff", b"TAKEN=a", long.as_bytes()] {
            assert_eq!(Word::parse(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
