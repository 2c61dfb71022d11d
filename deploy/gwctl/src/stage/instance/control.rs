//! Orders to an instance that is a process of its own, over a Unix socket.
//!
//! In: one line for each connection, a [`Mood`]. Out: the mood back once it holds, or what is wrong with the order. Never: ends by itself.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::stage::instance::mood::Mood;

/// The longest order.
const ORDER_BYTES_MAX: u64 = 64;
/// How long the order of one connection may take.
const ORDER_SECONDS_MAX: u64 = 5;

/// Binds the socket; whoever had it before is gone.
///
/// # Errors
/// What the system says of the path.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => UnixListener::bind(path),
    }
}

/// Follows orders, one after the other, until the future is dropped.
pub async fn follow(listener: UnixListener, mood: &watch::Sender<Mood>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Whoever orders and leaves without the answer has been served too.
                let _left = timeout(Duration::from_secs(ORDER_SECONDS_MAX), obey(stream, mood)).await;
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn obey(mut stream: UnixStream, mood: &watch::Sender<Mood>) -> io::Result<()> {
    let mut order = Vec::new();
    while order.last() != Some(&b'\n') && (order.len() as u64) < ORDER_BYTES_MAX {
        if (&mut stream).take(1).read_to_end(&mut order).await? == 0 {
            break;
        }
    }
    let answer = match String::from_utf8_lossy(&order).trim_end().parse::<Mood>() {
        Ok(next) => {
            mood.send_replace(next);
            next.to_string()
        }
        Err(why) => why,
    };
    stream.write_all(format!("{answer}\n").as_bytes()).await
}
