//! What the peer of a connection proved when it was let in, to be held against later terms.
//!
//! In: the facts of a connection, and a listener as meant by now. Out: whether its peer may still come. Refuses: users that are listed no more, proxies
//! that are believed no more, certificates that the present authorities and names do not let in. Never: asks the peer again.

use std::net::SocketAddr;

use rustls_pki_types::CertificateDer;
use wire::connection::PeerAddress;
use wire::forwarded::is_in;

use crate::plan_listener::ListenerPlan;

/// What a peer proved.
#[derive(Debug)]
pub struct Proof {
    /// Who is at the other end.
    pub peer: PeerAddress,
    /// The proxy that told so.
    pub proxy: Option<SocketAddr>,
    /// The certificates that it showed and that were verified, the leaf first; empty for none. A handshake message bounds them (64 KiB).
    pub chain: Vec<CertificateDer<'static>>,
}

impl Proof {
    /// Whether it lets its peer in by `listener` at `now` (Unix seconds).
    pub(crate) fn suffices(&self, listener: &ListenerPlan, now: u64) -> bool {
        let user_may = match self.peer {
            PeerAddress::Unix { uid, .. } => listener.uids.contains(&uid),
            PeerAddress::Tcp(_) => true,
        };
        let proxy_may = self.proxy.is_none_or(|proxy| is_in(proxy.ip(), &listener.proxies));
        user_may && proxy_may && listener.tls.as_ref().is_none_or(|tls| tls.would_let_in(&self.chain, now))
    }
}
