//! What a finished handshake agreed on.
//!
//! In: a server connection of rustls. Out: `TlsFacts` for the connection, its record and the rooms. Never: reads a certificate that no
//! verifier accepted; rustls gives out a peer's chain only after its verifier has.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::{CipherSuite, CommonState, NamedGroup, ProtocolVersion, ServerConnection};

use crate::connection::{PeerIdentity, TlsFacts};
use crate::tls::coverage::ServedFor;
use crate::tls::peers::SubjectNames;

/// The facts of a finished server handshake in which the certificate of `served_for` was served; `None` while it is still going on.
#[must_use]
pub fn facts(connection: &ServerConnection, served_for: ServedFor) -> Option<TlsFacts> {
    if connection.is_handshaking() {
        return None;
    }
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "1.3",
        ProtocolVersion::TLSv1_2 => "1.2",
        _ => return None,
    };
    Some(TlsFacts {
        version,
        cipher: cipher_name(connection.negotiated_cipher_suite()?.suite()),
        group: connection.negotiated_key_exchange_group().map(|group| group_name(group.name())),
        sni: connection.server_name().map(Arc::from),
        peer: peer(connection),
        served_for,
    })
}

/// Who the other side proved to be, on either side of a handshake; `None` where it showed nothing.
#[must_use]
pub fn peer(connection: &CommonState) -> Option<Arc<PeerIdentity>> {
    let leaf = connection.peer_certificates()?.first()?;
    let names = SubjectNames::in_der(leaf)?;
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, leaf).as_ref());
    let dns = names.dns.len();
    Some(Arc::new(PeerIdentity { dns, names: names.dns.into_iter().chain(names.uris).collect(), fingerprint }))
}

/// The suites that our provider has, under their IANA names; rustls prints those of TLS 1.3 otherwise.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        _ => "unknown",
    }
}

/// Names of the IANA registry of supported groups.
fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        NamedGroup::MLKEM768 => "MLKEM768",
        NamedGroup::MLKEM1024 => "MLKEM1024",
        NamedGroup::X25519 => "x25519",
        NamedGroup::secp256r1 => "secp256r1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::secp521r1 => "secp521r1",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::{cipher_name, group_name};
    use crate::tls::provider::provider;

    #[test]
    fn everything_that_our_provider_may_agree_on_has_a_name() {
        let provider = provider();
        for suite in &provider.cipher_suites {
            assert_ne!(cipher_name(suite.suite()), "unknown", "{suite:?}");
        }
        for group in &provider.kx_groups {
            assert_ne!(group_name(group.name()), "unknown", "{group:?}");
        }
        assert_eq!(provider.kx_groups.first().map(|group| group_name(group.name())), Some("X25519MLKEM768"));
    }
}
