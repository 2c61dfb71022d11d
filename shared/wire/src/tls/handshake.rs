//! Why a handshake failed, in words that stay the same.
//!
//! In: what tokio-rustls or rustls said. Out: one stable word for the connection record and the metric. Never: repeats to a peer what it
//! was told here, or puts the peer's own bytes into a word.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// The client asked for no name, or for one that no certificate serves.
pub const NO_CERTIFICATE_FOR_NAME: &str = "tls-no-certificate-for-name";

/// A handshake that did not come to its end.
#[derive(Debug)]
pub struct HandshakeFault {
    /// One of the words of [`handshake_reason`] or [`NO_CERTIFICATE_FOR_NAME`].
    pub reason: &'static str,
    /// The name that the client asked for, once it has said so.
    pub sni: Option<Arc<str>>,
    /// What the libraries said, for the diagnostic log.
    pub source: io::Error,
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.source)
    }
}

impl std::error::Error for HandshakeFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl HandshakeFault {
    pub(crate) fn of(source: io::Error, sni: Option<Arc<str>>) -> Self {
        Self { reason: handshake_reason(&source), sni, source }
    }
}

/// The word for an error of tokio-rustls: rustls' own error inside, or the socket's.
#[must_use]
pub fn handshake_reason(error: &io::Error) -> &'static str {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return tls_reason(inner);
    }
    match error.kind() {
        io::ErrorKind::TimedOut => "tls-timeout",
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => "tls-closed-early",
        io::ErrorKind::InvalidData => "tls-malformed",
        _ => "tls-socket-failed",
    }
}

/// The word for an error of rustls.
#[must_use]
pub fn tls_reason(error: &Error) -> &'static str {
    match error {
        Error::NoCertificatesPresented => "peer-certificate-missing",
        Error::InvalidCertificate(error) => certificate_reason(error),
        Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => "peer-certificate-invalid",
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "tls-no-common-version",
        Error::PeerIncompatible(_) => "tls-no-common-parameters",
        Error::NoApplicationProtocol => "tls-no-common-protocol",
        Error::AlertReceived(AlertDescription::CertificateRequired) => "tls-peer-demands-certificate",
        Error::AlertReceived(AlertDescription::UnrecognisedName) => "tls-peer-knows-no-such-name",
        Error::AlertReceived(AlertDescription::AccessDenied) => "tls-peer-denies-us",
        Error::AlertReceived(_) => "tls-alert-from-peer",
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord
        | Error::UnsupportedNameType => "tls-malformed",
        Error::PeerMisbehaved(_) | Error::DecryptError => "tls-peer-misbehaved",
        _ => "tls-failed",
    }
}

fn certificate_reason(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::ApplicationVerificationFailure => "peer-not-allowed",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "peer-certificate-expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "peer-certificate-not-yet-valid",
        CertificateError::UnknownIssuer => "peer-certificate-untrusted",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "peer-certificate-other-name",
        _ => "peer-certificate-invalid",
    }
}
