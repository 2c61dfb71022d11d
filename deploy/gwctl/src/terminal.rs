//! What gwctl says to the person before it.
//!
//! In: one line. Out: that line on stdout (results, which may be piped on) or stderr (what happened). Never: fails,
//! since a reader that has closed its end of a pipe is no reason to end a running demo.

use std::fmt::Display;
use std::io::Write;

/// Writes one line of result to stdout and flushes it, so that a reader of a pipe sees it at once.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes one line of news to stderr.
pub fn tell(line: impl Display) {
    let mut err = std::io::stderr().lock();
    let _closed_pipe = writeln!(err, "{line}");
}
