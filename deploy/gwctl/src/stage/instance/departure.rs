//! How an instance leaves: it tells everybody first, and closes its door last.
//!
//! In: the steps of the way out. Out: the same, seen by every connection; those who wait at the door. Never: resets who has connected.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::stage::instance::CONNECTIONS_MAX;

/// How far an instance is on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Departure {
    #[default]
    Serving,
    /// Serving, and every answer ends its connection.
    Leaving,
    /// Connections end after what they are doing.
    Closing,
}

/// Sees it.
pub(super) type Departing = watch::Receiver<Departure>;

/// Done once an instance has come to `departure`, or its end.
pub(super) async fn reached(mut departing: Departing, departure: Departure) {
    let _gone_means_reached = departing.wait_for(|now| *now >= departure).await;
}

/// Closes a listener and gives those who had connected.
pub(super) fn waiting(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = std::iter::from_fn(|| listener.accept().ok()).take(CONNECTIONS_MAX);
    let adopt = |stream: std::net::TcpStream| stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)).ok();
    accepted.filter_map(|(stream, _)| adopt(stream)).collect()
}
