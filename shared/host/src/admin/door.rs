//! The admin door's own small server: hyper over a listener that only this host reaches.
//!
//! In: a listener and the pages. Out: answers, also when the process has no descriptor left: one is kept for this door. Refuses: Unix peers that are not
//! listed, more connections than the ceiling. Never: HTTP/2, uploads; leaves a question without its answer because a successor has taken the door.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;
use wire::tasks::Tasks;

use crate::admin::deed::Peer;
use crate::descriptors::Reserve;
use crate::drain::LifeWatch;
use crate::listen::Listener;
use crate::plan::AdminPlan;

/// Open connections of operators and scrapers.
const CONNECTIONS_MAX: usize = 64;

/// How long a head may take, and how long a connection may rest.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// How long connections to this process stay open once a successor has the door.
const REST: Duration = Duration::from_secs(1);

/// The two moments of a door that others wait for.
pub(crate) struct Door {
    /// It accepts no more: a successor does.
    pub(crate) closed: oneshot::Receiver<()>,
    /// The last answer is on its way. Whoever waits for it says how long: an order may take as long as it takes.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Serves the pages for as long as the process lives, or until a successor does.
pub(crate) fn open(tasks: &Tasks, router: Router, listener: Listener, plan: AdminPlan, life: LifeWatch) -> Door {
    let (tell_closed, closed) = oneshot::channel();
    let (tell_ended, ended) = oneshot::channel::<()>();
    tasks.spawn("admin", async move {
        let _ended = tell_ended;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut guests = Guests { router, life, places, connections: JoinSet::new(), reserve: Arc::default(), gave_up: false };
        match serve(listener, plan, &mut guests).await {
            Ok(()) => {
                // Nobody waits for it where the process is about to end anyway.
                let _ = tell_closed.send(());
                while guests.connections.join_next().await.is_some() {}
            }
            Err(error) => tracing::error!(%error, "the admin door cannot be served"),
        }
    });
    Door { closed, ended }
}

/// Those who are served.
struct Guests {
    router: Router,
    life: LifeWatch,
    places: Arc<Semaphore>,
    connections: JoinSet<()>,
    reserve: Arc<Mutex<Reserve>>,
    /// The reserve was given up for the accept that follows.
    gave_up: bool,
}

/// Accepts until a successor does.
async fn serve(listener: Listener, plan: AdminPlan, guests: &mut Guests) -> io::Result<()> {
    let mut life = guests.life.clone();
    match listener {
        Listener::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            loop {
                tokio::select! {
                    biased;
                    () = life.succeeded() => return Ok(()),
                    (place, accepted) = async { (guests.place().await, listener.accept().await) } => match accepted {
                        Ok((stream, peer)) => guests.admit(Peer::Tcp(peer), stream, place),
                        Err(error) => guests.endure(&error).await,
                    }
                }
            }
        }
        Listener::Unix(listener) => {
            let listener = UnixListener::from_std(listener)?;
            let uids = plan.uids.unwrap_or_else(|| vec![0, own_uid()]);
            loop {
                tokio::select! {
                    biased;
                    () = life.succeeded() => return Ok(()),
                    (place, accepted) = async { (guests.place().await, listener.accept().await) } => match accepted {
                        Ok((stream, _)) => match stream.peer_cred() {
                            Ok(cred) if uids.contains(&cred.uid()) => {
                                guests.admit(Peer::Unix { uid: cred.uid(), pid: cred.pid() }, stream, place);
                            }
                            _ => tracing::warn!("a user who is not listed was turned away from the admin door"),
                        },
                        Err(error) => guests.endure(&error).await,
                    }
                }
            }
        }
    }
}

impl Guests {
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        while self.connections.try_join_next().is_some() {}
        if !std::mem::take(&mut self.gave_up) {
            fill(&self.reserve);
        }
        // It fails when the semaphore is closed, which nobody does.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn admit<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, peer: Peer, io: IO, place: Option<OwnedSemaphorePermit>) {
        if let Some(place) = place {
            let router = self.router.clone().layer(Extension(peer));
            let (life, reserve) = (self.life.clone(), Arc::clone(&self.reserve));
            self.connections.spawn(async move {
                talk(router, io, place, life).await;
                // In the breath in which its descriptor became free: clients wait for every one.
                fill(&reserve);
            });
        }
    }

    /// After an accept that failed: the next one follows at once where a descriptor could be given up for it.
    async fn endure(&mut self, error: &io::Error) {
        let exhausted = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if exhausted.contains(&error.raw_os_error()) && self.reserve.lock().unwrap_or_else(PoisonError::into_inner).give_up() {
            self.gave_up = true;
            return;
        }
        tracing::warn!(%error, "the admin door could not accept a connection");
        sleep(PAUSE).await;
    }
}

fn fill(reserve: &Mutex<Reserve>) {
    reserve.lock().unwrap_or_else(PoisonError::into_inner).fill();
}

/// The user that this process runs as; root where the kernel does not tell.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |own| own.uid())
}

async fn talk<IO>(router: Router, io: IO, place: OwnedSemaphorePermit, mut life: LifeWatch)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).half_close(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            life.succeeded().await;
            // A question may be on its way on a connection that was accepted in the last moment.
            sleep(REST).await;
        } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the admin door ended");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::runtime::Handle;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::address::Address;
    use crate::drain::Life;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_is_given_after_a_successor_has_the_door() {
        let address = Address::Tcp(([127, 0, 0, 1], 0).into());
        let listener = Listener::bind(&address, 0).unwrap();
        let mut client = TcpStream::connect(listener.address()).await.unwrap();
        let (begun, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, waits) = (Arc::clone(&begun), Arc::clone(&goes_on));
        let order = post(async move || {
            begins.notify_one();
            waits.notified().await;
            "done"
        });
        let (life, watch) = Life::begin();
        let router = Router::new().route("/order", order);
        let mut door = open(&Tasks::on(Handle::current()), router, listener, AdminPlan { address, mode: 0, uids: None }, watch);
        client.write_all(b"POST /order HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        begun.notified().await;
        life.hand_over(vec!["admin".to_owned()]);
        door.closed.await.unwrap();
        assert!(timeout(Duration::from_secs(600), &mut door.ended).await.is_err(), "the answer is still to come");
        goes_on.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
        assert!(door.ended.await.is_err(), "the task has ended");
    }
}
