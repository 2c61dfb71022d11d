//! The end of an instance that no answer names any more: from the first answer that left it out to the end of its last request.
//!
//! In: when it vanished and came back, and the ends of its requests. Out: one observation in seconds, once it is gone and nothing is under way there.
//! Never: costs a request more than a relaxed load while the instance is named.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use telemetry::histogram::Histogram;

/// What is noted of the end of one instance.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// The first answer that left it out ([`crate::moment`]); 0 while it is named.
    vanished_ms: AtomicU64,
    /// The last end of a request since then.
    ended_ms: AtomicU64,
    /// Where the end is counted, once it has been let go.
    convergence: OnceLock<Histogram>,
}

impl Farewell {
    /// An answer has left it out; later ones change nothing.
    pub(crate) fn vanish(&self, now_ms: u64) {
        if self.vanished_ms.load(Ordering::Relaxed) == 0 {
            self.ended_ms.store(now_ms, Ordering::Relaxed);
            self.vanished_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// It is named again.
    pub(crate) fn come_back(&self) {
        self.vanished_ms.store(0, Ordering::Relaxed);
    }

    /// Whether an answer has left it out.
    pub(crate) fn has_begun(&self) -> bool {
        self.vanished_ms.load(Ordering::Relaxed) != 0
    }

    /// One of its requests has ended.
    pub(crate) fn ended(&self, now_ms: u64) {
        self.ended_ms.store(now_ms, Ordering::Relaxed);
    }

    /// It is let go, and its end counts here.
    pub(crate) fn depart(&self, convergence: &Histogram) {
        let _ = self.convergence.set(convergence.clone());
    }

    /// It was let go and nothing is under way: counts its end, once.
    pub(crate) fn close(&self) {
        let Some(convergence) = self.convergence.get() else { return };
        let vanished_ms = self.vanished_ms.swap(0, Ordering::Relaxed);
        if vanished_ms != 0 {
            let took_ms = self.ended_ms.load(Ordering::Relaxed).saturating_sub(vanished_ms);
            convergence.observe(took_ms as f64 / 1_000.0);
        }
    }
}
