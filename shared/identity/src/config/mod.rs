//! An issuer as written in the configuration, and its check.
//!
//! In: a section of YAML. Out: an `IssuerPlan`. Refuses, all at once and each with its key and a remedy: issuers that are no URLs, empty lists, more
//! or fewer than one place for keys, plain HTTP that nobody allowed, key files without a usable key. Never: touches the network.

use std::collections::BTreeMap;

use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::{Size, Span};

use crate::algorithm::Algorithm;
use crate::key_set::KeySet;
use crate::plan::{IssuerPlan, KeysPlan};
use crate::source::{JWKS_BYTES_MAX, may_fetch};
use crate::terms::Terms;

/// The longest leeway: beyond it, an expired token is no longer a matter of clocks that differ.
pub const LEEWAY_MAX: Span = Span::secs(600);

/// The shortest time between regular reads of a key set.
pub const REFRESH_MIN: Span = Span::secs(1);

/// The longest time between regular reads of a key set: a withdrawn key must die within a day.
pub const REFRESH_MAX: Span = Span::secs(24 * 3600);

/// The bounds of `token_bytes_max`.
pub const TOKEN_BYTES_MAX_BOUNDS: (Size, Size) = (Size::kib(1), Size::kib(64));

/// The most claims that are forwarded; they travel in the assertion, which has a ceiling.
pub const CLAIMS_MAX: usize = 32;

/// An OpenID issuer whose tokens are believed, and on which terms.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The issuer's URL, byte for byte as it stands in the `iss` of its tokens.
    pub issuer: String,
    /// The audiences that tokens may be meant for; one of them must stand in `aud`.
    pub audiences: Vec<String>,
    /// The signature algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// Where the issuer's keys are found.
    pub keys: KeysConfig,
    /// Whether `http://` URLs may be fetched from this issuer; anybody on the way can then forge its keys.
    #[serde(default)]
    pub allow_http: bool,
    /// How far the issuer's clock may differ from this one.
    #[serde(default = "leeway_default")]
    pub leeway: Span,
    /// How often the key set is read again.
    #[serde(default = "refresh_default")]
    pub refresh: Span,
    /// The claims that are forwarded in the assertion.
    #[serde(default)]
    pub claims: Vec<String>,
    /// The claim that holds the scopes: a space separated text or a list. Where it is left at `scope`, `scp` is read in its absence.
    #[serde(default = "scopes_claim_default")]
    pub scopes_claim: String,
    /// The largest token that is looked at.
    #[serde(default = "token_bytes_max_default")]
    pub token_bytes_max: Size,
}

/// Where an issuer's keys are found: exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// Through the issuer's discovery document (OpenID Connect Discovery 1.0 §4).
    #[serde(default)]
    pub discovery: bool,
    /// At this URL.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// In this file, relative to the configuration; it is read again when it changes.
    #[serde(default)]
    pub jwks_file: Option<String>,
}

fn leeway_default() -> Span {
    Span::secs(60)
}

fn refresh_default() -> Span {
    Span::secs(300)
}

fn scopes_claim_default() -> String {
    "scope".to_owned()
}

fn token_bytes_max_default() -> Size {
    Size::kib(8)
}

/// Checks a whole map of issuers, whose key is `key`. The plans come in the order of their names, which is the order of their indexes.
///
/// `None` when one of them could not be made.
pub fn check_all(issuers: &BTreeMap<String, IssuerConfig>, key: &str, files: &Files, report: &mut Report) -> Option<Vec<IssuerPlan>> {
    let mut seen = BTreeMap::new();
    for (name, config) in issuers {
        if let Some(first) = seen.insert(config.issuer.as_str(), name) {
            let what = format!("the issuer {:?} is configured as {first:?} already", config.issuer);
            report.complain(&format!("{key}.{name}.issuer"), what, "join the two entries: a token names its issuer and not an entry here");
        }
    }
    // All of them are checked before the first failure counts, so that every complaint is made.
    let plans: Vec<_> = issuers.iter().map(|(name, config)| config.check(&format!("{key}.{name}"), files, report)).collect();
    plans.into_iter().collect()
}

