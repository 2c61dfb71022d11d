//! The admin door's own small server: hyper over a listener that only this host reaches.
//!
//! In: a listener and the pages. Out: answers. Refuses: Unix peers that are not listed, more connections than the ceiling. Never: HTTP/2, uploads.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::admin::deed::Peer;
use crate::listen::Listener;
use crate::plan::AdminPlan;

/// Open connections of operators and scrapers.
const CONNECTIONS_MAX: usize = 64;

/// How long a head may take, and how long a connection may rest.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves the pages for as long as the process lives.
pub(crate) async fn serve(router: Router, listener: Listener, plan: AdminPlan) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let served = match listener {
        Listener::Tcp(listener) => match TcpListener::from_std(listener) {
            Ok(listener) => loop {
                let Some(place) = place(&places, &mut connections).await else { return };
                match listener.accept().await {
                    Ok((stream, peer)) => drop(connections.spawn(talk(router.clone(), Peer::Tcp(peer), stream, place))),
                    Err(error) => endure(&error).await,
                }
            },
            Err(error) => error,
        },
        Listener::Unix(listener) => match UnixListener::from_std(listener) {
            Ok(listener) => {
                let uids = plan.uids.unwrap_or_else(|| vec![0, own_uid()]);
                loop {
                    let Some(place) = place(&places, &mut connections).await else { return };
                    match listener.accept().await {
                        Ok((stream, _)) => match stream.peer_cred() {
                            Ok(cred) if uids.contains(&cred.uid()) => {
                                let peer = Peer::Unix { uid: cred.uid(), pid: cred.pid() };
                                drop(connections.spawn(talk(router.clone(), peer, stream, place)));
                            }
                            _ => tracing::warn!("a user who is not listed was turned away from the admin door"),
                        },
                        Err(error) => endure(&error).await,
                    }
                }
            }
            Err(error) => error,
        },
    };
    tracing::error!(error = %served, "the admin door cannot be served");
}

async fn place(places: &Arc<Semaphore>, connections: &mut JoinSet<()>) -> Option<OwnedSemaphorePermit> {
    while connections.try_join_next().is_some() {}
    Arc::clone(places).acquire_owned().await.ok()
}

async fn endure(error: &io::Error) {
    tracing::warn!(%error, "the admin door could not accept a connection");
    sleep(PAUSE).await;
}

/// The user that this process runs as; root where the kernel does not tell.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |own| own.uid())
}

async fn talk<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(router: Router, peer: Peer, io: IO, place: OwnedSemaphorePermit) {
    let router = router.layer(Extension(peer));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).half_close(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(router)).await {
        tracing::debug!(%error, "a connection to the admin door ended");
    }
    drop(place);
}
