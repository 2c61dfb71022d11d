//! Whether a request may go to its service now: the breaker, the places and the queue, in this order, before an instance is picked.
//!
//! In: a service, the patience of a request. Out: its pass, and the one who hears how it ends. Refuses: while the breaker is open, when the queue is
//! full, when the wait was too long. Never: starts what can no longer be answered in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use wire::body::Body;

use crate::breaker::{Breaker, Change, Say};
use crate::fault::SendFault;
use crate::gate::{Gate, GateFault, Pass};
use crate::measures::Measures;
use crate::moment;
use crate::patience::Patience;
use crate::plan::breaker::BreakerPlan;
use crate::service::Service;

/// What a service keeps of its limits over all generations of its configuration.
#[derive(Debug)]
pub(crate) struct Guard {
    gate: Arc<Gate>,
    breaker: Breaker,
}

/// Hears how a request ends; one that is dropped has heard nothing.
#[derive(Debug)]
pub(crate) struct Witness<'s> {
    service: &'s Service,
    plan: Option<BreakerPlan>,
    begun_ms: u64,
    /// Where this is the request that decides whether the breaker closes.
    claim: Option<u64>,
}

/// A request that may go.
#[derive(Debug)]
pub(crate) struct Admitted<'s> {
    pub(crate) pass: Pass,
    pub(crate) witness: Witness<'s>,
    /// How long it waited for its place.
    pub(crate) queued: Duration,
}

impl Guard {
    /// For a service that was not there before.
    pub(crate) fn new(measures: &Measures) -> Arc<Self> {
        Arc::new(Self { gate: Gate::new(measures.limits.waiting.clone()), breaker: Breaker::default() })
    }

    /// The service has no breaker any more: one that comes later begins anew, and nothing is shown as open that is not there.
    pub(crate) fn without_breaker(&self, measures: &Measures) {
        if !self.breaker.is_closed() && self.breaker.reset(moment::now_ms()) {
            measures.limits.breaker_open.set(0);
        }
    }
}

/// Lets a request in whose body `streams` or not, after a wait where there is no place.
pub(crate) async fn admit<'s>(service: &'s Service, patience: &Patience, streams: bool) -> Result<Admitted<'s>, SendFault> {
    let (guard, plan) = (service.guard(), service.plan());
    if patience.time_left() == Some(Duration::ZERO) {
        return Err(SendFault::Deadline);
    }
    if plan.breaker.is_none() {
        // A request of the configuration before, which had one, may have opened it after this one came to serve.
        guard.without_breaker(service.measures());
    }
    // Before the queue, so that nobody waits for what is refused then.
    if plan.breaker.is_some()
        && let Some(left_ms) = guard.breaker.shut(moment::now_ms(), streams)
    {
        return Err(open(left_ms));
    }
    let (pass, queued) = match guard.gate.try_enter(&plan.limits) {
        Some(pass) => (pass, Duration::ZERO),
        None => wait(service, patience).await?,
    };
    let begun_ms = moment::now_ms();
    // Again, because it may have opened meanwhile.
    let claim = match plan.breaker.map(|plan| guard.breaker.ask(&plan, begun_ms, streams)) {
        None | Some(Say::Go) => None,
        Some(Say::Try(claim)) => Some(claim),
        Some(Say::Wait(left_ms)) => return Err(open(left_ms)),
    };
    Ok(Admitted { pass, witness: Witness { service, plan: plan.breaker, begun_ms, claim }, queued })
}

/// A place in turn, and how long that took.
async fn wait(service: &Service, patience: &Patience) -> Result<(Pass, Duration), SendFault> {
    let (begun, limits) = (Instant::now(), &service.plan().limits);
    let within = limits.queue_wait.min(patience.time_left().unwrap_or(Duration::MAX));
    let entered = service.guard().gate.wait(limits, within).await;
    let queued = begun.elapsed();
    if !matches!(entered, Err(GateFault::Full)) {
        service.measures().limits.queued.observe_duration(queued);
    }
    let is_late = patience.time_left() == Some(Duration::ZERO);
    match entered {
        Ok(pass) if !is_late => Ok((pass, queued)),
        Err(GateFault::Full) => Err(SendFault::QueueFull),
        Err(GateFault::Late) if !is_late => Err(SendFault::QueueTimeout),
        Ok(_) | Err(GateFault::Late) => Err(SendFault::Deadline),
    }
}

