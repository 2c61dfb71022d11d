//! What tests are made of: the rig that starts both tiers as processes, and the house rules.

pub mod house;
pub mod rig;
