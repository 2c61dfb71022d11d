//! TLS as both tiers speak it, in both directions.
//!
//! In: files of certificates, keys and roots, and lists of peers that may speak. Out: configurations of rustls that accept and connect, and
//! facts of finished handshakes. Refuses: names nobody serves, peers nobody listed, keys that do not fit. Never: early data, a certificate
//! by default, a key in a log line.

pub mod certificate;
mod chain;
pub mod client;
pub mod clients;
pub mod coverage;
pub mod expiry;
pub mod facts;
pub mod fault;
pub mod handshake;
mod made;
mod names;
pub mod peers;
pub mod provider;
mod resumption;
pub mod roots;
pub mod server;

#[cfg(test)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