fn open(left_ms: u64) -> SendFault {
    SendFault::BreakerOpen { left: Duration::from_millis(left_ms) }
}

impl Witness<'_> {
    /// The request has ended so; `is_excused` where the time that passed was its client's.
    pub(crate) fn hear(mut self, sent: &Result<Response<Body>, SendFault>, is_excused: bool) {
        self.tell(self.plan.and_then(|plan| failed(&plan, sent, is_excused)));
    }

    fn tell(&mut self, failed: Option<bool>) {
        let Some(plan) = self.plan.take() else { return };
        let breaker = &self.service.guard().breaker;
        let change = match (self.claim, failed) {
            (Some(claim), failed) => breaker.tried(&plan, claim, moment::now_ms(), failed),
            (None, Some(failed)) => breaker.ended(&plan, self.begun_ms, moment::now_ms(), failed),
            (None, None) => Change::None,
        };
        match change {
            Change::None => return,
            Change::Opened => {
                tracing::warn!(service = self.service.name(), "a service fails and is not asked for a moment: its breaker is open")
            }
            Change::Closed => tracing::info!(service = self.service.name(), "a service answers again: its breaker is closed"),
        }
        self.service.measures().limits.breaker_open.set(i64::from(!breaker.is_closed()));
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        // Its client has gone.
        self.tell(None);
    }
}

/// Whether the service has failed; `None` where the end tells nothing of it: a client's fault, a limit of ours, a deadline of the
/// client's own, or one that passed while the client was waited for.
fn failed(plan: &BreakerPlan, sent: &Result<Response<Body>, SendFault>, is_excused: bool) -> Option<bool> {
    let is_gateway_error =
        |status| matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
    match sent {
        Ok(response) => Some(!plan.connections_only && is_gateway_error(response.status())),
        Err(SendFault::ConnectFailed | SendFault::Reset) => Some(true),
        Err(SendFault::Protocol | SendFault::Timeout) => (!plan.connections_only).then_some(true),
        Err(SendFault::Deadline) => (!plan.connections_only && !is_excused).then_some(true),
        Err(
            SendFault::NoInstances
            | SendFault::AllEjected
            | SendFault::BreakerOpen { .. }
            | SendFault::QueueFull
            | SendFault::QueueTimeout
            | SendFault::ClientStalled
            | SendFault::Overloaded
            | SendFault::RequestBody(_),
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: BreakerPlan = BreakerPlan {
        failure_percent: 100,
        requests_min: 1,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
        connections_only: false,
    };

    fn answered(status: u16) -> Result<Response<Body>, SendFault> {
        Ok(Response::builder().status(status).body(Body::Empty).expect("response"))
    }

    #[test]
    fn what_a_client_does_and_what_is_ours_is_no_failure_of_a_service() {
        let hears = |sent: Result<Response<Body>, SendFault>| failed(&PLAN, &sent, false);
        for (status, wanted) in [(200, false), (404, false), (429, false), (500, false), (502, true), (503, true), (504, true)] {
            assert_eq!(hears(answered(status)), Some(wanted), "{status}");
        }
        for fault in [SendFault::ConnectFailed, SendFault::Reset, SendFault::Protocol, SendFault::Timeout, SendFault::Deadline] {
            assert_eq!(hears(Err(fault)), Some(true));
        }
        for fault in [SendFault::ClientStalled, SendFault::Overloaded, SendFault::QueueFull, SendFault::RequestBody("gone".into())] {
            assert_eq!(hears(Err(fault)), None);
        }
        assert_eq!(failed(&PLAN, &Err(SendFault::Deadline), true), None, "a client may be in any hurry");
    }

    #[test]
    fn the_link_is_not_judged_by_what_services_answer() {
        let plan = BreakerPlan { connections_only: true, ..PLAN };
        assert_eq!(failed(&plan, &answered(503), false), Some(false));
        assert_eq!(failed(&plan, &Err(SendFault::Deadline), false), None);
        assert_eq!(failed(&plan, &Err(SendFault::ConnectFailed), false), Some(true));
    }
}
