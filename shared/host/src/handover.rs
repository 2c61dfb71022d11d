//! The upgrade as a living process sees it: asked for, under way, and over in one of two ways.
//!
//! In: the wish of an operator or of a signal. Out: a [`Succession`] once a successor serves, and an answer to whoever asked. Refuses: a second one
//! while one is under way, and whatever [`crate::succession`] refuses. Never: touches what serves here; that goes on until there is a successor.

use std::future::pending;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};
use tokio::sync::{mpsc, oneshot};

use crate::config::READY_WITHIN_MAX;
use crate::succession::origin::Origin;
use crate::succession::{Heritage, Successor, refusal};
use crate::tier::BootError;

/// How long a successor may say nothing at all: longer than it may take to start and to become ready by its own bounds.
const SILENCE_MAX: Duration = READY_WITHIN_MAX.get().saturating_add(Duration::from_secs(120));

/// Operators who ask at once; more wait for a place.
const ASKS_MAX: usize = 4;

/// What becomes of the wish for an upgrade: the process id of the successor, which serves.
pub(crate) type Answer = Result<u32, Unable>;

/// Why there is no successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unable {
    /// The wish may be repeated once something else is over.
    pub(crate) is_conflict: bool,
    /// What is in the way, and the remedy.
    pub(crate) error: BootError,
}

impl Unable {
    fn conflict(what: impl Into<String>, remedy: &str) -> Self {
        Self { is_conflict: true, error: BootError::new(what, remedy) }
    }
}

/// Where an operator asks for an upgrade.
#[derive(Clone, Debug)]
pub(crate) struct UpgradeDesk(mpsc::Sender<oneshot::Sender<Answer>>);

impl UpgradeDesk {
    /// Asks, and waits until the successor serves or has failed.
    pub(crate) async fn upgrade(&self) -> Answer {
        let (asker, answer) = oneshot::channel();
        let leaving = || Unable::conflict("this process is leaving already", "ask whoever serves in its place");
        self.0.send(asker).await.map_err(|_| leaving())?;
        answer.await.map_err(|_| leaving())?
    }
}

/// A successor that serves.
#[derive(Debug)]
pub(crate) struct Succession {
    /// It, for as long as this process lives.
    pub(crate) successor: Successor,
    /// The names of the sockets that it has taken.
    pub(crate) taken: Vec<String>,
    asker: Option<oneshot::Sender<Answer>>,
}

impl Succession {
    /// Answers whoever asked for it.
    pub(crate) fn tell(&mut self) {
        if let Some(asker) = self.asker.take() {
            // It fails where the operator did not wait for the answer.
            let _ = asker.send(Ok(self.successor.pid()));
        }
    }
}

/// All that upgrades need, for as long as the process serves. It keeps the queues of all listeners open.
pub(crate) struct Handover {
    heritage: Heritage,
    origin: Option<Origin>,
    asks: mpsc::Receiver<oneshot::Sender<Answer>>,
    under_way: Option<UnderWay>,
    upgrades: Family<Labels<1>, Counter>,
}

#[derive(Debug)]
struct UnderWay {
    successor: Successor,
    asker: Option<oneshot::Sender<Answer>>,
}

impl Handover {
    /// Upgrades of the process that was started as `origin` says; without one it cannot be.
    pub(crate) fn new(heritage: Heritage, origin: Option<Origin>, metrics: &Metrics) -> (Self, UpgradeDesk) {
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let upgrades = register(metrics);
        (Self { heritage, origin, asks, under_way: None, upgrades }, UpgradeDesk(sender))
    }

    /// A signal asks for an upgrade.
    pub(crate) fn begin(&mut self, why: &'static str) {
        self.start(why, None);
    }

    /// Returns once a successor serves. May be broken off and taken up again.
    pub(crate) async fn happens(&mut self) -> Succession {
        loop {
            let outcome = async {
                match &mut self.under_way {
                    Some(under_way) => under_way.successor.outcome(SILENCE_MAX).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                outcome = outcome => {
                    let Some(UnderWay { successor, asker }) = self.under_way.take() else { continue };
                    match outcome {
                        Ok(taken) => return Succession { successor, taken, asker },
                        Err(error) => self.fail(Unable { is_conflict: false, error }, asker),
                    }
                }
                Some(asker) = self.asks.recv() => self.start("asked over the admin door", Some(asker)),
            }
        }
    }

    /// The successor serves, and this process only drains: it upgrades for nobody any more, but keeps what the successor has taken, so that another
    /// one can be started should that one end.
    pub(crate) fn is_over(&mut self, taken: &[String]) {
        self.heritage.keep(taken);
        self.asks.close();
        // Those who ask are told that the process leaves.
        while self.asks.try_recv().is_ok() {}
    }

    /// The process leaves without a successor; one that is on its way is ended, unless it serves by now.
    pub(crate) async fn give_up(&mut self) -> Option<Succession> {
        let UnderWay { mut successor, asker } = self.under_way.take()?;
        if let Some(taken) = successor.give_up().await {
            return Some(Succession { successor, taken, asker });
        }
        self.fail(Unable::conflict("the process was asked to leave before its successor served", "start it anew"), asker);
        None
    }

    fn start(&mut self, why: &'static str, asker: Option<oneshot::Sender<Answer>>) {
        let started = match &self.under_way {
            Some(under_way) => {
                let what = format!("an upgrade is under way: process {} was started and does not serve yet", under_way.successor.pid());
                Err(Unable::conflict(what, "wait for it; it is ended if it does not become ready"))
            }
            None => self.successor().map_err(|error| Unable { is_conflict: false, error }),
        };
        match started {
            Ok(successor) => {
                tracing::info!(why, successor = successor.pid(), "upgrade: a successor was started");
                self.under_way = Some(UnderWay { successor, asker });
            }
            Err(unable) => self.fail(unable, asker),
        }
    }

    fn successor(&self) -> Result<Successor, BootError> {
        if let Some(error) = refusal(std::process::id()) {
            return Err(error);
        }
        let cannot = || BootError::new("nothing is known about how this process was started", "start it by its path");
        self.heritage.pass_on(self.origin.as_ref().ok_or_else(cannot)?)
    }

    fn fail(&self, unable: Unable, asker: Option<oneshot::Sender<Answer>>) {
        if !unable.is_conflict {
            self.upgrades.get_or_create(&[(label::OUTCOME, "failed".into())]).inc();
        }
        tracing::error!(
            what = unable.error.what,
            remedy = unable.error.remedy,
            "upgrade: there is no successor; this process goes on serving"
        );
        if let Some(asker) = asker {
            // It fails where the operator did not wait for the answer.
            let _ = asker.send(Err(unable));
        }
    }
}

/// Counts the upgrade by which this process came to serve. The one that it follows is not asked any more.
pub(crate) fn count_handed_over(metrics: &Metrics) {
    register(metrics).get_or_create(&[(label::OUTCOME, "handed_over".into())]).inc();
}

fn register(metrics: &Metrics) -> Family<Labels<1>, Counter> {
    metrics.register_family(metric::UPGRADES, "Upgrades of the binary, by what came of them")
}
