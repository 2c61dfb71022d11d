//! What tests are made of: the rig that starts both tiers as processes, the fleet with two of each, the ledger, chaos, the raw client and its
//! HTTP/2 frames, the crowd, and the house rules.

pub mod chaos;
pub mod crowd;
pub mod fleet;
pub mod frames;
pub mod house;
pub mod ledger;
pub mod raw;
pub mod rig;
