//! Tier 2: decides whether the caller may, finds the instances of the service, picks one, and forwards.
//!
//! The modules stand in the order in which a request meets them; `corridor` walks it through. It believes tier 1 and nobody else.

pub mod corridor;

pub mod health;

pub mod vouch;
pub mod route;
pub mod authorize;
pub mod introduce;
pub mod forward;

pub mod account;
pub mod decision;
pub mod facts;
pub mod refusal;
pub mod requirement;
mod trusted;

mod services;
mod split_views;

pub mod config;
pub mod tier;
