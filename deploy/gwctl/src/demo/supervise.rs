//! The running processes of a demo, and their end.
//!
//! In: started processes. Out: who died unasked, and not because it handed over to a successor; at the end, all of them gone. Refuses: nothing. Never: restarts what
//! died: a demo of failure must show the failure.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Pid;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::demo::part::Part;
use crate::demo::pids::{Pids, is_alive, kill, terminate};
use crate::demo::ports::Ports;
use crate::demo::spawn::Spawned;
use crate::demo::successor::successor;
use crate::fault::Fault;

/// How long a part may take to end after SIGTERM: longer than the drain deadline in the demo's configuration.
pub const END_SECONDS_MAX: u64 = 12;

/// Every process that this demo has started itself.
pub struct Household {
    pids: Pids,
    ports: Ports,
    deaths: JoinSet<(Part, Pid, Option<ExitStatus>)>,
}

impl Household {
    /// Nobody yet.
    #[must_use]
    pub fn new(pids: Pids, ports: Ports) -> Self {
        Self { pids, ports, deaths: JoinSet::new() }
    }

    /// Watches over one more process.
    pub fn add(&mut self, part: Part, spawned: Spawned) {
        let Spawned { mut child, pid } = spawned;
        self.deaths.spawn(async move { (part, pid, child.wait().await.ok()) });
    }

    /// What to tell of the next process that ends, and which part is missing then. Pending while all live.
    ///
    /// # Errors
    /// When `pids` cannot be written.
    pub async fn next_death(&mut self) -> Result<(Option<Part>, String), Fault> {
        let (part, pid, status) = loop {
            match self.deaths.join_next().await {
                Some(Ok(death)) => break death,
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        };
        if self.pids.of_part(part)? == Some(pid)
            && let Some(next) = successor(part, pid, self.ports).await
        {
            self.pids.add(part, next)?;
            // It is no child of ours, so nobody tells us of its end.
            self.deaths.spawn(async move {
                while is_alive(next) {
                    sleep(LOOK_EVERY).await;
                }
                (part, next, None)
            });
            return Ok((None, format!("{part} (pid {pid}) has handed over to pid {next}")));
        }
        let how = status.map_or_else(|| "an unknown end".to_owned(), |status| status.to_string());
        let news = if self.pids.remove(part, pid)? {
            format!("{part} (pid {pid}) died unasked: {how}; see {part}.log")
        } else {
            format!("{part} (pid {pid}) was killed by request")
        };
        Ok((Some(part), news))
    }

    /// Ends everything in `pids`, also what `demo start` has added: first who takes requests in, last who answers them.
    /// When `hurry` is done, at once.
    ///
    /// # Errors
    /// When `pids` cannot be read.
    pub async fn end_all(&mut self, hurry: impl Future<Output = ()>) -> Result<(), Fault> {
        let mut all = self.pids.all()?;
        let mut successors = Vec::new();
        for (part, pid) in &all {
            // Whoever has handed over a moment ago may still finish what it began.
            successors.extend(successor(*part, *pid, self.ports).await.map(|next| (*part, next)));
        }
        all.extend(successors);
        let in_order = async {
            for rank in 0..=2 {
                let now: Vec<_> = all.iter().filter(|(part, _)| self::rank(*part) == rank).map(|(_, pid)| *pid).collect();
                now.iter().copied().for_each(terminate);
                wait_for(&now).await;
            }
        };
        tokio::select! { () = in_order => {}, () = hurry => {} }
        for (part, pid) in all.drain(..) {
            if is_alive(pid) {
                kill(pid);
            }
            self.pids.remove(part, pid)?;
        }
        // Our own children are also asked for, so that none is left behind as a zombie.
        while self.deaths.join_next().await.is_some() {}
        Ok(())
    }
}

/// How often a process is looked at that is no child of ours.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn rank(part: Part) -> u8 {
    match part {
        Part::SecurityGw => 0,
        Part::RoutingGw => 1,
        _ => 2,
    }
}

async fn wait_for(pids: &[Pid]) {
    let deadline = Instant::now() + Duration::from_secs(END_SECONDS_MAX);
    while pids.iter().copied().any(is_alive) && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
}
