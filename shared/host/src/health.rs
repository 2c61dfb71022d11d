//! Asks a running process whether it is ready, for the health checks of containers.
//!
//! In: the admin address of a plan. Out: `/readyz`'s status. Refuses: an answer that is late or no HTTP. Never: a runtime, TLS or a name.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::address::Address;

/// How long each of connecting, asking and reading may take.
const STEP_MAX: Duration = Duration::from_secs(5);

/// The start of an answer is enough to tell.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The answer of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it said 200.
    pub ready: bool,
    /// What it said.
    pub body: String,
}

/// Asks `/readyz` at `address`.
///
/// # Errors
/// When nobody answers in time.
pub fn ask(address: &Address) -> io::Result<Answer> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, STEP_MAX)?;
            stream.set_read_timeout(Some(STEP_MAX))?;
            stream.set_write_timeout(Some(STEP_MAX))?;
            talk(stream, &address.to_string())
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(STEP_MAX))?;
            stream.set_write_timeout(Some(STEP_MAX))?;
            talk(stream, "localhost")
        }
    }
}

fn talk(mut stream: impl Read + Write, host: &str) -> io::Result<Answer> {
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { ready: head.starts_with("HTTP/1.1 200 "), body: body.to_owned() })
}
