//! The work beside the request path that keeps one issuer's keys fresh.
//!
//! In: an issuer and a source of documents. Out: nothing; newer keys are pushed into the issuer. It reads at once, then regularly with jitter, sooner
//! after failures, and when a request asks. Never: drops keys because a fetch failed; they stay until newer ones are there.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use settings::clock::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::issuer::{Issuer, Settled};
use crate::source;

/// Keeps `issuer` fresh until the other end of `alive` is gone.
pub(crate) async fn keep(issuer: Arc<Issuer>, clock: Clock, mut alive: watch::Receiver<()>) {
    loop {
        issuer.begin();
        let outcome = tokio::select! {
            _ = alive.changed() => return,
            outcome = source::read(&issuer.plan, &*issuer.source) => outcome,
        };
        settle(&issuer, outcome, &clock);
        let next = Instant::now() + jittered(issuer.rest());
        tokio::select! {
            _ = alive.changed() => return,
            () = sleep_until(next) => {}
            () = issuer.kicked() => {}
        }
    }
}

fn settle(issuer: &Issuer, outcome: Result<crate::key_set::KeySet, String>, clock: &Clock) {
    let name = &*issuer.plan.name;
    let fault = outcome.as_ref().err().cloned().unwrap_or_default();
    let warnings = outcome.as_ref().map(|set| set.warnings.clone()).unwrap_or_default();
    match issuer.settle(outcome, clock.now_s()) {
        Settled::Newer => {
            for warning in warnings {
                tracing::warn!(issuer = name, "{warning}");
            }
            tracing::info!(issuer = name, "the issuer's keys were read");
        }
        Settled::FreshFault => tracing::warn!(issuer = name, fault, "the issuer's keys cannot be read; those held before stay in use"),
        Settled::Same | Settled::StaleFault => {}
    }
}

/// Up to a tenth earlier, so that many replicas do not ask an issuer all at once, and no interval becomes longer than configured.
fn jittered(rest: Duration) -> Duration {
    rest.mul_f64(rand::rng().random_range(0.9..=1.0))
}
