//! Which instance takes this request, and the connection to it.
//!
//! `config` → `service` (discovery pushes an `endpoints::EndpointSet`) → `pick` → `pool` or `connect` → `send`.
//! Tier 2 uses it towards services, tier 1 towards the replicas of routing-gw.

pub mod config;
pub mod plan;

pub mod discover;
pub mod endpoint;
pub mod endpoints;
mod instances;
mod levels;
pub mod lookup;
pub mod measures;
pub mod moment;
pub mod observed;
mod owners;
pub mod pages;
pub mod service;
pub mod snapshot;

pub mod health;
pub mod outlier;
pub mod pick;
mod speed;
mod stable_hash;

mod answer;
mod breaker;
mod budget;
mod carried;
mod ceiling;
mod connect;
mod gate;
mod guard;
mod link;
mod multiplex;
mod outgoing;
mod patience;
mod stream;
mod upload;

pub mod affinity;
pub mod cookies;
pub mod errand;
pub mod fault;
pub mod pool;
pub mod send;
mod sticky;
pub mod trip;
