//! What is spoken to the instances of a service.

/// What is spoken to the instances of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: one request at a time on a connection.
    Http1,
    /// HTTP/2, known before without TLS and agreed on by ALPN with it: many requests at once on a connection.
    Http2,
}
