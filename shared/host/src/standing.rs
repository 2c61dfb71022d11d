//! Where the process stands with its configuration, for those who only look: the operator's door, the drain.
//!
//! In: each generation once every worker has adopted it, and each reload that was refused. Out: the generation that serves, what was set aside, what
//! the last refusal was about. Never: holds a generation after the next one serves.

use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use tokio::sync::watch;

use crate::load::Former;
use crate::plan::HostPlan;
use crate::tier::{Aside, Health, Tier};

/// What stands now.
pub(crate) struct Standing<T: Tier> {
    /// The generation that all workers have adopted.
    pub(crate) generation: u64,
    pub(crate) host: Arc<HostPlan>,
    pub(crate) plan: Arc<T::Plan>,
    pub(crate) tier: Arc<T>,
    /// The admin pages of this generation's tier.
    pub(crate) pages: Router,
    /// The configuration as it may be seen.
    pub(crate) shown: Arc<Value>,
    pub(crate) aside: Arc<[Aside]>,
    /// The first complaint of the last reload, if that was refused.
    pub(crate) failure: Option<Arc<str>>,
}

impl<T: Tier> Clone for Standing<T> {
    fn clone(&self) -> Self {
        Self {
            generation: self.generation,
            host: Arc::clone(&self.host),
            plan: Arc::clone(&self.plan),
            tier: Arc::clone(&self.tier),
            pages: self.pages.clone(),
            shown: Arc::clone(&self.shown),
            aside: Arc::clone(&self.aside),
            failure: self.failure.clone(),
        }
    }
}

/// Sees what stands; cheap to clone.
pub(crate) type StandingWatch<T> = watch::Receiver<Standing<T>>;

impl<T: Tier> Standing<T> {
    /// What the next reading is compared with.
    pub(crate) fn former(&self) -> Former<T> {
        Former { host: Arc::clone(&self.host), tier: Arc::clone(&self.plan), shown: Arc::clone(&self.shown) }
    }

    /// The state of the configuration among the checks of `/readyz`. Whatever is wrong with a file, the process serves.
    pub(crate) fn health(&self) -> Vec<Health> {
        let generation = self.generation;
        let detail = match &self.failure {
            None => format!("generation {generation} serves"),
            Some(complaint) => format!("generation {generation} serves, for the last reload was refused: {complaint}"),
        };
        let aside = self.aside.iter().map(|aside| {
            let first = aside.complaints.first().map(ToString::to_string).unwrap_or_default();
            Health { name: aside.name.clone(), ready: true, detail: format!("set aside, {}: {first}", aside.detail) }
        });
        [Health { name: "configuration".to_owned(), ready: true, detail }].into_iter().chain(aside).collect()
    }
}
