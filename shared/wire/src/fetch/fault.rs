//! Why a document could not be fetched.
//!
//! The texts may be logged: they hold no path, no query and no byte of an answer.

use std::error::Error;
use std::io;

use crate::resolver::dialler::AddressRefused;
use crate::resolver::fault::NameFault;
use crate::tls::handshake::tls_reason;

/// Causes nest; an error with more layers than this is cut.
const LAYERS_MAX: usize = 16;

/// Why a document could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    /// Not an absolute URL with a host, or one with a user name in it.
    #[error("the address is not a URL, or has a user name in it")]
    UrlMalformed,
    /// Neither https, nor http where that is allowed.
    #[error("only https is fetched here")]
    SchemeRefused,
    /// A link-local or metadata address.
    #[error("the address belongs to those that nothing is fetched from")]
    AddressRefused,
    /// The host's name gave no address.
    #[error("the host cannot be resolved: {0}")]
    Name(NameFault),
    /// The handshake failed; the word is one of `tls::handshake`.
    #[error("the TLS handshake failed: {0}")]
    Tls(&'static str),
    /// No connection came about.
    #[error("no connection: {0}")]
    Connect(String),
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The answer points elsewhere.
    #[error("the answer is a redirect; none is followed")]
    RedirectRefused,
    /// Another status than 200.
    #[error("the answer has status {0}")]
    Status(u16),
    /// Another content type than JSON, or none, or two.
    #[error("the answer is not declared as JSON")]
    NotJson,
    /// More bytes than allowed.
    #[error("the answer is larger than {bytes_max} bytes")]
    TooLarge {
        /// The ceiling.
        bytes_max: usize,
    },
    /// The connection broke, or the answer is no HTTP.
    #[error("the answer broke off: {0}")]
    Broken(String),
}

impl FetchFault {
    /// The stable word for logs, metrics and the admin API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UrlMalformed => "url-malformed",
            Self::SchemeRefused => "scheme-refused",
            Self::AddressRefused => "address-refused",
            Self::Name(_) => "name-unresolved",
            Self::Tls(_) => "tls-failed",
            Self::Connect(_) => "connect-failed",
            Self::Timeout => "timeout",
            Self::RedirectRefused => "redirect-refused",
            Self::Status(_) => "status",
            Self::NotJson => "not-json",
            Self::TooLarge { .. } => "too-large",
            Self::Broken(_) => "broken",
        }
    }

    /// The innermost cause that we know says most; the text of reqwest itself is left out, for it quotes the URL.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut detail = String::from("unknown cause");
        let mut layer: Option<&(dyn Error + 'static)> = error.source();
        for _ in 0..LAYERS_MAX {
            let Some(cause) = layer else { break };
            if let Some(known) = known(cause) {
                return known;
            }
            detail = cause.to_string();
            layer = inside(cause);
        }
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect(detail)
        } else {
            Self::Broken(detail)
        }
    }
}

fn known(cause: &(dyn Error + 'static)) -> Option<FetchFault> {
    if cause.is::<AddressRefused>() {
        return Some(FetchFault::AddressRefused);
    }
    if let Some(fault) = cause.downcast_ref::<NameFault>() {
        return Some(FetchFault::Name(fault.clone()));
    }
    cause.downcast_ref::<rustls::Error>().map(|error| FetchFault::Tls(tls_reason(error)))
}

/// An `io::Error` hides what it wraps from `source`, which goes on behind it.
fn inside<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}
