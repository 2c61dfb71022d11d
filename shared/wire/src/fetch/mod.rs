//! Documents beside the request path: key sets, discovery documents; and the client that traces leave by.
//!
//! In: an address from the configuration, or from a document of an issuer. Out: the bytes of a JSON document, whole and below a ceiling.
//! Refuses: plain http unless it was allowed, redirects, other statuses than 200, other content than JSON, addresses where machines keep
//! their own credentials. Never: proxies from the environment, cookies, referrers, the machine's own roots, a repetition in silence.

pub mod fault;
pub mod otlp;
mod refused;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use reqwest::{Client, Response, Url};
use rustls::ClientConfig;
use settings::live::Live;

use crate::fetch::fault::FetchFault;
use crate::fetch::refused::is_refused;
use crate::resolver::Names;
use crate::resolver::dialler::Dialler;
use crate::tls::fault::CertificateFault;
use crate::tls::provider::{TlsMinimum, provider};
use crate::tls::roots::Believed;

/// How long name, connection and handshake may take together.
pub const CONNECT_MS_MAX: u64 = 5_000;
/// How long a whole fetch may take, its last byte included.
pub const FETCH_MS_MAX: u64 = 10_000;
/// Idle connections that are kept to one host, and for how long.
const IDLE_CONNECTIONS_MAX: usize = 2;
const IDLE_SECONDS_MAX: u64 = 60;

/// Whom fetches believe, and where they may lead.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchTerms {
    /// The authorities that servers of documents are proved by.
    pub roots: Believed,
    /// Networks from which documents are fetched although machines keep their own credentials in them.
    pub allowed: Arc<[IpNet]>,
}

impl FetchTerms {
    /// These roots, and nothing allowed that is refused by itself.
    #[must_use]
    pub fn of(roots: Believed) -> Self {
        Self { roots, allowed: Arc::default() }
    }
}

/// A client, and what it may reach.
#[derive(Clone)]
struct Reach {
    client: Client,
    allowed: Arc<[IpNet]>,
}

/// Fetches small documents; cheap to clone, and all clones hold to the same terms. It belongs to the runtime that its `Names` belongs to.
#[derive(Clone)]
pub struct Fetcher {
    reach: Live<Reach>,
    /// What this one holds to while the others do not yet.
    ahead: Option<Live<Option<Reach>>>,
    names: Arc<Names>,
    limits: FetchLimits,
}

/// How long a fetch may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Name, connection and handshake together.
    pub connect: Duration,
    /// The whole fetch.
    pub total: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self { connect: Duration::from_millis(CONNECT_MS_MAX), total: Duration::from_millis(FETCH_MS_MAX) }
    }
}

impl Fetcher {
    /// A fetcher that resolves by `names` and holds to `terms`.
    ///
    /// # Errors
    /// When the client for it cannot be set up.
    pub fn new(names: Arc<Names>, terms: &FetchTerms) -> Result<Self, CertificateFault> {
        Self::within(names, terms, FetchLimits::default())
    }

    /// As [`Fetcher::new`], with other limits.
    ///
    /// # Errors
    /// When the client for it cannot be set up.
    pub fn within(names: Arc<Names>, terms: &FetchTerms, limits: FetchLimits) -> Result<Self, CertificateFault> {
        Ok(Self { reach: Live::new(reach(&names, terms, limits)?), ahead: None, names, limits })
    }

    /// A fetcher for what is only about to be: it holds to `terms`, and nothing changes for this one until [`Fetcher::settle`].
    ///
    /// # Errors
    /// When the client for it cannot be set up.
    pub fn ahead(&self, terms: &FetchTerms) -> Result<Self, CertificateFault> {
        let next = reach(&self.names, terms, self.limits)?;
        Ok(Self { ahead: Some(Live::new(Some(next))), ..self.clone() })
    }

    /// What this one holds to all do from the next fetch on, those too that it was made from; connections that are open under the former terms are
    /// not used again. From here on it is as any other.
    pub fn settle(&self) {
        let Some(ahead) = &self.ahead else { return };
        if let Some(reach) = Option::clone(&ahead.load()) {
            self.reach.store(reach);
            ahead.store(None);
        }
    }

    /// Fetches a JSON document of at most `bytes_max` bytes; `http` is refused unless `allow_http`.
    ///
    /// # Errors
    /// See [`FetchFault`]; its text may be logged.
    pub async fn get_json(&self, url: &str, bytes_max: usize, allow_http: bool) -> Result<Bytes, FetchFault> {
        let reach = self.reach();
        let url = check_url(url, allow_http, &reach.allowed)?;
        let response = reach.client.get(url).header(ACCEPT, "application/json").send().await.map_err(|error| FetchFault::of(&error))?;
        check_head(&response)?;
        read(response, bytes_max).await
    }

    /// The client itself, for exporters that bring their own requests. Addresses that are refused stay refused where they come from names.
    #[must_use]
    pub fn client(&self) -> Client {
        self.reach().client
    }

    fn reach(&self) -> Reach {
        let ahead = self.ahead.as_ref().and_then(|ahead| Option::clone(&ahead.load()));
        ahead.unwrap_or_else(|| Reach::clone(&self.reach.load()))
    }
}

/// A client that resolves by `names` and holds to `terms`.
fn reach(names: &Arc<Names>, terms: &FetchTerms, limits: FetchLimits) -> Result<Reach, CertificateFault> {
    let setup = |error: &dyn fmt::Display| {
        CertificateFault::new("", format!("the client for fetches cannot be set up: {error}"), "check the trusted roots")
    };
    // No ALPN here: reqwest offers what it can speak, which is what it finds in the configuration.
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(TlsMinimum::Tls12.versions())
        .map_err(|error| setup(&error))?
        .with_root_certificates(terms.roots.store())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(Dialler::refusing(Arc::clone(names), {
            let allowed = Arc::clone(&terms.allowed);
            move |address| is_refused(address, &allowed)
        })))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("two-tier-gateway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS_MAX))
        .build()
        .map(|client| Reach { client, allowed: Arc::clone(&terms.allowed) })
        .map_err(|error| setup(&error))
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

/// reqwest asks no resolver about literal addresses, so those are looked at here.
pub(crate) fn check_url(url: &str, allow_http: bool, allowed: &[IpNet]) -> Result<Url, FetchFault> {
    let url = Url::parse(url).map_err(|_| FetchFault::UrlMalformed)?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        _ => return Err(FetchFault::SchemeRefused),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchFault::UrlMalformed);
    }
    let host = url.host_str().ok_or(FetchFault::UrlMalformed)?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if literal.is_ok_and(|address| is_refused(address, allowed)) { Err(FetchFault::AddressRefused) } else { Ok(url) }
}

fn check_head(response: &Response) -> Result<(), FetchFault> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchFault::RedirectRefused);
    }
    if status != StatusCode::OK {
        return Err(FetchFault::Status(status.as_u16()));
    }
    if is_json(response.headers()) { Ok(()) } else { Err(FetchFault::NotJson) }
}

/// One content type, `application/json` or `application/…+json` (RFC 6839); parameters do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.strip_prefix("application/").is_some_and(|kind| kind.len() > 5 && kind.ends_with("+json"))
}

/// The ceiling holds while the bytes come in; a length that was announced is believed only when it is too large.
async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, FetchFault> {
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(FetchFault::TooLarge { bytes_max });
    }
    let mut document = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| FetchFault::of(&error))? {
        if document.len() + chunk.len() > bytes_max {
            return Err(FetchFault::TooLarge { bytes_max });
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document.freeze())
}