impl IssuerConfig {
    /// Turns what is written into what is meant. `key` is where it stands (`issuers.demo`); its last part names the issuer in logs and metrics.
    ///
    /// `None` when no plan could be made; every complaint is in `report`.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<IssuerPlan> {
        let before = report.complaints().len();
        self.check_url(&format!("{key}.issuer"), &self.issuer, report);
        if self.issuer.contains('?') {
            report.complain(&format!("{key}.issuer"), "an issuer's URL has no query", "write the URL that stands in `iss`");
        }
        not_empty(
            &format!("{key}.audiences"),
            self.audiences.iter().map(String::as_str),
            "name the audience that stands in `aud` of this gateway's tokens",
            report,
        );
        if self.algorithms.is_empty() {
            report.complain_of_absence(
                &format!("{key}.algorithms"),
                "no algorithm is accepted",
                "name those that the issuer signs with, like ES256",
            );
        }
        self.check_ranges(key, report);
        let keys = self.check_keys(&format!("{key}.keys"), files, report)?;
        let terms = Terms::new(&self.issuer, &self.audiences, &self.algorithms, self.leeway, &self.scopes_claim, &self.claims)?;
        let clean = report.complaints().len() == before;
        clean.then(|| IssuerPlan {
            name: key.split_once('.').map_or(key, |(_, name)| name).into(),
            terms,
            keys,
            allow_http: self.allow_http,
            refresh: self.refresh.get(),
            token_bytes_max: self.token_bytes_max.as_usize(),
        })
    }

    fn check_ranges(&self, key: &str, report: &mut Report) {
        if self.leeway > LEEWAY_MAX {
            report.complain(
                &format!("{key}.leeway"),
                format!("{} is more than clocks differ", self.leeway),
                format!("write at most {LEEWAY_MAX}"),
            );
        }
        if !(REFRESH_MIN..=REFRESH_MAX).contains(&self.refresh) {
            report.complain(
                &format!("{key}.refresh"),
                format!("{} is out of range", self.refresh),
                format!("write {REFRESH_MIN} to {REFRESH_MAX}"),
            );
        }
        let (least, most) = TOKEN_BYTES_MAX_BOUNDS;
        if !(least..=most).contains(&self.token_bytes_max) {
            report.complain(
                &format!("{key}.token_bytes_max"),
                format!("{} is out of range", self.token_bytes_max),
                format!("write {least} to {most}"),
            );
        }
        if self.scopes_claim.is_empty() {
            report.complain(&format!("{key}.scopes_claim"), "the name is empty", "leave it out for \"scope\"");
        }
        if self.claims.len() > CLAIMS_MAX {
            report.complain(&format!("{key}.claims"), "too many claims are forwarded", format!("name at most {CLAIMS_MAX}"));
        }
        for (at, _) in self.claims.iter().enumerate().filter(|(_, claim)| claim.is_empty()) {
            report.complain(&format!("{key}.claims[{at}]"), "the name is empty", "name a claim of the issuer's tokens");
        }
    }

    fn check_keys(&self, key: &str, files: &Files, report: &mut Report) -> Option<KeysPlan> {
        match (self.keys.discovery, &self.keys.jwks_url, &self.keys.jwks_file) {
            (true, None, None) => Some(KeysPlan::Discovery),
            (false, Some(url), None) => {
                self.check_url(&format!("{key}.jwks_url"), url, report);
                Some(KeysPlan::Url(url.clone()))
            }
            (false, None, Some(path)) => {
                let found = files.read(path, JWKS_BYTES_MAX).and_then(|bytes| match KeySet::parse(&bytes) {
                    Ok(_) => Ok(()),
                    Err(why) => Err(format!("{}: {why}", files.resolve(path).display())),
                });
                if let Err(what) = found {
                    report.complain(
                        &format!("{key}.jwks_file"),
                        what,
                        "name a readable JSON Web Key Set with at least one usable signature key",
                    );
                }
                Some(KeysPlan::File(files.resolve(path)))
            }
            (false, None, None) => {
                report.complain_of_absence(key, "no place for keys is given", "write one of `discovery: true`, `jwks_url` and `jwks_file`");
                None
            }
            _ => {
                report.complain(
                    key,
                    "more than one place for keys is given",
                    "keep exactly one of `discovery: true`, `jwks_url` and `jwks_file`",
                );
                None
            }
        }
    }

    fn check_url(&self, key: &str, url: &str, report: &mut Report) {
        let lawful = url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("https" | "http"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        });
        if !lawful || url.contains('#') {
            report.complain(
                key,
                format!("{url:?} is not a URL that can be fetched"),
                "write it like https://issuer.example/path, without user and fragment",
            );
        } else if !may_fetch(url, self.allow_http) {
            report.complain(
                key,
                "keys that come over plain HTTP can be forged on the way",
                "use https://, or write `allow_http: true` for a network that you trust",
            );
        }
    }
}

fn not_empty<'a>(key: &str, mut list: impl Iterator<Item = &'a str> + Clone, remedy: &str, report: &mut Report) {
    if list.clone().next().is_none() {
        report.complain_of_absence(key, "the list is empty", remedy);
    } else if let Some(at) = list.position(str::is_empty) {
        report.complain(&format!("{key}[{at}]"), "the name is empty", remedy);
    }
}

#[cfg(test)]
mod tests;
