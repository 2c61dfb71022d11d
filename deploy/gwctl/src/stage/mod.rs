//! The parts around the gateway that a demo and a test need: certificates, an issuer, a DNS server, instances.
//!
//! Each part is a value with an `async fn serve(self …)` that the caller runs where it likes, and a process of its own
//! behind a hidden subcommand. Never: used by a gateway in production.

pub mod answer_body;
pub mod certificates;
pub mod dns;
pub mod dns_server;
pub mod instance;
pub mod issuer;
pub mod ledger;
pub mod link_key;
pub mod process;
pub mod token_key;
pub mod websocket;
pub mod wish;
pub mod zone;
pub mod zone_file;
pub mod zone_handle;
