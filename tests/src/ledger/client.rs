//! What all clients share: where the doors are, how one goes to the other door, and the book of what was sent.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::ledger::entries::{Outcome, Sent};
use crate::ledger::paced::{self, Ask};
use crate::rig::client::greet;
use crate::rig::wait::PATIENCE;

/// What one client sends at most.
const SENT_MAX: usize = 5_000;

/// How long a client knocks at one door before it goes to the other.
const KNOCK_MAX: Duration = Duration::from_secs(5);

/// What all clients of a load share.
pub(super) struct Terms {
    pub(super) doors: [SocketAddr; 2],
    pub(super) h1: Arc<ClientConfig>,
    pub(super) h2: Arc<ClientConfig>,
    pub(super) token: String,
    pub(super) epoch: Instant,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) answered: AtomicU64,
    /// Connections that were refused or reset before the first byte of a request.
    pub(super) turned_away: AtomicU64,
}

impl Terms {
    /// The same for other clients, which are counted apart.
    pub(super) fn apart(&self) -> Self {
        Self {
            doors: self.doors,
            h1: Arc::clone(&self.h1),
            h2: Arc::clone(&self.h2),
            token: self.token.clone(),
            epoch: self.epoch,
            stop: self.stop.clone(),
            answered: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }
}

/// One client.
pub(super) struct Client {
    pub(super) terms: Arc<Terms>,
    pub(super) name: String,
    replica: Cell<usize>,
    turn: Cell<u64>,
    sent: RefCell<Vec<Sent>>,
}

/// A connection to one replica.
pub(super) struct Knocked {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) replica: usize,
    pub(super) name: String,
}

impl Client {
    pub(super) fn new(terms: Arc<Terms>, name: String, replica: usize) -> Self {
        Self { terms, name, replica: Cell::new(replica), turn: Cell::new(0), sent: RefCell::default() }
    }

    /// Whether it is time to end.
    pub(super) fn is_over(&self) -> bool {
        *self.terms.stop.borrow() || self.sent.borrow().len() >= SENT_MAX
    }

    /// Now, from the fleet's beginning.
    pub(super) fn now(&self) -> Duration {
        self.terms.epoch.elapsed()
    }

    /// A connection to the present replica, or to the other one when that lets nobody in; `None` when it is time to end.
    pub(super) async fn connect(&self, config: &Arc<ClientConfig>) -> Option<Knocked> {
        let begun = Instant::now();
        while !self.is_over() {
            let replica = self.replica.get();
            let knock = async { greet(TcpStream::connect(self.terms.doors[replica]).await?, Arc::clone(config), "localhost").await };
            let knocked = timeout(KNOCK_MAX, knock).await;
            if let Ok(Ok(stream)) = knocked {
                let port = stream.get_ref().0.local_addr().map_or(0, |own| own.port());
                return Some(Knocked { stream, replica, name: format!("{}:{port}", self.name) });
            }
            assert!(begun.elapsed() < PATIENCE, "{} finds no open door for {PATIENCE:?}", self.name);
            self.turned_away(replica);
            sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Refused or reset by `replica` before the first byte of a request: to the other one.
    pub(super) fn turned_away(&self, replica: usize) {
        self.terms.turned_away.fetch_add(1, Ordering::Relaxed);
        self.leave(replica);
    }

    /// The next connection goes to the other replica.
    pub(super) fn leave(&self, replica: usize) {
        self.replica.set(1 - replica);
    }

    /// What to send next.
    pub(super) fn ask(&self) -> Ask {
        paced::ask(&self.name, self.turn.replace(self.turn.get() + 1))
    }

    /// A number without a request, for what only one protocol has.
    pub(super) fn number(&self) -> String {
        self.ask().number
    }

    /// The rest before the next request.
    pub(super) fn rest(&self) -> Duration {
        paced::rest(&self.name, self.turn.get())
    }

    /// Enters one into the book.
    pub(super) fn note(&self, sent: Sent) {
        if matches!(sent.outcome, Outcome::Answered(_)) {
            self.terms.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.sent.borrow_mut().push(sent);
    }

    /// The book.
    pub(super) fn into_sent(self) -> Vec<Sent> {
        self.sent.into_inner()
    }
}
