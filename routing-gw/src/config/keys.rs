//! The keys of the link and of this tier as written: `vouch`, `assertions`, and `assert` of a route.
//!
//! In: the sections. Out: whom this tier believes, and what it signs by. Refuses: no place for tier 1's keys or two, places that anybody on the way
//! could change, names that are empty. Never: touches the network.

use std::fmt;
use std::sync::Arc;

use contract::assertion::{KeyFault, Verifier};
use http::Uri;
use identity::signing::SigningKeyConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::trusted::{KEYS_BYTES_MAX, TrustedPlan, UrlPlan};
use crate::vouch::VouchConfig;

/// How this tier signs its own word on callers, for services.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertionsConfig {
    /// What it signs by. Services fetch the public halves from a listener with `publish_keys`.
    pub signing_key: SigningKeyConfig,
}

/// Whether instances get this tier's own word on the caller: `true`, or `{ audience: NAME }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum AssertConfig {
    /// They do, or they do not.
    Plain(bool),
    /// They do, for an audience of another name than the service's.
    For(AudienceConfig),
    /// Nothing is said.
    #[default]
    #[schemars(skip)]
    Silent,
}

/// To whom this tier's word is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AudienceConfig {
    /// The `aud` that the service demands.
    pub audience: String,
}

impl<'de> Deserialize<'de> for AssertConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AssertVisitor)
    }
}

struct AssertVisitor;

impl<'de> Visitor<'de> for AssertVisitor {
    type Value = AssertConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a mapping with `audience`")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<AssertConfig, E> {
        Ok(AssertConfig::Plain(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<AssertConfig, A::Error> {
        AudienceConfig::deserialize(MapAccessDeserializer::new(members)).map(AssertConfig::For)
    }
}

impl AssertConfig {
    /// For whom a route to `service` has callers vouched for; `None` for nobody. `signs` says whether this tier has keys. Complaints stand at `key`.
    pub(crate) fn check(&self, service: &str, signs: bool, key: &str, report: &mut Report) -> Option<Box<str>> {
        let audience = match self {
            Self::Silent | Self::Plain(false) => return None,
            Self::Plain(true) => service,
            Self::For(AudienceConfig { audience }) => audience,
        };
        if audience.is_empty() {
            report.complain(
                &format!("{key}.audience"),
                "the audience is empty",
                "write the `aud` that the service demands, or `assert: true`",
            );
        }
        if !signs {
            let remedy = "add `assertions: { signing_key: { file: FILE } }` with keys that `gwctl keys new` makes";
            report.complain(key, "this tier has no key to sign with", remedy);
        }
        Some(audience.into())
    }

    /// The audience, where it has a name of its own.
    pub(crate) fn named_audience(&self) -> Option<&str> {
        match self {
            Self::For(AudienceConfig { audience }) => Some(audience),
            Self::Plain(_) | Self::Silent => None,
        }
    }
}

/// The least and the most of `vouch.refresh`.
const REFRESH_BOUNDS: (Span, Span) = (Span::secs(1), Span::secs(60));

/// Whom this tier believes.
pub(crate) fn check_vouch(config: &VouchConfig, files: &Files, report: &mut Report) -> Option<TrustedPlan> {
    if config.issuers.is_empty() {
        let what = "nobody is believed, so every request would be refused";
        report.complain_of_absence("vouch.issuers", what, "list the `name` of each security-gw");
    }
    for (index, _) in config.issuers.iter().enumerate().filter(|(_, name)| name.is_empty()) {
        report.complain(&format!("vouch.issuers[{index}]"), "the name is empty", "write the `name` of a security-gw");
    }
    if config.audience.is_empty() {
        report.complain("vouch.audience", "the audience is empty", "write what tier 1 has as `link.audience`");
    }
    let (least, most) = REFRESH_BOUNDS;
    if !(least..=most).contains(&config.refresh) {
        let what = format!("{} is out of range", config.refresh);
        report.complain("vouch.refresh", what, format!("write {least} to {most}: a new key must be known before it signs"));
    }
    match (&config.jwks, &config.jwks_url) {
        (Some(_), None) => file(config, files, report),
        (None, Some(url)) => {
            let lawful = check_url(url, report);
            let (issuers, audience) = (config.issuers.clone(), config.audience.clone());
            let plan = UrlPlan { url: url.clone(), refresh: config.refresh.get(), issuers, audience, terms: None };
            lawful.then(|| TrustedPlan::Url(Arc::new(plan)))
        }
        (None, None) => {
            let what = "no place for tier 1's keys is given, so every request would be refused";
            report.complain_of_absence("vouch", what, "write `jwks: FILE`, or `jwks_url: https://…` where tier 1 publishes its keys");
            None
        }
        (Some(_), Some(_)) => {
            report.complain("vouch.jwks_url", "tier 1's keys have two places", "keep one of `jwks` and `jwks_url`");
            None
        }
    }
}

fn file(config: &VouchConfig, files: &Files, report: &mut Report) -> Option<TrustedPlan> {
    let path = config.jwks.as_ref()?;
    let verifier = files.read(path, KEYS_BYTES_MAX).and_then(|bytes| {
        match Verifier::new(&bytes, config.issuers.clone(), config.audience.clone()) {
            Ok(verifier) => Ok(Some(verifier)),
            // Each name is complained of where it stands.
            Err(KeyFault::NameEmpty) => Ok(None),
            Err(fault) => Err(format!("{}: {fault}", files.resolve(path).display())),
        }
    });
    let remedy = "write tier 1's public keys there, as `gwctl keys new` does";
    let verifier = verifier.map_err(|what| report.complain("vouch.jwks", what, remedy)).ok().flatten();
    verifier.map(|verifier| TrustedPlan::File(Arc::new(verifier)))
}

fn check_url(url: &str, report: &mut Report) -> bool {
    let lawful = url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
    });
    let lawful = lawful && !url.contains('#');
    if !lawful {
        let what = format!("{url:.160?} is no https URL, and whoever can change the keys on their way can be anybody");
        report.complain("vouch.jwks_url", what, "write it like https://security-gw.example:8444/.well-known/jwks.json");
    }
    lawful
}
