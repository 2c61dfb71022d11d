//! One query under way for each question, however many wait for its answer.
//!
//! In: questions of all services and fetchers. Out: the answer, to everybody who asked while it was under way. Refuses: more queries at a time than
//! a fixed number; the others wait. Never: remembers an answer, or ends a query because one of those who wait has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::resolver::QUERIES_MAX;
use crate::resolver::fault::NameFault;
use crate::resolver::server::Records;
use crate::resolver::view::View;
use crate::tasks::Tasks;

type Outcome = Result<Records, NameFault>;
type Landing = watch::Receiver<Option<Outcome>>;
type Question = (Name, RecordType);

/// The questions of one view that are under way.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashMap<Question, Landing>>);

impl UnderWay {
    /// At most [`QUERIES_MAX`] over all views: each holds a permit.
    fn map(&self) -> MutexGuard<'_, HashMap<Question, Landing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts queries on the control runtime and lets everybody wait for them.
#[derive(Debug)]
pub(crate) struct Flights {
    tasks: Tasks,
    room: Arc<Semaphore>,
    /// No query takes longer.
    limit: Duration,
}

impl Flights {
    pub(crate) fn new(tasks: Tasks, limit: Duration) -> Self {
        Self { tasks, room: Arc::new(Semaphore::new(QUERIES_MAX)), limit }
    }

    /// The answer to this question, by the query that is under way or by a new one.
    pub(crate) async fn ask(&self, view: &Arc<View>, name: Name, kind: RecordType) -> Outcome {
        let question = (name, kind);
        let under_way = view.under_way.map().get(&question).cloned();
        let landing = match under_way {
            Some(landing) => landing,
            None => {
                let permit = Arc::clone(&self.room).acquire_owned().await.map_err(|_| NameFault::Timeout)?;
                self.join_or_start(view, question, permit)
            }
        };
        landed(landing).await
    }

    /// Others may have started it while this one waited for a place.
    fn join_or_start(&self, view: &Arc<View>, question: Question, permit: OwnedSemaphorePermit) -> Landing {
        let mut map = view.under_way.map();
        if let Some(landing) = map.get(&question) {
            return landing.clone();
        }
        let (tell, landing) = watch::channel(None);
        map.insert(question.clone(), landing.clone());
        let flight = Flight { view: Arc::clone(view), question, _permit: permit };
        let limit = self.limit;
        if let Some(place) = view.trial() {
            // Beside the question, so that nobody waits for a server that is still silent.
            let (servers, (name, kind)) = (Arc::clone(&view.servers), flight.question.clone());
            self.tasks.spawn("name-server-trial", async move {
                if let Some(server) = servers.get(place) {
                    // What it says is not used; that it says something brings it back.
                    let _ = tokio::time::timeout(limit, server.ask(name, kind)).await;
                }
            });
        }
        self.tasks.spawn("name-query", async move {
            let (name, kind) = flight.question.clone();
            let said = tokio::time::timeout(limit, flight.view.ask(name, kind)).await.unwrap_or(Err(NameFault::Timeout));
            // Whoever hears the answer and asks again gets a new one.
            drop(flight);
            tell.send_replace(Some(said));
        });
        landing
    }
}

async fn landed(mut landing: Landing) -> Outcome {
    match landing.wait_for(Option::is_some).await {
        Ok(said) => said.clone().unwrap_or(Err(NameFault::Timeout)),
        // The task is gone without a word: it panicked, or the runtime ends.
        Err(_) => Err(NameFault::Timeout),
    }
}

/// Takes the question out of the map at its end, also at a panic.
struct Flight {
    view: Arc<View>,
    question: Question,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.view.under_way.map().remove(&self.question);
    }
}
