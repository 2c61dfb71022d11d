//! A client of a few lines, so that nothing in it retries, pools or hides an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::rig::LONG;

/// A plain HTTP/1.1 client that never retries.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, LONG).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self { stream }
    }

    /// Sends a request and leaves the answer where it is.
    pub(crate) fn send(&mut self, path: &str) {
        write!(self.stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
    }

    /// Sends a request; its status and body, or `None` when the connection ended instead.
    pub(crate) fn get(&mut self, path: &str) -> Option<(u16, String)> {
        self.send(path);
        self.read().map(|answer| (answer.status, answer.body))
    }

    /// Posts nothing, with header lines that each end in CRLF; its status and body.
    pub(crate) fn post(&mut self, path: &str, headers: &str) -> Option<(u16, String)> {
        write!(self.stream, "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n{headers}\r\n").unwrap();
        self.read().map(|answer| (answer.status, answer.body))
    }

    /// Reads one answer with `Content-Length`; `None` when the connection ended before it.
    pub(crate) fn read(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(0) => return None,
                Ok(_) => head.push(byte[0]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer within {LONG:?}"),
                Err(_) => return None,
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// Whether there is something to read.
    pub(crate) fn has_answer(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked.is_ok()
    }

    /// Whether the other side has ended the connection, which it must do.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(number) => number == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}
