//! What a fleet is made of: the configurations of its four gateways as text, and the zone.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::fleet::muster::Muster;
use crate::fleet::seat::Seat;

/// What the tiers find around them.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The DNS server.
    pub dns: SocketAddr,
    /// The issuer's URL.
    pub issuer: String,
    /// What is started, and what it is made for.
    pub muster: Muster,
}

/// The file of one replica; `{…}` are filled in by its address, its number, and what stands around it. `variation` changes limits every time, and
/// every second and third time what is kept warm: the issuer, the service, the route, the link.
#[must_use]
pub fn config(seat: Seat, address: SocketAddr, around: &Surroundings, variation: usize) -> String {
    let (text, index) = match seat {
        Seat::Security(index) => (SECURITY, index),
        Seat::Routing(index) => (ROUTING, index),
        Seat::Instance(_) | Seat::Names => panic!("{seat} has no configuration"),
    };
    let terms = around.muster.terms();
    text.replace("{link}", terms.link)
        .replace("{service}", terms.service)
        .replace("{route}", terms.read_route)
        .replace("{write_route}", terms.write_route)
        .replace("{n}", &(index + 1).to_string())
        .replace("{address}", &address.to_string())
        .replace("{dns}", &around.dns.to_string())
        .replace("{issuer}", &around.issuer)
        .replace("{limit}", &(5_000 + variation).to_string())
        .replace("{second}", &(30 + variation % 2).to_string())
        .replace("{third}", &(30 + variation % 3).to_string())
}

/// The zone in which these processes are found.
#[must_use]
pub fn zone<'a>(found: impl Iterator<Item = &'a (Seat, SocketAddr)>) -> String {
    let mut text = String::new();
    for (seat, address) in found {
        let service = match seat {
            Seat::Security(_) | Seat::Names => continue,
            Seat::Routing(_) => LINK,
            Seat::Instance(_) => ORDERS,
        };
        let _ = writeln!(text, "{service}.demo. 1 SRV 0 1 {} {seat}.demo.\n{seat}.demo. 1 A {}", address.port(), address.ip());
    }
    text
}

/// The same names without a record of the kind that is asked for: there is something below them.
#[must_use]
pub fn bare_zone() -> String {
    [LINK, ORDERS].map(|service| format!("below.{service}.demo. 1 A 127.0.0.1\n")).concat()
}

/// The name at which tier 2 is found.
const LINK: &str = "_link._tcp.routing-gw";
/// The name at which instances are found.
const ORDERS: &str = "_http._tcp.orders";

/// Tier 1.
const SECURITY: &str = r#"
workers: 2
listen:
  - { name: https, address: "{address}", tls: { certificates: [ { chain: server.pem, key: server.key } ] } }
admin: { address: "unix:security-{n}.sock" }
dns: { servers: ["{dns}"] }
issuers:
  demo: { issuer: "{issuer}", audiences: [gateway], algorithms: [ES256], keys: { discovery: true }, allow_http: true, claims: [role], leeway: {second}s }
rules:
  - { path: "/", authenticate: require, issuers: [demo] }
link:
  audience: routing-gw
  discover: { kind: srv, name: _link._tcp.routing-gw.demo }
  tls: { ca: ca.pem, certificate: security-gw.pem, key: security-gw.key, peers: ["dns:routing-gw.demo"] }
  signing_key: { file: link.pem, kid: link-1 }
{link}limits: { in_flight_max: {limit} }
records:
  sinks:
    - { to: { file: access-{n}.log }, kinds: [request], flush: 50ms }
    - { to: { file: security-{n}.events.log }, kinds: [connection, stream, checkpoint], flush: 50ms }
drain: { wait: 500ms, deadline: 5s }
"#;

/// Tier 2.
const ROUTING: &str = r#"
workers: 2
listen:
  - name: link
    address: "{address}"
    tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ], clients: { ca: ca.pem, peers: ["dns:security-gw.demo"] } }
admin: { address: "unix:routing-{n}.sock" }
dns: { servers: ["{dns}"] }
vouch: { issuers: [security-gw], audience: routing-gw, jwks: link.jwks.json }
services:
  orders: { discover: { kind: srv, name: _http._tcp.orders.demo }, ttl: { min: 100ms, max: 300ms }, {service} }
limits: { in_flight_max: {limit} }
routes:
  - { name: read-orders, path: "/orders/{id}", methods: [GET, HEAD], service: orders, require: { scopes: ["orders:read"] }, {route} }
  - { name: write-orders, path: "/orders/", methods: [POST, PUT, PATCH, DELETE], service: orders, require: { scopes: ["orders:write"] }{write_route} }
records:
  sinks:
    - { to: { file: routing-{n}.events.log }, kinds: [connection, checkpoint], flush: 50ms }
drain: { wait: 1s, deadline: 5s }
"#;
