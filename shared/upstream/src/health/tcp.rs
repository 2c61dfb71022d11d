//! Asks an instance by a connection alone.
//!
//! In: an endpoint and the service's TLS. Out: well when a connection came about, the handshake of TLS included, or a stable code of failure.
//! Never: sends a byte.

use wire::tls::client::ClientTls;

use crate::endpoint::Endpoint;
use crate::health::place::Place;
use crate::health::standing::Outcome;

/// Asks one instance.
pub(super) struct TcpProbe(Place);

impl TcpProbe {
    pub(super) fn new(port: Option<u16>, endpoint: &Endpoint) -> Self {
        Self(Place::of(endpoint, port, None))
    }

    /// Connects once.
    pub(super) async fn ask(&self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        self.0.connect(endpoint, tls).await.map(|_| None)
    }
}
