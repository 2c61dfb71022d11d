//! From a configuration file's text to a checked value, and to a newer one.
//!
//! In: YAML text and an environment. Out: the caller's own serde type, and a report with every complaint at once, each with its place and its
//! remedy. Refuses: unknown keys, wrong types, unset variables, documents beyond the ceilings. Never: reads anything at run time by name.

pub mod clock;
pub mod files;
pub mod live;
pub mod names;
pub mod read;
pub mod report;
pub mod secret;
pub mod sight;
pub mod units;

mod choice;
mod fault;
mod interpolate;
mod keys;
mod mask;
mod scalars;
mod search;
mod tree;
mod walk;
mod wild;
mod words;
mod yaml;
