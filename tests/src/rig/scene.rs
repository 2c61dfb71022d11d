//! What a rig is made of: the two configurations as text, which a test may change before they are raised.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use gwctl::stage::dns_server::DnsServer;
use gwctl::stage::link_key::LinkKey;
use gwctl::stage::zone_handle::ZoneHandle;

use crate::rig::Rig;
use crate::rig::binaries::Binaries;
use crate::rig::certificates::Certificates;
use crate::rig::folder::Folder;
use crate::rig::instances::Instances;
use crate::rig::process::Process;
use crate::rig::stage::Stage;

/// The scene of the demo, on free ports. Fields are the texts of both configurations; `{…}` are filled in when it is raised.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Tier 1's file.
    pub security: String,
    /// Tier 2's file.
    pub routing: String,
}

impl Default for Scene {
    fn default() -> Self {
        Self { security: SECURITY.to_owned(), routing: ROUTING.to_owned() }
    }
}

impl Scene {
    /// Replaces a piece of tier 1's file, which must be there.
    #[must_use]
    pub fn security(mut self, from: &str, to: &str) -> Self {
        assert!(self.security.contains(from), "tier 1's file has no {from}");
        self.security = self.security.replace(from, to);
        self
    }

    /// Replaces a piece of tier 2's file, which must be there.
    #[must_use]
    pub fn routing(mut self, from: &str, to: &str) -> Self {
        assert!(self.routing.contains(from), "tier 2's file has no {from}");
        self.routing = self.routing.replace(from, to);
        self
    }

    /// Starts everything and waits until both tiers are ready.
    #[must_use]
    pub fn raise(self, binaries: &Binaries) -> Rig {
        self.raise_after(binaries, |_, _| {})
    }

    /// As [`Scene::raise`], for configurations that name more files: `fill` is given the folder, and the authority's certificate, before a tier starts.
    #[must_use]
    pub fn raise_after(self, binaries: &Binaries, fill: impl FnOnce(&Folder, &str)) -> Rig {
        let folder = Arc::new(Folder::new());
        let certificates = Arc::new(Certificates::write(&folder));
        fill(&folder, &certificates.ca_pem());
        let stage = Stage::start();
        let key = LinkKey::new(Some("link-1")).unwrap_or_else(|fault| panic!("{fault}"));
        folder.write("link.pem", key.pem());
        folder.write("link.jwks.json", &key.jwks().unwrap_or_else(|fault| panic!("{fault}")));

        let issuer = stage.issuer();

        let instances = Instances::default();
        let mut zone_text = String::from("routing-gw.demo. 1 A 127.0.0.1\n");
        for number in 1..=3 {
            let name = format!("orders-{number}");
            let address = instances.start(&stage, "orders", &name, (Ipv4Addr::LOCALHOST, 0));
            let _ = writeln!(zone_text, "{}", srv_lines(number, address.port()));
        }
        let users = instances.start(&stage, "users", "users-1", (Ipv4Addr::LOCALHOST, 0)).port();
        instances.start(&stage, "users", "users-2", (Ipv4Addr::new(127, 0, 0, 2), users));
        zone_text.push_str("users.demo. 1 A 127.0.0.1\nusers.demo. 1 A 127.0.0.2\n");
        let zone = ZoneHandle::new("demo.", &zone_text).unwrap_or_else(|fault| panic!("{fault}"));
        let dns = stage.run(DnsServer::bind((Ipv4Addr::LOCALHOST, 0).into(), zone.clone())).unwrap_or_else(|fault| panic!("{fault}"));
        let dns_address = dns.address().unwrap_or_else(|fault| panic!("{fault}"));
        stage.handle().spawn(dns.serve());

        let fill = |text: &str| {
            text.replace("{dns}", &dns_address.to_string()).replace("{issuer}", issuer.url()).replace("{users}", &users.to_string())
        };
        folder.write("routing.yaml", &fill(&self.routing));
        let routing = Process::start("routing-gw", binaries.routing, &folder.file("routing.yaml"), &folder.file("r.sock"));
        let link = if self.routing.contains("unix:r.link") { String::new() } else { routing.listener("link").port().to_string() };
        folder.write("security.yaml", &fill(&self.security).replace("{link}", &link));
        let security = Process::start("security-gw", binaries.security, &folder.file("security.yaml"), &folder.file("s.sock"));
        Rig { security, routing, instances, zone, issuer, certificates, folder, stage }
    }
}

/// The zone lines of an `orders` instance.
#[must_use]
pub fn srv_lines(number: u16, port: u16) -> String {
    format!("_http._tcp.orders.demo. 1 SRV 0 1 {port} orders-{number}.demo.\norders-{number}.demo. 1 A 127.0.0.1")
}

/// Tier 1 as in the demo.
const SECURITY: &str = r#"
workers: 2
listen:
  - { name: https, address: "127.0.0.1:0", tls: { certificates: [ { chain: server.pem, key: server.key } ] } }
  - { name: redirect, address: "127.0.0.1:0", redirect_to: "https://localhost:8443" }
admin: { address: "unix:s.sock" }
dns: { servers: ["{dns}"] }
trust: { trace: ["127.0.0.0/8"] }
issuers:
  demo: { issuer: "{issuer}", audiences: [gateway], algorithms: [ES256], keys: { discovery: true }, allow_http: true, claims: [role] }
rules:
  - { path: "/", authenticate: require, issuers: [demo] }
  - { path: "/public/", authenticate: anonymous }
link:
  audience: routing-gw
  discover: { kind: dns, name: routing-gw.demo, port: {link} }
  tls: { ca: ca.pem, certificate: security-gw.pem, key: security-gw.key, peers: ["dns:routing-gw.demo"] }
  signing_key: { file: link.pem, kid: link-1 }
records:
  sinks:
    - { to: { file: access.log }, kinds: [request], flush: 50ms }
    - { to: { file: security.events.log }, kinds: [connection, stream, checkpoint], flush: 50ms }
drain: { wait: 200ms, deadline: 5s }
"#;

/// Tier 2 as in the demo.
const ROUTING: &str = r#"
workers: 2
listen:
  - name: link
    address: "127.0.0.1:0"
    tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ], clients: { ca: ca.pem, peers: ["dns:security-gw.demo"] } }
admin: { address: "unix:r.sock" }
dns: { servers: ["{dns}"] }
vouch: { issuers: [security-gw], audience: routing-gw, jwks: link.jwks.json }
services:
  orders: { discover: { kind: srv, name: _http._tcp.orders.demo }, ttl: { min: 200ms, max: 1s } }
  users: { discover: { kind: dns, name: users.demo, port: {users} }, balance: round_robin }
routes:
  - { name: read-orders, path: "/orders/{id}", methods: [GET, HEAD], service: orders, require: { scopes: ["orders:read"] } }
  - { name: write-orders, path: "/orders/", methods: [POST, PUT, PATCH, DELETE], service: orders, require: { scopes: ["orders:write"] } }
  - { name: read-users, path: "/users/{id}", methods: [GET, HEAD], service: users, require: { scopes: ["users:read"] }, claim_headers: { x-user-role: role } }
  - { name: public, path: "/public/", service: orders, public: true }
records:
  sinks:
    - { to: { file: routing.events.log }, kinds: [connection, checkpoint], flush: 50ms }
drain: { wait: 200ms, deadline: 5s }
"#;
