//! Where key sets come from: a port, so that everything else runs without a network.
//!
//! In: a plan. Out: a key set, or a sentence on why not. Refuses discovery documents of another issuer and `jwks_uri`s over plain HTTP that nobody
//! allowed. Never: follows a URL that stands in a token.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use contract::json;
use serde_json::Value;
use settings::files;
use wire::fetch::Fetcher;

use crate::key_set::KeySet;
use crate::plan::{IssuerPlan, KeysPlan};

/// The largest key set, in bytes.
pub(crate) const JWKS_BYTES_MAX: usize = 512 * 1024;

/// The largest discovery document, in bytes.
pub(crate) const DISCOVERY_BYTES_MAX: usize = 64 * 1024;

/// Where the discovery document lies under the issuer's URL (OpenID Connect Discovery 1.0 §4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// What a key source gives: a document, or a sentence for the operator.
pub(crate) type Document<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Whatever can fetch a document by URL.
pub(crate) trait KeySource: Send + Sync + 'static {
    /// The document at `url`, if it has at most `bytes_max` bytes. Plain HTTP only where `allow_http`.
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize, allow_http: bool) -> Document<'a>;
}

impl KeySource for Fetcher {
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize, allow_http: bool) -> Document<'a> {
        Box::pin(async move {
            match self.get_json(url, bytes_max, allow_http).await {
                Ok(bytes) => Ok(bytes.to_vec()),
                Err(fault) => Err(format!("{url}: {fault}")),
            }
        })
    }
}

/// Whether the scheme of `url` is one that may be fetched.
pub(crate) fn may_fetch(url: &str, allow_http: bool) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || (allow_http && scheme.eq_ignore_ascii_case("http")))
}

/// Reads the key set of an issuer, wherever it lies.
pub(crate) async fn read(plan: &IssuerPlan, source: &dyn KeySource) -> Result<KeySet, String> {
    let bytes = match &plan.keys {
        KeysPlan::Discovery => {
            let url = discover(plan, source).await?;
            source.get(&url, JWKS_BYTES_MAX, plan.allow_http).await?
        }
        KeysPlan::Url(url) => source.get(url, JWKS_BYTES_MAX, plan.allow_http).await?,
        KeysPlan::File(path) => read_file(path).await?,
    };
    KeySet::parse(&bytes)
}

/// The `jwks_uri` of the issuer's discovery document.
async fn discover(plan: &IssuerPlan, source: &dyn KeySource) -> Result<String, String> {
    let issuer = plan.terms.issuer();
    let url = format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer));
    let bytes = source.get(&url, DISCOVERY_BYTES_MAX, plan.allow_http).await?;
    let document = json::parse_object(&bytes).map_err(|fault| format!("{url} is not lawful JSON: {fault}"))?;
    // §4.3: a document that speaks for another issuer must not be believed.
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(format!("{url} speaks for another issuer than {issuer}"));
    }
    match document.get("jwks_uri").and_then(Value::as_str) {
        Some(keys) if may_fetch(keys, plan.allow_http) => Ok(keys.to_owned()),
        Some(_) => Err(format!("{url} has a jwks_uri that is not https")),
        None => Err(format!("{url} has no jwks_uri")),
    }
}

/// A file may lie on a network that hangs, so it is read beside the control runtime. Reading by path each time finds what was renamed onto it.
async fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || files::read_file(&path, JWKS_BYTES_MAX)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("reading the key file was broken off".to_owned()),
    }
}
