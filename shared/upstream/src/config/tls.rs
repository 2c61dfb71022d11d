//! From TLS material as written to a client that can connect.
//!
//! In: files and names. Out: `wire`'s client. Refuses: files that cannot be used, half a pair, peers of no known form, a server without a name.
//! Never: a client without verification.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use wire::tls::certificate::Certificate;
use wire::tls::client::{ClientTerms, ClientTls};
use wire::tls::peers::{PeerList, SanPattern};
use wire::tls::provider::TlsMinimum;
use wire::tls::roots::Roots;

use crate::config::protocol::ProtocolConfig;
use crate::plan::discover::DiscoverPlan;

/// TLS towards instances.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceTlsConfig {
    /// PEM file of the authorities whose certificates are believed.
    pub ca: String,
    /// PEM file of the certificate chain that we show.
    #[serde(default)]
    pub certificate: Option<String>,
    /// PEM file of its private key.
    #[serde(default)]
    pub key: Option<String>,
    /// The name asked for and proved by the instance; by default the discovered name (for SRV without `_service._proto`).
    #[serde(default)]
    pub server_name: Option<String>,
    /// `dns:NAME` or `uri:spiffe://…`: the names of which an instance must prove one, instead of `server_name`.
    #[serde(default)]
    pub peers: Vec<String>,
}

impl InstanceTlsConfig {
    /// Checks the TLS material at `key`; the name to ask for follows from `discover` unless it is written.
    pub fn check(
        &self,
        key: &str,
        files: &Files,
        discover: Option<&DiscoverPlan>,
        protocol: ProtocolConfig,
        report: &mut Report,
    ) -> Option<ClientTls> {
        let before = report.complaints().len();
        let roots = self.roots(key, files, report);
        let certificate = self.certificate(key, files, report);
        let peers = self.peers(key, report);
        let server_name = self.server_name(key, discover, report);
        if report.complaints().len() > before {
            return None;
        }
        let terms = ClientTerms {
            roots: roots?,
            certificate,
            server_name: server_name?,
            peers,
            minimum: TlsMinimum::default(),
            alpn: vec![protocol.alpn()],
        };
        match ClientTls::new(&terms) {
            Ok(tls) => Some(tls),
            Err(fault) => {
                // The files were found good before.
                report.complain(&format!("{key}.server_name"), fault.what, fault.remedy);
                None
            }
        }
    }

    fn roots(&self, key: &str, files: &Files, report: &mut Report) -> Option<Roots> {
        let roots = Roots::File(files.watched(&self.ca));
        match roots.load() {
            Ok(_) => Some(roots),
            Err(fault) => {
                report.complain(&format!("{key}.ca"), format!("{}: {}", fault.file, fault.what), fault.remedy);
                None
            }
        }
    }

    fn certificate(&self, key: &str, files: &Files, report: &mut Report) -> Option<Certificate> {
        match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(_), None) => {
                report.complain(&format!("{key}.certificate"), "a certificate without its key cannot be shown", "set key as well");
                None
            }
            (None, Some(_)) => {
                report.complain(&format!("{key}.key"), "a key without its certificate cannot be used", "set certificate as well");
                None
            }
            (Some(chain), Some(private)) => {
                let (chain, private) = (files.watched(chain), files.watched(private));
                match Certificate::load_client_again(&chain, &private, Clock::system().now_s(), |digest| files.is_in_use(digest)) {
                    Ok(certificate) => Some(certificate),
                    Err(fault) => {
                        let part = if private.as_os_str() == fault.file.as_str() { "key" } else { "certificate" };
                        report.complain(&format!("{key}.{part}"), format!("{}: {}", fault.file, fault.what), fault.remedy);
                        None
                    }
                }
            }
        }
    }

    fn peers(&self, key: &str, report: &mut Report) -> Option<PeerList> {
        let mut patterns = Vec::with_capacity(self.peers.len());
        for (index, text) in self.peers.iter().enumerate() {
            match SanPattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(fault) => report.complain(&format!("{key}.peers[{index}]"), fault.what, fault.remedy),
            }
        }
        (!patterns.is_empty()).then(|| PeerList::new(patterns))
    }

    fn server_name(&self, key: &str, discover: Option<&DiscoverPlan>, report: &mut Report) -> Option<String> {
        if let Some(name) = &self.server_name {
            return Some(name.clone());
        }
        match discover? {
            // No certificate holds the final dot that a name may have here (RFC 6125 §6.4, RFC 6066 §3).
            DiscoverPlan::Dns { name, .. } => Some(name.trim_end_matches('.').to_owned()),
            // The name that the operator wrote is the one to prove (RFC 6125 §2.3): an SRV target comes from DNS, which proves nothing.
            DiscoverPlan::Srv { name } => {
                Some(name.trim_end_matches('.').split('.').skip_while(|label| label.starts_with('_')).collect::<Vec<_>>().join("."))
            }
            DiscoverPlan::Static(_) | DiscoverPlan::File { .. } | DiscoverPlan::Unix(_) => {
                // A list of peers that names one host names the server as well.
                if let Some(name) = self.peers.iter().find_map(|peer| peer.strip_prefix("dns:").filter(|name| !name.contains('*'))) {
                    return Some(name.to_owned());
                }
                // A peer that was complained about may have been meant to name it.
                if self.peers.iter().any(|peer| SanPattern::parse(peer).is_err()) {
                    return None;
                }
                let what = "instances that are listed by address have no name to ask for";
                report.complain(&format!("{key}.server_name"), what, "set server_name to the DNS name in their certificates");
                None
            }
        }
    }
}
