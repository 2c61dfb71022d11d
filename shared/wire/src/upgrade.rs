//! Connections that stop speaking HTTP (RFC 9110 §7.8): the question is passed on, and after a 101 both ends are joined.
//!
//! In: a request that asks for an upgrade. Out: bytes both ways until either end closes. Never: upgrades what was not asked for.

use http::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

/// Bytes that went through a joined pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// From the client.
    pub inbound: u64,
    /// To the client.
    pub outbound: u64,
}

/// Writes the fields that ask the next hop for the protocol, or tell the former hop that it was granted.
pub fn name(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Carries bytes both ways until both directions have ended.
///
/// # Errors
/// Either end could not be taken over from HTTP, or broke.
pub async fn join(client: OnUpgrade, instance: OnUpgrade) -> Result<Passed, crate::body::BoxError> {
    let (client, instance) = (client.await?, instance.await?);
    let (mut client, mut instance) = (TokioIo::new(client), TokioIo::new(instance));
    let (inbound, outbound) = tokio::io::copy_bidirectional(&mut client, &mut instance).await?;
    Ok(Passed { inbound, outbound })
}
