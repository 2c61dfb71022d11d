//! Asks a running process over its admin door: whether it is ready, for the health checks of containers, or to do something, for `gwctl`.
//!
//! In: the admin address of a plan. Out: the status and body of its answer. Refuses: an answer that is late or no HTTP. Never: a runtime, TLS or
//! a name.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::address::Address;

/// How long each of connecting and asking may take, and reading an answer that is at hand.
const STEP_MAX: Duration = Duration::from_secs(5);

/// The start of an answer is enough to tell.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The most bytes of a page that is read whole.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The answer of a process about its readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it said 200.
    pub ready: bool,
    /// What it said.
    pub body: String,
}

/// The answer of a process to whatever was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What it said.
    pub body: String,
}

/// Asks `/readyz` at `address`.
///
/// # Errors
/// When nobody answers in time.
pub fn ask(address: &Address) -> io::Result<Answer> {
    let Reply { status, body } = send(address, "GET", "/readyz", STEP_MAX)?;
    Ok(Answer { ready: status == 200, body })
}

/// Sends an order, such as `/reload`, whose answer may take `within`.
///
/// # Errors
/// When nobody answers in time.
pub fn order(address: &Address, path: &str, within: Duration) -> io::Result<Reply> {
    send(address, "POST", path, within)
}

/// Reads a page, such as `/services`.
///
/// # Errors
/// When nobody answers in time.
pub fn page(address: &Address, path: &str) -> io::Result<Reply> {
    send(address, "GET", path, STEP_MAX)
}

fn send(address: &Address, method: &str, path: &str, within: Duration) -> io::Result<Reply> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, STEP_MAX)?;
            stream.set_read_timeout(Some(within))?;
            stream.set_write_timeout(Some(STEP_MAX))?;
            talk(stream, &address.to_string(), method, path)
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(within))?;
            stream.set_write_timeout(Some(STEP_MAX))?;
            talk(stream, "localhost", method, path)
        }
    }
}

fn talk(mut stream: impl Read + Write, host: &str, method: &str, path: &str) -> io::Result<Reply> {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    let bytes_max = if method == "GET" { PAGE_BYTES_MAX } else { ANSWER_BYTES_MAX };
    stream.take(bytes_max).read_to_end(&mut bytes)?;
    read(&String::from_utf8_lossy(&bytes)).ok_or(io::ErrorKind::InvalidData.into())
}

fn read(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_is_an_answer() {
        let reply = read("HTTP/1.1 409 Conflict\r\na: b\r\n\r\n{}");
        assert_eq!(reply, Some(Reply { status: 409, body: "{}".to_owned() }));
        for text in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/2 200\r\n\r\n"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
