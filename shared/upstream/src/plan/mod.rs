//! A service as meant: everything resolved, nothing optional that means "default".

pub mod balance;
pub mod breaker;
pub mod discover;
pub mod health;
pub mod limits;
pub mod outliers;
pub mod pool;
pub mod protocol;
pub mod retries;
pub mod timeouts;

use std::sync::Arc;

use wire::tls::client::ClientTls;

use crate::plan::balance::BalancePlan;
use crate::plan::breaker::BreakerPlan;
use crate::plan::discover::{DiscoverPlan, TtlPlan};
use crate::plan::health::HealthPlan;
use crate::plan::limits::LimitsPlan;
use crate::plan::outliers::OutliersPlan;
use crate::plan::pool::PoolPlan;
use crate::plan::protocol::Protocol;
use crate::plan::retries::RetriesPlan;
use crate::plan::timeouts::TimeoutsPlan;

/// One service, checked. After this nothing about it can be misconfigured. Equal plans ask for the same service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    /// Its name: the last part of its key in the configuration.
    pub name: Arc<str>,
    /// How its instances are found.
    pub discover: DiscoverPlan,
    /// The clamp around the time to live of answers.
    pub ttl: TtlPlan,
    /// How one of them is picked.
    pub balance: BalancePlan,
    /// What is spoken to them.
    pub protocol: Protocol,
    /// How connections to them are secured; `None` is plain HTTP.
    pub tls: Option<ClientTls>,
    /// How long things may take.
    pub timeouts: TimeoutsPlan,
    /// The ceilings of its connections.
    pub pool: PoolPlan,
    /// Attempts at other instances.
    pub retries: RetriesPlan,
    /// Requests under way at a time, and those that wait.
    pub limits: LimitsPlan,
    /// The circuit breaker, if there is one.
    pub breaker: Option<BreakerPlan>,
    /// How instances are checked actively, if they are.
    pub health: Option<HealthPlan>,
    /// When an instance is left alone for what its answers have shown.
    pub outliers: OutliersPlan,
}

impl ServicePlan {
    /// The name of its sticky cookie, where it has one.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.balance.sticky.as_ref().map(|sticky| &*sticky.cookie)
    }
}
