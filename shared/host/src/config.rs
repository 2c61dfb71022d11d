//! The sections of a tier's file that are about the process: where it listens, who may connect, how it drains.
//!
//! In: YAML by serde. Out: the file as written; [`crate::plan`] turns it into what is meant. Never: reads a file, opens a socket.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use settings::units::Span;

use crate::hsts::HstsConfig;

/// One place where connections are accepted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// The name in records, metrics, `/generation`, and in LISTEN_FDNAMES for an inherited descriptor.
    pub name: String,
    /// `127.0.0.1:8443`, `[::]:8443` or `unix:/run/gateway.sock`; port 0 takes a free one.
    pub address: String,
    /// Certificates, and who may connect with theirs.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Who may connect to a Unix socket; such an address demands it.
    #[serde(default)]
    pub unix: Option<UnixConfig>,
    /// Serves requests without TLS on TCP. Whoever can reach the network can read and change them; it is logged at every start.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Answers every request with a redirect to this origin, such as `https://gateway.example`, and serves nothing else.
    #[serde(default)]
    pub redirect_to: Option<String>,
    /// Tells browsers with every answer to come by TLS alone; only with `tls`.
    #[serde(default)]
    pub hsts: Option<HstsConfig>,
    /// Load balancers that tell whose connection they pass on, by a PROXY header before TLS.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocolConfig>,
    /// Answers `GET /.well-known/jwks.json` with the public keys by which this tier's word can be checked, and serves nothing else. Whoever can change
    /// the answer on its way can forge that word, so it needs `tls`, a Unix socket or `allow_plaintext`.
    #[serde(default)]
    pub publish_keys: bool,
}

/// Who tells the client's address by the PROXY protocol, version 1 or 2.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocolConfig {
    /// Networks of the load balancers, such as `10.0.0.0/8`. Every connection from them must begin with a PROXY header, and one from elsewhere must not.
    pub from: Vec<String>,
}

/// The server's side of TLS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Each is served for the DNS names inside its leaf; a name that none has is refused.
    pub certificates: Vec<CertificateConfig>,
    /// Asks for a client certificate.
    #[serde(default)]
    pub clients: Option<ClientsConfig>,
    /// The lowest version spoken.
    #[serde(default)]
    pub minimum: TlsVersion,
    /// Serves requests for hosts that the certificate of their connection does not cover, instead of 421. Only behind a CDN or proxy that asks for a name
    /// of its own by SNI; tier 2 believes its peer's host in any case.
    #[serde(default)]
    pub any_authority: bool,
}

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// The file with the leaf first, then its intermediates.
    pub chain: PathBuf,
    /// The file with the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Who may connect by certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsConfig {
    /// The PEM file with the roots that client certificates must descend from.
    pub ca: PathBuf,
    /// Subject alternative names, one of which a client must have: `dns:security-gw.demo`, `uri:spiffe://demo/security-gw`.
    pub peers: Vec<String>,
    /// Refuses whoever shows no certificate. With `false` they are let in; a certificate that is shown must be good and listed all the same.
    #[serde(default = "yes")]
    pub require: bool,
}

fn yes() -> bool {
    true
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Who may connect to a Unix socket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnixConfig {
    /// The mode of the socket's file, octal in quotes.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// The user ids that may connect, as the kernel tells them (`SO_PEERCRED`).
    pub uids: Vec<u32>,
}

fn default_mode() -> String {
    "0660".to_owned()
}

/// The operator's door. GET only.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// A loopback address with a port, or `unix:PATH`.
    pub address: String,
    /// Who may connect to a Unix socket; by default root and the user this process runs as.
    #[serde(default)]
    pub unix: Option<UnixConfig>,
}

/// How the process leaves after SIGTERM.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// How long connections are still accepted while readiness already fails, so that those in front can look elsewhere.
    pub wait: Span,
    /// How long requests in flight may take to finish, counted from the end of `wait`.
    pub deadline: Span,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { wait: Span::secs(5), deadline: Span::secs(30) }
    }
}

/// How a new executable takes over.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeConfig {
    /// How long the new process may take until all that it needs is ready; 100ms to 10m. It accepts nothing before, and if it does not become ready
    /// it ends, and the former process goes on.
    pub ready_within: Span,
}

impl Default for UpgradeConfig {
    fn default() -> Self {
        Self { ready_within: Span::secs(30) }
    }
}

/// The least that `upgrade.ready_within` may be: a process cannot start in less.
pub const READY_WITHIN_MIN: Span = Span::millis(100);
/// The most that `upgrade.ready_within` may be.
pub const READY_WITHIN_MAX: Span = Span::secs(600);

/// When the configuration is read again by itself.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadConfig {
    /// How often the files that the configuration was read from are looked at; `null` for never. A change is taken once it has stood for two looks.
    pub watch: Option<Span>,
}

impl Default for ReloadConfig {
    fn default() -> Self {
        Self { watch: Some(Span::secs(1)) }
    }
}

/// Which servers answer for names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsConfig {
    /// Addresses of DNS servers, `IP:PORT` each; empty means those of resolv.conf.
    pub servers: Vec<String>,
}

/// Where the documents that are fetched (discovery, key sets) and trace collectors may lie.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// Networks that documents are fetched from although they are link-local or known to hold the credentials of cloud machines, in CIDR form. Nothing
    /// is fetched from such addresses else, wherever a name or a document leads.
    pub allow: Vec<String>,
}

/// Which roots the documents that are fetched (discovery, key sets) and trace collectors must descend from.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrustRootsConfig {
    /// A PEM file; without one, the roots that Mozilla's programme carries.
    pub ca_file: Option<PathBuf>,
}
