//! What an attempt has shown of its instance is told to the service.
//!
//! In: an attempt that has ended. Out: at most one observation. Never: tells what the request's client did or how long it
//! would wait, or what we did ourselves.

use std::sync::Arc;
use std::time::Instant;

use http::Response;
use wire::body::Body;

use crate::endpoint::Endpoint;
use crate::fault::SendFault;
use crate::moment;
use crate::observed::{Observed, What};
use crate::send::journey::{Failed, Journey};

impl Journey<'_> {
    /// Tells how the attempt that was begun at `begun` ended.
    pub(super) fn tell(&self, endpoint: &Arc<Endpoint>, begun: Instant, attempted: &Result<Response<Body>, Failed>) {
        let now = Instant::now();
        // A client's pauses within its upload are not the instance's.
        let waited_from = self.patience.progress().map_or(begun, |progress| progress.moved_at().max(begun));
        let took = now.saturating_duration_since(waited_from);
        let what = match attempted {
            Ok(response) => Some(What::answered(response, || self.service.unix_s())),
            // The attempt's own time was shorter than what a connection may take.
            Err(Failed::Unsent(_, SendFault::Timeout)) => None,
            Err(Failed::Unsent(..)) => Some(What::ConnectFailed),
            Err(Failed::Broken(_)) => Some(What::Reset),
            Err(Failed::Final(SendFault::Protocol)) => Some(What::Protocol),
            Err(Failed::Late(_) | Failed::Final(SendFault::Timeout)) => Some(What::Timeout),
            Err(Failed::Final(SendFault::Deadline)) if self.patience.is_excused() => None,
            Err(Failed::Final(SendFault::Deadline)) => What::deadline(took),
            // An instance that refuses what it has not looked at does as it should.
            Err(Failed::Stale(_) | Failed::Unprocessed(_) | Failed::Final(_)) => None,
        };
        if let Some(what) = what {
            let observed = Observed { begun_ms: moment::of(begun), now_ms: moment::of(now), took, what };
            self.service.observe(endpoint, &observed);
        }
    }
}
