//! 32 clients at once: 16 over HTTP/1.1, 12 over HTTP/2 with three streams each, 4 over WebSocket; half of them begin at each replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::fleet::Fleet;
use crate::ledger::account::{Account, Books};
use crate::ledger::client::{Client, Terms};
use crate::ledger::entries::Sent;
use crate::ledger::fault::Fault;
use crate::ledger::{h1, h2, websocket};
use crate::rig::client::terms;
use crate::rig::wait::until;

/// Clients by protocol.
pub const H1: usize = 16;
/// Of HTTP/2.
pub const H2: usize = 12;
/// Of WebSocket.
pub const WEBSOCKET: usize = 4;
/// Threads that the clients share.
const THREADS: usize = 2;

/// How long a record that must be there may take to come, and how often it is looked for.
const RECORDS_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A load that runs until it is finished or dropped.
pub struct Load {
    terms: Arc<Terms>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<Vec<Sent>>>,
}

/// What a load has done.
#[derive(Debug)]
pub struct Done {
    /// The book of all clients.
    pub sent: Vec<Sent>,
    /// Connections that were refused or reset before the first byte of a request, and gone to the other replica.
    pub turned_away: u64,
}

impl Load {
    /// Starts all clients.
    #[must_use]
    pub fn start(fleet: &Fleet) -> Self {
        let (stop, stopped) = watch::channel(false);
        let identity = fleet.identity();
        let terms = Arc::new(Terms {
            doors: fleet.doors(),
            h1: terms(&identity, &[b"http/1.1"]).unwrap(),
            h2: terms(&identity, &[b"h2"]).unwrap(),
            token: fleet.editor(),
            epoch: fleet.begun(),
            stop: stopped,
            answered: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        });
        let threads = (0..THREADS).map(|thread| {
            let terms = Arc::clone(&terms);
            std::thread::spawn(move || run(&terms, share(thread)))
        });
        Self { threads: threads.collect(), terms, stop }
    }

    /// Waits until so many more were answered, and with them all clients have gone on.
    pub fn answers(&self, more: u64) {
        let before = self.terms.answered.load(Ordering::Relaxed);
        until(&format!("{more} more requests are answered"), || {
            assert!(self.threads.iter().all(|thread| !thread.is_finished()), "a client has given up");
            (self.terms.answered.load(Ordering::Relaxed) >= before + more).then_some(())
        });
    }

    /// Clients that come at once, each for one request over a connection of its own, first to `replica`.
    #[must_use]
    pub fn crowd(&self, name: &str, replica: usize, count: usize) -> Crowd {
        let terms = Arc::new(self.terms.apart());
        let clients: Vec<_> = (0..count).map(|one| (format!("{name}-{one}"), replica)).collect();
        let thread = std::thread::spawn({
            let terms = Arc::clone(&terms);
            move || run(&terms, clients)
        });
        Crowd { terms, thread }
    }

    /// Lets every client finish what it is at, and gives what they did.
    #[must_use]
    pub fn finish(mut self) -> Done {
        self.stop.send_replace(true);
        let sent = self.threads.drain(..).flat_map(|thread| thread.join().unwrap_or_else(|_| panic!("a client failed, see above")));
        let sent = sent.collect();
        Done { sent, turned_away: self.terms.turned_away.load(Ordering::Relaxed) }
    }
}

/// A crowd under way.
pub struct Crowd {
    terms: Arc<Terms>,
    thread: JoinHandle<Vec<Sent>>,
}

impl Crowd {
    /// Waits until everybody has an outcome.
    #[must_use]
    pub fn finish(self) -> Done {
        let sent = self.thread.join().unwrap_or_else(|_| panic!("a client failed, see above"));
        Done { sent, turned_away: self.terms.turned_away.load(Ordering::Relaxed) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // Whether it failed is told by `finish`.
            let _ended = thread.join();
        }
    }
}

impl Done {
    /// Compares with the books of the fleet; a GET or a POST is late after `deadline`. A record is written when the answer has ended, and flushed after the window: those that must be there
    /// are waited for.
    #[must_use]
    pub fn account(self, fleet: &Fleet, flush: Duration, deadline: Option<Duration>) -> (Account, Vec<Sent>) {
        let (executed, events) = (fleet.executed(), fleet.events());
        let mut books = Books { sent: self.sent, executed, recorded: Vec::new(), events, flush, deadline };
        let begun = Instant::now();
        loop {
            books.recorded = fleet.recorded();
            let account = Account::compare(&books);
            if account.of(Fault::RecordMissing).next().is_none() || begun.elapsed() > RECORDS_MAX {
                return (account, books.sent);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// The clients of one thread: of every four in a row two, one for each replica.
fn share(thread: usize) -> Vec<(String, usize)> {
    let names = [("h1", H1), ("h2", H2), ("ws", WEBSOCKET)].into_iter().flat_map(|(kind, count)| (0..count).map(move |one| (kind, one)));
    names.filter(|(_, one)| one / 2 % THREADS == thread).map(|(kind, one)| (format!("{kind}-{one}"), one % 2)).collect()
}

/// Runs clients, each from a replica, to their end. Their names tell what they speak.
fn run(terms: &Arc<Terms>, clients: Vec<(String, usize)>) -> Vec<Sent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    let task = |(name, replica): (String, usize)| {
        let client = Client::new(Arc::clone(terms), name, replica);
        local.spawn_local(async move {
            match client.name.split('-').next() {
                Some("h1") => h1::run(&client).await,
                Some("h2") => h2::run(&client).await,
                Some("ws") => websocket::run(&client).await,
                _ => h1::once(&client).await,
            }
            client.into_sent()
        })
    };
    let tasks: Vec<_> = clients.into_iter().map(task).collect();
    local.block_on(&runtime, async {
        let mut sent = Vec::new();
        for task in tasks {
            sent.extend(task.await.unwrap_or_else(|fault| panic!("a client failed: {fault}")));
        }
        sent
    })
}
