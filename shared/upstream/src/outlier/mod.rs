//! Passive health: an instance that answers badly is left alone for a while, without being asked how it does.
//!
//! In: what every attempt has shown (`observed`). Out: instances that a pick ranks last until they have shown that they are well. Refuses: to eject
//! for what a client did, for `429`, more than the service's share. Never: decides on the path of a request what can be decided beside it.

pub mod cause;
mod eject;
mod latency;
pub(crate) mod record;

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;

use crate::instances::{Instances, Terms};
use crate::moment;

/// How often instances are compared with each other.
const LOOK: Duration = Duration::from_secs(1);

/// Compares the instances of one service with each other until it is dropped; on the control runtime.
pub(crate) async fn keep_judged(instances: Weak<Instances>, terms: watch::Receiver<Terms>) {
    let mut before_ms = moment::now_ms();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(instances) = instances.upgrade() else { return };
        let plan = terms.borrow().outliers;
        let now_ms = moment::now_ms();
        instances.judge(before_ms, now_ms, &plan);
        before_ms = now_ms;
    }
}
