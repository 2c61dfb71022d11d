//! Whether a client may go on with a session that it began on another connection, and by which keys.
//!
//! In: nothing, or the resumption of a listener before a reload. Out: what rustls makes and opens tickets with. Tickets are sealed by keys that live
//! in this process alone and are made anew every six hours; each opens tickets for six hours more, and is forgotten then, so that whoever steals a key
//! learns little. Never: early data; a resumed session where clients prove themselves.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// Sessions of clients of TLS 1.2 that take no tickets, at most.
const SESSIONS_MAX: usize = 256;

/// Tickets that a client of TLS 1.3 gets, so that it can open a second connection beside the first one.
const TICKETS_OF_A_CONNECTION: usize = 2;

/// The keys of the tickets of a listener, and the sessions that it keeps; clones are the same.
#[derive(Clone)]
pub(crate) struct Resumption(Option<Kept>);

#[derive(Clone)]
struct Kept {
    ticketer: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// With new keys. They cannot be had without random numbers; then every connection makes a whole handshake.
    pub(crate) fn new() -> Self {
        match Ticketer::new() {
            Ok(ticketer) => Self(Some(Kept { ticketer, sessions: ServerSessionMemoryCache::new(SESSIONS_MAX) })),
            Err(error) => {
                tracing::warn!(%error, "no session tickets: every TLS connection makes a whole handshake");
                Self::refused()
            }
        }
    }

    /// A resumed session is believed without its certificate, so a client that proves itself does so on every connection.
    pub(crate) fn refused() -> Self {
        Self(None)
    }

    pub(crate) fn apply(&self, config: &mut ServerConfig) {
        config.max_early_data_size = 0;
        match &self.0 {
            Some(kept) => {
                config.ticketer = Arc::clone(&kept.ticketer);
                config.session_storage = Arc::clone(&kept.sessions);
                config.send_tls13_tickets = TICKETS_OF_A_CONNECTION;
            }
            None => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
        }
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Resumption(tickets)" } else { "Resumption(refused)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_its_own_keys_and_no_others_and_for_twelve_hours_at_most() {
        let (one, other) = (Resumption::new(), Resumption::new());
        let ticketer = |resumption: &Resumption| Arc::clone(&resumption.0.as_ref().unwrap().ticketer);
        let ticket = ticketer(&one).encrypt(b"session").unwrap();
        assert_eq!(ticketer(&one.clone()).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(ticketer(&other).decrypt(&ticket), None);
        assert_eq!(ticketer(&one).lifetime(), 12 * 60 * 60);
        assert!(!format!("{one:?}").contains("key"));
    }
}
