//! How long one request may take, above all until its answer begins.
//!
//! In: the errand's deadline, the service's limits, the upload's progress. Out: when to look again, and which limit has passed.
//! Never: counts a client's slowness against the instance, or waits for a client without end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::errand::Errand;
use crate::fault::SendFault;
use crate::plan::ServicePlan;
use crate::upload::Progress;

/// What a limit that has passed ends.
pub(crate) enum Over {
    /// The request.
    Request(SendFault),
    /// The present attempt.
    Try,
}

/// The limits of one request over all its attempts.
pub(crate) struct Patience {
    deadline: Option<Instant>,
    /// What the deadline left when the upload was begun: with a body that streams it counts anew from each frame that the instance took.
    budget: Option<Duration>,
    /// Whether the deadline is the client's own, and so is its passing.
    is_hurried: bool,
    /// When the whole exchange must have ended, whatever moves.
    ends: Option<Instant>,
    /// Of that what the service's own options say.
    total: Option<Instant>,
    /// Whether the time that has passed says nothing of the instance.
    is_excused: Cell<bool>,
    per_try: Option<Duration>,
    /// When the present attempt was begun.
    tried: Instant,
    first_byte: Option<Duration>,
    upload_idle: Duration,
    progress: Option<Rc<Progress>>,
}

impl Patience {
    /// For a request that is begun at `begun`.
    pub(crate) fn new(begun: Instant, errand: &Errand, plan: &ServicePlan) -> Self {
        let total = plan.timeouts.total.map(|total| begun + total);
        Self {
            deadline: errand.deadline,
            budget: None,
            is_hurried: errand.is_hurried,
            total,
            is_excused: Cell::new(false),
            ends: total.into_iter().chain(errand.ends).min(),
            per_try: plan.timeouts.per_try,
            tried: begun,
            first_byte: plan.timeouts.first_byte,
            upload_idle: plan.timeouts.upload_idle,
            progress: None,
        }
    }

    /// From now on the upload says how long to wait.
    pub(crate) fn watch(&mut self, progress: Rc<Progress>) {
        self.budget = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.progress = Some(progress);
    }

    /// The upload, where the request's body streams.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.as_deref()
    }

    /// The same, to send it again.
    pub(crate) fn upload(&self) -> Option<&Rc<Progress>> {
        self.progress.as_ref()
    }

    /// The time until the deadline as it stands now, if there is one.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.deadline_now().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// When the whole exchange must have ended, if ever.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// The fault of a request whose time has passed. It says nothing of the instance, nor of the service, where the client is what everybody waits
    /// for, or where no limit has passed but the client's own.
    pub(crate) fn deadline(&self) -> SendFault {
        let now = Instant::now();
        let is_ours = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let is_waited_for = self.progress.as_ref().is_some_and(|progress| progress.waiting_since().is_some());
        let is_late = is_ours(self.total) || !self.is_hurried && is_ours(self.counted());
        self.is_excused.set(is_waited_for || !is_late);
        SendFault::Deadline
    }

    /// Whether the time that has passed, if any has, says nothing of the instance.
    pub(crate) fn is_excused(&self) -> bool {
        self.is_excused.get()
    }

    /// Begins another attempt.
    pub(crate) fn try_again(&mut self) {
        self.tried = Instant::now();
    }

    /// What is left of the time of the present attempt until something of it is sent, if that is bounded.
    pub(crate) fn try_left(&self) -> Option<Duration> {
        let rest = self.per_try.map(|per_try| per_try.saturating_sub(self.tried.elapsed()));
        rest.into_iter().chain(self.time_left()).min()
    }

    fn deadline_now(&self) -> Option<Instant> {
        self.counted().into_iter().chain(self.ends).min()
    }

    /// The errand's deadline as it stands now.
    fn counted(&self) -> Option<Instant> {
        match &self.progress {
            Some(progress) => self.budget.map(|budget| progress.due(budget)),
            None => self.deadline,
        }
    }

    /// When the present attempt has taken too long. Of an upload that moves it counts from the last piece, as everything does.
    fn try_ends(&self) -> Option<Instant> {
        self.per_try.map(|within| match &self.progress {
            Some(progress) => progress.due(within),
            None => self.tried + within,
        })
    }

    /// When an instance that was sent to at `begun` has been silent too long.
    fn silent_at(&self, begun: Instant) -> Option<Instant> {
        self.first_byte.map(|within| match &self.progress {
            Some(progress) => progress.due(within),
            None => begun + within,
        })
    }

    /// When to ask [`Patience::over`] again; `None` when nothing limits the request.
    pub(crate) fn look_at(&self, begun: Instant) -> Option<Instant> {
        // A client may fall silent right after this look; one ceiling later at the most that must come to light.
        let stalled = self
            .progress
            .as_ref()
            .filter(|progress| progress.is_running())
            .map(|progress| progress.waiting_since().unwrap_or_else(Instant::now) + self.upload_idle);
        stalled.into_iter().chain(self.silent_at(begun)).chain(self.try_ends()).chain(self.deadline_now()).min()
    }

    /// The limit that has passed for a request whose present attempt sent it at `begun`.
    pub(crate) fn over(&self, begun: Instant) -> Option<Over> {
        let now = Instant::now();
        let stalled = self.progress.as_ref().and_then(|progress| progress.waiting_since()).map(|since| since + self.upload_idle);
        if stalled.is_some_and(|at| at <= now) {
            return Some(Over::Request(SendFault::ClientStalled));
        }
        if self.deadline_now().is_some_and(|at| at <= now) {
            return Some(Over::Request(self.deadline()));
        }
        if self.silent_at(begun).is_some_and(|at| at <= now) {
            return Some(Over::Request(SendFault::Timeout));
        }
        self.try_ends().is_some_and(|at| at <= now).then_some(Over::Try)
    }
}
