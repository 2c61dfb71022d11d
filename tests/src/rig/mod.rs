//! The rig: both tiers as processes of their own, with an issuer, a DNS zone and scripted instances around them.
//!
//! A test reads `rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders")`. Every port is free, every wait has a bound.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a rig that cannot be built fails its test")]

pub mod binaries;
pub mod certificates;
pub mod client;
pub mod folder;
pub mod instances;
pub mod kernel;
pub mod knock;
pub mod pid;
pub mod process;
pub mod quiet;
pub mod reply;
pub mod scene;
pub mod stage;
pub mod wait;

use std::net::SocketAddr;
use std::sync::Arc;

use gwctl::stage::issuer::{Issuer, user};
use gwctl::stage::zone_handle::ZoneHandle;
use serde_json::Value;

use crate::rig::binaries::Binaries;
use crate::rig::certificates::Certificates;
use crate::rig::client::Identity;
use crate::rig::folder::Folder;
use crate::rig::instances::Instances;
use crate::rig::knock::Knock;
use crate::rig::process::Process;
use crate::rig::reply::Reply;
use crate::rig::scene::Scene;
use crate::rig::stage::Stage;
use crate::rig::wait::until;

/// Both tiers and what stands around them. Dropping it ends every process that it started.
pub struct Rig {
    /// Tier 1.
    pub security: Process,
    /// Tier 2.
    pub routing: Process,
    /// The instances of all services.
    pub instances: Instances,
    /// The zone that the tiers resolve in.
    pub zone: ZoneHandle,
    /// The OpenID issuer.
    pub issuer: Issuer,
    /// The authority and leaves of this rig.
    pub certificates: Arc<Certificates>,
    /// Where its files lie; removed at the end.
    pub folder: Arc<Folder>,
    stage: Stage,
}

impl Rig {
    /// Two tiers over mTLS, three `orders` instances by SRV, two `users` instances by A records: the demo's scene.
    #[must_use]
    pub fn two_tier(binaries: &Binaries) -> Self {
        Scene::default().raise(binaries)
    }

    /// A request to the front door, described as `METHOD /path`.
    pub fn knock(&self, line: &str) -> Knock<'_> {
        Knock::new(self, line)
    }

    /// A token of the demo user `editor`.
    #[must_use]
    pub fn editor(&self) -> String {
        self.token("editor", 600)
    }

    /// A token of the demo user `reader`.
    #[must_use]
    pub fn reader(&self) -> String {
        self.token("reader", 600)
    }

    /// A token of a demo user that ends in so many seconds; a negative number means that it ended before.
    #[must_use]
    pub fn token(&self, name: &str, life_s: i64) -> String {
        let user = user(name).unwrap_or_else(|| panic!("the issuer knows no user {name}"));
        self.issuer.mint(user, user.scopes, life_s).unwrap_or_else(|fault| panic!("the token of {name} cannot be made: {fault}"))
    }

    /// A client that knows the rig's authority and has no certificate of its own.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { ca_pem: self.certificates.ca_pem(), leaf: None, server: "localhost" }
    }

    /// Where clients connect.
    #[must_use]
    pub fn door(&self) -> SocketAddr {
        self.security.listener("https")
    }

    /// The access record of an answered request, once it is written.
    #[must_use]
    pub fn record_of(&self, reply: &Reply) -> Value {
        let id = reply.header("x-request-id").to_owned();
        until("the access record is written", || self.records().into_iter().find(|record| record["request_id"] == *id))
    }

    /// All access records written so far.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.folder.lines("access.log")
    }

    /// All connection records of a tier written so far: `security` or `routing`.
    #[must_use]
    pub fn events(&self, tier: &str) -> Vec<Value> {
        self.folder.lines(&format!("{tier}.events.log"))
    }

    /// Where futures of the stage run.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }
}
