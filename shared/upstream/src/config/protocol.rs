//! What is spoken to the instances of a service, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plan::protocol::Protocol;

/// What is spoken to the instances of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolConfig {
    /// HTTP/1.1: one request at a time on a connection. WebSocket needs it.
    #[default]
    Http1,
    /// HTTP/2: many requests at once on a connection; without `tls` by prior knowledge (h2c), with it by ALPN. gRPC needs it.
    Http2,
}

impl ProtocolConfig {
    /// As meant.
    #[must_use]
    pub fn plan(self) -> Protocol {
        match self {
            Self::Http1 => Protocol::Http1,
            Self::Http2 => Protocol::Http2,
        }
    }

    /// Its name in TLS.
    #[must_use]
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}
