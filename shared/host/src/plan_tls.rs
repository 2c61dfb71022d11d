//! The TLS of one listener as meant: certificates and keys loaded and checked, clients by list.
//!
//! In: a `tls` section. Out: a [`ServerTls`]. Refuses, all at once: pairs that cannot serve, patterns that cannot be understood, a list that lets nobody
//! in. Never: turns a section with a mistake in it into one that asks for less.

use std::path::Path;

use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use wire::tls::certificate::Certificate;
use wire::tls::clients::ClientAuth;
use wire::tls::peers::{PeerList, SanPattern};
use wire::tls::provider::TlsMinimum;
use wire::tls::server::{ServerTerms, ServerTls};

use crate::config::{ClientsConfig, TlsConfig, TlsVersion};

/// Checks the section at `key`; `None` when there was a complaint.
pub(crate) fn check(config: &TlsConfig, key: &str, files: &Files, report: &mut Report) -> Option<ServerTls> {
    let now = Clock::system().now_s();
    let mut certificates = Vec::new();
    for (index, pair) in config.certificates.iter().enumerate() {
        let (chain, private) = (files.watched(&pair.chain), files.watched(&pair.key));
        match Certificate::load_again(&chain, &private, now, |digest| files.is_in_use(digest)) {
            Ok(certificate) => {
                tell_if_over(&certificate, &chain, now);
                certificates.push(certificate);
            }
            Err(fault) => {
                let part = if private.as_os_str() == fault.file.as_str() { "key" } else { "chain" };
                let what = format!("{}: {}", fault.file, fault.what);
                report.complain(&format!("{key}.certificates[{index}].{part}"), what, fault.remedy);
            }
        }
    }
    let clients = config.clients.as_ref().map(|config| clients(config, &format!("{key}.clients"), files, report));
    // Clients that failed their check must not become "nobody is asked".
    let clients = match clients {
        Some(auth) => Some(auth?),
        None => None,
    };
    if certificates.len() != config.certificates.len() {
        return None;
    }
    let minimum = match config.minimum {
        TlsVersion::V1_2 => TlsMinimum::Tls12,
        TlsVersion::V1_3 => TlsMinimum::Tls13,
    };
    let terms = ServerTerms { certificates, clients, minimum, alpn: vec![b"h2", b"http/1.1"] };
    ServerTls::new(&terms).map_err(|fault| report.complain(&format!("{key}.certificates"), fault.what, fault.remedy)).ok()
}

/// It serves now, and whoever verifies it refuses us: the operator must hear of it at every reload.
fn tell_if_over(certificate: &Certificate, chain: &Path, now: u64) {
    if certificate.expiry().is_over(now) {
        let subject = &certificate.expiry().subject;
        tracing::error!(subject, chain = %chain.display(), "a certificate has ended and is served on until it is renewed: renew it");
    }
}

fn clients(config: &ClientsConfig, key: &str, files: &Files, report: &mut Report) -> Option<ClientAuth> {
    let mut patterns = Vec::new();
    for (index, text) in config.peers.iter().enumerate() {
        match SanPattern::parse(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(fault) => report.complain(&format!("{key}.peers[{index}]"), fault.what, fault.remedy),
        }
    }
    if config.peers.is_empty() {
        report.complain_of_absence(
            &format!("{key}.peers"),
            "no client could ever connect",
            "list the names of those who may, as in dns:security-gw.demo",
        );
    }
    let whole = !patterns.is_empty() && patterns.len() == config.peers.len();
    match ClientAuth::load(&files.watched(&config.ca), PeerList::new(patterns)) {
        Ok(auth) if config.require => whole.then_some(auth),
        Ok(auth) => whole.then(|| auth.optional()),
        Err(fault) => {
            report.complain(&format!("{key}.ca"), format!("{}: {}", fault.file, fault.what), fault.remedy);
            None
        }
    }
}
