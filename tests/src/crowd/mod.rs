//! Many clients at once, and the one that looks how the others are served meanwhile.
//!
//! In: an address and how many. Out: TLS connections that do what they are told, which for most of their life is nothing. They are opened and asked
//! a few at a time, so that what a test measures is a crowd and not its arrival.

#![allow(clippy::panic, reason = "a crowd that cannot gather fails its test")]

pub mod witness;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::rig::client::{EXCHANGE_MAX, Identity, greet, terms};

/// How many open or ask at the same time.
const AT_ONCE: usize = 32;

/// Open HTTP/1.1 connections over TLS.
pub struct Crowd {
    runtime: Runtime,
    lines: Vec<TlsStream<TcpStream>>,
}

impl Crowd {
    /// Opens so many connections, each with a whole handshake of its own.
    #[must_use]
    pub fn gather(number: usize, address: SocketAddr, identity: &Identity) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap_or_else(|fault| panic!("{fault}"));
        let terms = terms(identity, &[b"http/1.1"]).unwrap_or_else(|fault| panic!("{fault}"));
        let mut terms = Arc::unwrap_or_clone(terms);
        // Clients that know each other's tickets would be no crowd.
        terms.resumption = Resumption::disabled();
        let (terms, server) = (Arc::new(terms), identity.server);
        let open = move |_| {
            let terms = Arc::clone(&terms);
            async move { greet(TcpStream::connect(address).await?, terms, server).await }
        };
        let lines = runtime.block_on(a_few_at_a_time(0..number, open));
        Self { runtime, lines }
    }

    /// Has each connection send this request and read the whole answer, whose head must begin with `status_line`.
    pub fn ask_each(&mut self, request: &str, status_line: &'static str) {
        let request: Arc<str> = request.into();
        let ask = move |mut line: TlsStream<TcpStream>| {
            let request = Arc::clone(&request);
            async move {
                line.write_all(request.as_bytes()).await?;
                let mut answer = Vec::new();
                while !is_whole(&answer) {
                    if line.read_buf(&mut answer).await? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                }
                assert!(answer.starts_with(status_line.as_bytes()), "{}", answer.escape_ascii());
                Ok(line)
            }
        };
        self.lines = self.runtime.block_on(a_few_at_a_time(std::mem::take(&mut self.lines), ask));
    }

    /// How many are open.
    #[must_use]
    pub fn number(&self) -> usize {
        self.lines.len()
    }
}

/// Whether this is a head and the body of the length that it tells.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// Does something for each of `items`, for [`AT_ONCE`] of them at the same time.
async fn a_few_at_a_time<I, T, F>(items: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Vec<T>
where
    T: 'static,
    F: Future<Output = std::io::Result<T>> + Send + 'static,
    T: Send,
{
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    let mut items = items.into_iter();
    loop {
        while running.len() < AT_ONCE
            && let Some(item) = items.next()
        {
            running.spawn(timeout(EXCHANGE_MAX, work(item)));
        }
        match running.join_next().await {
            None => return done,
            Some(Ok(Ok(Ok(one)))) => done.push(one),
            Some(other) => panic!("client {} of a crowd failed: {:?}", done.len(), other.map(|inner| inner.map(|inner| inner.err()))),
        }
    }
}
