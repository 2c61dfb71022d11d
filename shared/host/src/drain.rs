//! How a process leaves: the phases of its life, and how it comes from one to the next.
//!
//! In: the order to leave. Out: a [`Phase`] that acceptors, workers and the admin door watch. The order: readiness fails while accepting goes on
//! for `drain.wait`; then the accept queues are emptied and closed and every connection is asked to end after what it is doing; what is still
//! open at `drain.deadline` is cut. A second signal ends at once. Where a successor serves already, there is no wait, and the queues that it has
//! taken are left to it. Never: closes a queue with connections in it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use crate::plan::DrainPlan;

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepting and serving.
    Serving,
    /// Still accepting, but telling everyone in front to look elsewhere.
    Leaving,
    /// The queues are being emptied and closed; connections end after what they are doing.
    Closing,
    /// The deadline has passed; whatever is left is cut.
    Cut,
}

/// How long workers may take to drop what was cut.
const CUT_MAX: Duration = Duration::from_secs(3);

/// The same, and the same again for the sinks, when the process was asked to leave a second time.
pub(crate) const AT_ONCE_MAX: Duration = Duration::from_secs(1);

/// Moves the process from phase to phase; only ever forward.
#[derive(Debug)]
pub struct Life {
    phase: watch::Sender<Phase>,
    taken: Taken,
}

/// Sees the phases; cheap to clone.
#[derive(Clone, Debug)]
pub struct LifeWatch {
    phase: watch::Receiver<Phase>,
    taken: Taken,
}

/// The names of the sockets that a successor serves; empty until there is one.
type Taken = Arc<OnceLock<Vec<String>>>;

impl Life {
    /// A process that serves.
    #[must_use]
    pub fn begin() -> (Self, LifeWatch) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        let taken = Taken::default();
        (Self { phase: sender, taken: Arc::clone(&taken) }, LifeWatch { phase: receiver, taken })
    }

    /// A successor accepts from the sockets of these names; this process closes, and looks at none of their queues again.
    pub fn hand_over(&self, taken: Vec<String>) {
        // It is done once: whoever has a successor starts no other.
        let _ = self.taken.set(taken);
        self.advance(Phase::Closing);
    }

    /// Moves on to `phase`; without effect if it was passed already.
    pub fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let forward = phase > *now;
            if forward {
                *now = phase;
            }
            forward
        });
    }
}

impl LifeWatch {
    /// Where the process stands now.
    #[must_use]
    pub fn now(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether this process closes because a successor serves in its place. Whoever is in front then need not look elsewhere: the same address
    /// leads to the successor.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.taken.get().is_some()
    }

    /// Whether those in front should send nothing more here: it leaves, and nobody comes after it.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.now() > Phase::Serving && !self.has_successor()
    }

    /// Whether a successor serves the socket called `name`.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.taken.get().is_some_and(|taken| taken.iter().any(|taken| taken == name))
    }

    /// Returns once a successor serves; never, if there is none.
    pub(crate) async fn succeeded(&mut self) {
        self.reached(Phase::Closing).await;
        if !self.has_successor() {
            std::future::pending().await
        }
    }

    /// Returns once the process has come to `phase` or past it, also when whoever moves it is gone.
    pub async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is gone, and with it the life that it moved.
        let _ = self.phase.wait_for(|now| *now >= phase).await;
    }
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Everything that was in flight has finished.
    Drained,
    /// Something was cut at the deadline.
    Cut,
    /// A second signal ended it at once.
    AtOnce,
}

/// Leaves phase by phase. `ended` are the workers, each told when it has ended.
pub(crate) async fn depart(life: &Life, plan: DrainPlan, mut acceptors: JoinSet<()>, ended: &mut Vec<oneshot::Receiver<()>>) -> Departure {
    life.advance(Phase::Leaving);
    sleep(plan.wait).await;
    life.advance(Phase::Closing);
    let all = async {
        // The last acceptor takes the lanes with it, by which the workers know that nobody else will come.
        while acceptors.join_next().await.is_some() {}
        all_ended(ended).await;
    };
    tokio::pin!(all);
    if timeout_at(tokio::time::Instant::now() + plan.deadline, &mut all).await.is_ok() {
        return Departure::Drained;
    }
    tracing::warn!(deadline = ?plan.deadline, "requests were still in flight at the deadline; they are cut");
    life.advance(Phase::Cut);
    if timeout(CUT_MAX, &mut all).await.is_err() {
        tracing::error!("a worker did not end within {CUT_MAX:?}; its records may be lost");
    }
    Departure::Cut
}

/// Ends at once: whatever is open is cut, and its records get a moment to be written.
pub(crate) async fn end_at_once(life: &Life, ended: &mut Vec<oneshot::Receiver<()>>) -> Departure {
    life.advance(Phase::Cut);
    if timeout(AT_ONCE_MAX, all_ended(ended)).await.is_err() {
        tracing::error!("a worker did not end within {AT_ONCE_MAX:?}; its records may be lost");
    }
    Departure::AtOnce
}

/// Waits for workers and takes out each that has ended, so that the wait can be broken off and taken up again.
async fn all_ended(ended: &mut Vec<oneshot::Receiver<()>>) {
    while let Some(worker) = ended.last_mut() {
        // A worker that broke down has ended too.
        let _ = worker.await;
        ended.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_a_successor_closes_and_turns_nobody_away() {
        let (life, mut watch) = Life::begin();
        assert!(!watch.has_successor() && !watch.turns_away());
        life.hand_over(vec!["https".into()]);
        watch.succeeded().await;
        assert_eq!(watch.now(), Phase::Closing);
        assert!(watch.has_successor() && !watch.turns_away());
        assert!(watch.is_taken("https") && !watch.is_taken("admin"));
        let (life, watch) = Life::begin();
        life.advance(Phase::Leaving);
        assert!(watch.turns_away() && !watch.has_successor());
    }

    #[tokio::test]
    async fn phases_only_go_forward() {
        let (life, mut watch) = Life::begin();
        life.advance(Phase::Closing);
        life.advance(Phase::Leaving);
        assert_eq!(watch.now(), Phase::Closing);
        watch.reached(Phase::Leaving).await;
        drop(life);
        watch.reached(Phase::Cut).await;
    }
}
