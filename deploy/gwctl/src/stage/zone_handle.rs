//! The zone that a DNS server answers from, held in common by the server and by who changes it.
//!
//! In: a new zone, or a way to misbehave. Out: the zone as it is now, and a count of questions, so that a test can wait
//! for an answer that was given after its change. Never: a zone half changed: it is swapped whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::stage::zone::{Zone, ZoneFault};

/// How the server behaves towards every question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// As DNS wants it.
    Answers,
    /// Says nothing, as a dead server does.
    Silent,
    /// SERVFAIL (RFC 1035 §4.1.1), as a server does that lost its zone.
    Fails,
    /// REFUSED, as a server does that does not know this asker.
    Refuses,
    /// What is no message, behind the id of the question.
    Garbles,
    /// The answer to another question: its id is not that of the one that was asked, as of somebody who guesses.
    Forges,
}

/// A zone that can be changed while it is served. Clones share it.
#[derive(Clone, Debug)]
pub struct ZoneHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    origin: String,
    now: RwLock<(Arc<Zone>, Conduct)>,
    questions: AtomicU64,
}

impl ZoneHandle {
    /// The zone below `origin`, from the lines of `text`.
    ///
    /// # Errors
    /// When `text` is not a zone.
    pub fn new(origin: &str, text: &str) -> Result<Self, ZoneFault> {
        let zone = Arc::new(Zone::parse(origin, text)?);
        Ok(Self(Arc::new(Shared { origin: origin.to_owned(), now: RwLock::new((zone, Conduct::Answers)), questions: AtomicU64::new(0) })))
    }

    /// Replaces the zone by the lines of `text`.
    ///
    /// # Errors
    /// When `text` is not a zone; the former one stays.
    pub fn set(&self, text: &str) -> Result<(), ZoneFault> {
        self.replace(Zone::parse(&self.0.origin, text)?);
        Ok(())
    }

    /// Replaces the zone by one that was read before.
    pub fn replace(&self, zone: Zone) {
        self.0.now.write().unwrap_or_else(PoisonError::into_inner).0 = Arc::new(zone);
    }

    /// Changes how the server behaves from the next question on.
    pub fn conduct(&self, conduct: Conduct) {
        self.0.now.write().unwrap_or_else(PoisonError::into_inner).1 = conduct;
    }

    /// The name at the top of the zone, as `demo.`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// The zone and the conduct of this moment.
    #[must_use]
    pub fn now(&self) -> (Arc<Zone>, Conduct) {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Questions that have come in since the start, over UDP and TCP, answered or not.
    #[must_use]
    pub fn questions(&self) -> u64 {
        self.0.questions.load(Ordering::SeqCst)
    }

    /// Counts one question.
    pub(crate) fn asked(&self) {
        self.0.questions.fetch_add(1, Ordering::SeqCst);
    }
}
