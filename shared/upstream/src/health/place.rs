//! Where and by what name an instance is asked how it does.
//!
//! In: an endpoint, and the port and host of the probe where they differ. Out: a connection of its own, and the name to ask by. Never: takes a
//! place below the service's ceiling; leaves a connection behind.
//!
//! Every check makes a new connection: one that is kept would go on answering where a client that comes is turned away, and it is those that an
//! instance is for.

use http::HeaderValue;
use wire::tls::client::ClientTls;

use crate::connect::dial;
use crate::endpoint::{Address, Endpoint};
use crate::stream::Layer;

/// Where an instance answers checks.
pub(super) struct Place {
    /// Another port of the instance; its own where there is none.
    other: Option<Endpoint>,
    host: HeaderValue,
}

impl Place {
    /// That of `endpoint`, at `port` and by the name of `host` where these are given.
    pub(super) fn of(endpoint: &Endpoint, port: Option<u16>, host: Option<HeaderValue>) -> Self {
        let other = match (endpoint.address(), port) {
            (Address::Tcp(address), Some(port)) if address.port() != port => {
                let address = Address::Tcp((address.ip(), port).into());
                Some(Endpoint::new(address, endpoint.host().map(Box::from)))
            }
            _ => None,
        };
        let asked = other.as_ref().unwrap_or(endpoint);
        let host = host.or_else(|| HeaderValue::from_str(&name(asked)).ok());
        Self { other, host: host.unwrap_or_else(|| HeaderValue::from_static("localhost")) }
    }

    /// The name to ask by.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A new connection. One that reaches the instance's own port forgives it that others did not.
    pub(super) async fn connect(&self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Result<Layer, &'static str> {
        let asked = self.other.as_ref().unwrap_or(endpoint);
        let layer = dial(asked, tls).await.map_err(|fault| {
            tracing::debug!(instance = asked.name(), %fault, "a check found no way in");
            "connect"
        })?;
        if self.other.is_none() {
            endpoint.connected();
        }
        Ok(layer)
    }
}

/// The name that led to it, or its address; always with the port.
fn name(endpoint: &Endpoint) -> String {
    match (endpoint.address(), endpoint.host()) {
        (Address::Tcp(address), Some(host)) => format!("{host}:{}", address.port()),
        (Address::Tcp(address), None) => address.to_string(),
        (Address::Unix(_), _) => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_asked_by_its_name_and_at_its_port_unless_others_are_given() {
        let named = Endpoint::new(Address::Tcp("10.0.0.1:80".parse().expect("address")), Some("a.demo".into()));
        let bare = Endpoint::new(Address::Tcp("[::1]:80".parse().expect("address")), None);
        let unix = Endpoint::new(Address::Unix("/run/a.sock".into()), None);
        let host = |endpoint, port, host: Option<&'static str>| {
            Place::of(endpoint, port, host.map(HeaderValue::from_static)).host().to_str().expect("text").to_owned()
        };
        assert_eq!(host(&named, None, None), "a.demo:80");
        assert_eq!(host(&named, Some(9_000), None), "a.demo:9000");
        assert_eq!(host(&named, Some(9_000), Some("b.demo")), "b.demo");
        assert_eq!(host(&bare, None, None), "[::1]:80");
        assert_eq!(host(&unix, None, None), "localhost");
        let other = Place::of(&named, Some(9_000), None).other.expect("another port");
        assert_eq!(other.name(), "10.0.0.1:9000");
        assert!(Place::of(&named, Some(80), None).other.is_none());
    }
}
