//! Which path asks for which credential: `rules:` as written and as meant.
//!
//! In: the decoded path of a request. Out: the rule with the longest path that takes it. Never: lets a path in that no rule names.

use std::sync::Arc;

use contract::target::{TargetFault, readings};
use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Size;

use crate::ask::{Ask, Rule};

/// One entry of `rules:`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// `/public` exactly, or `/public/` for it and everything below; `/` takes every path.
    pub path: String,
    /// Whether callers must prove who they are.
    pub authenticate: Ask,
    /// The issuers whose tokens count here; none means all of `issuers`.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Sends the client's own `Authorization` on to the service, which then holds a credential that it could misuse.
    #[serde(default)]
    pub relay_authorization: bool,
    /// Bytes of one request body at most, where that is less than `limits.body_bytes_max`.
    pub body_bytes_max: Option<Size>,
    /// Asks no `limits.body_rate_min` of request bodies, for clients that send when they have something to say, such as those of an event ingest.
    /// `limits.request` bounds them still. The route of tier 2 must say it too. gRPC needs neither.
    #[serde(default)]
    pub slow_bodies: bool,
    /// Admits `%2F` in the path, as some services have it in ids. The route of tier 2 must allow it too, and the path must have this rule also when
    /// it separates segments.
    #[serde(default)]
    pub allow_encoded_slashes: bool,
}

/// All rules, the longest path first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Each by its decoded path, which is what requests are matched by.
    rules: Vec<(Box<str>, Arc<Rule>)>,
}

/// Rules of one configuration at most; a request looks at each, the longest first.
const RULES_MAX: usize = 1_000;

impl Rules {
    /// Checks the rules against the names of the issuers, which stand in the order of the plan, and the ceiling of the process.
    pub fn check(configs: &[RuleConfig], issuers: &[&str], body_bytes_max: u64, report: &mut Report) -> Self {
        if configs.is_empty() {
            report.complain_of_absence(
                "rules",
                "there is no rule, so every request would be refused",
                "add one, as in {path: \"/\", authenticate: require}",
            );
        }
        if configs.len() > RULES_MAX {
            report.complain(
                "rules",
                format!("there are {} rules", configs.len()),
                format!("keep at most {RULES_MAX}; rules are prefixes, routes belong to routing-gw"),
            );
        }
        let mut rules: Vec<(Box<str>, Arc<Rule>)> = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let key = format!("rules[{index}]");
            let path = readings::pattern(&config.path).unwrap_or_else(|fault| {
                let what = format!("the path {:?} can never match a canonical one", config.path);
                let remedy = match fault {
                    TargetFault::TwoReadings => "write it without parameters: requests are matched with and without theirs",
                    TargetFault::EncodedSlash => "end the path before the encoded slash, and say allow_encoded_slashes: true",
                    _ => "write a path such as \"/\", \"/public/\" or \"/health\"",
                };
                report.complain(&format!("{key}.path"), what, remedy);
                config.path.clone()
            });
            if let Some(segment) = config.path.split('/').find(|segment| matches!(*segment, "*" | "**") || segment.contains(['{', '}'])) {
                report.complain(
                    &format!("{key}.path"),
                    format!("the segment {segment:?} would match itself alone, and leave other paths to another rule"),
                    "end the path before it with a slash, which takes everything below; parameters belong to the routes of routing-gw",
                );
            }
            if let Some(first) = rules.iter().position(|(known, _)| **known == *path) {
                report.complain(&format!("{key}.path"), format!("rules[{first}] has the path {:?} too", config.path), "keep one of them");
            }
            let mut places = Vec::new();
            for (place, name) in config.issuers.iter().enumerate() {
                match issuers.iter().position(|known| known == name) {
                    Some(position) => places.push(position),
                    None => report.unknown_name(&format!("{key}.issuers[{place}]"), "issuer", name, "issuers", issuers.iter().copied()),
                }
            }
            if config.issuers.is_empty() {
                places = (0..issuers.len()).collect();
            }
            if config.ask_needs_issuer() && issuers.is_empty() {
                report.complain(
                    &format!("{key}.authenticate"),
                    "the rule requires a caller, but there is no issuer to prove one",
                    "add an entry to `issuers`",
                );
            }
            if config.authenticate == Ask::Anonymous && !config.issuers.is_empty() {
                report.complain(
                    &format!("{key}.issuers"),
                    "an anonymous rule asks no issuer, and lets everybody in",
                    "take the issuers away, or require a caller",
                );
            }
            if config.body_bytes_max.is_some_and(|own| own.get() > body_bytes_max) {
                report.complain(
                    &format!("{key}.body_bytes_max"),
                    "the rule would take a larger body than the process does",
                    "write at most what limits.body_bytes_max has, or raise that",
                );
            }
            if config.allow_encoded_slashes && !path.ends_with('/') {
                report.complain(
                    &format!("{key}.allow_encoded_slashes"),
                    "a path with an encoded slash is never this one path",
                    "take it away, or end the path with a slash for everything below",
                );
            }
            if config.authenticate == Ask::Anonymous && config.relay_authorization {
                report.complain(
                    &format!("{key}.relay_authorization"),
                    "an anonymous rule has no proved credential to relay",
                    "take it away, or require a caller",
                );
            }
            let rule = Rule {
                path: config.path.as_str().into(),
                ask: config.authenticate,
                issuers: places.into(),
                relay: config.relay_authorization,
                body_bytes_max: config.body_bytes_max.map(Size::get),
                slow_bodies: config.slow_bodies,
                allow_encoded_slashes: config.allow_encoded_slashes,
            };
            rules.push((path.into(), Arc::new(rule)));
        }
        let mut sorted = Self { rules: rules.clone() };
        // `/public` names that path, and `/public/` takes it too: the one that names it comes first.
        sorted.rules.sort_by_key(|(path, _)| (std::cmp::Reverse(path.trim_end_matches('/').len()), path.ends_with('/')));
        sorted.complain_about_slashes(&rules, report);
        sorted
    }

    /// Many servers serve `/admin` and `/admin/` as one; who asks for a caller on the one and not on the other lets everybody in.
    fn complain_about_slashes(&self, written: &[(Box<str>, Arc<Rule>)], report: &mut Report) {
        for (index, (path, rule)) in written.iter().enumerate().filter(|(_, (path, _))| **path != *"/") {
            let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
            let Some(found) = self.find(&other).filter(|found| found.asks_less_than(rule)) else { continue };
            report.complain(
                &format!("rules[{index}].path"),
                format!("the path {other:?}, which many servers take for this one, has the rule of {:?}, and that asks less", found.path),
                if path.ends_with('/') {
                    "let that rule ask for the same, or take it away: this one takes both"
                } else {
                    "end the path with a slash, which takes both, or give the other path a rule that asks for the same"
                },
            );
        }
    }

    /// The rule for a decoded path, in which an encoded slash that is data is written `%2F`.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Arc<Rule>> {
        let takes = |rule: &str| match rule.strip_suffix('/') {
            Some(bare) => path.strip_prefix(bare).is_some_and(|below| below.is_empty() || below.starts_with('/')),
            None => path == rule,
        };
        self.rules.iter().find(|(rule, _)| takes(rule)).map(|(_, rule)| rule)
    }
}

impl RuleConfig {
    fn ask_needs_issuer(&self) -> bool {
        self.authenticate == Ask::Require
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(paths: &[&str]) -> Rules {
        let configs: Vec<RuleConfig> = paths
            .iter()
            .map(|path| RuleConfig {
                path: (*path).to_owned(),
                authenticate: Ask::Anonymous,
                issuers: Vec::new(),
                relay_authorization: false,
                body_bytes_max: None,
                slow_bodies: false,
                allow_encoded_slashes: false,
            })
            .collect();
        let mut report = Report::default();
        let rules = Rules::check(&configs, &[], 0, &mut report);
        assert!(report.is_clean(), "{}", report.print());
        rules
    }

    #[test]
    fn the_longest_path_wins_and_no_rule_means_no_entry() {
        let rules = rules(&["/a/", "/a/b/", "/a/b/c"]);
        let found = |path| rules.find(path).map(|rule| rule.path.to_string());
        assert_eq!(found("/a/x").as_deref(), Some("/a/"));
        assert_eq!(found("/a/b/x").as_deref(), Some("/a/b/"));
        assert_eq!(found("/a/b/c").as_deref(), Some("/a/b/c"));
        assert_eq!(found("/a/b").as_deref(), Some("/a/b/"), "many servers take it for /a/b/");
        assert_eq!(found("/a").as_deref(), Some("/a/"));
        assert_eq!(found("/ab"), None);
        assert_eq!(found("/"), None);
    }

    #[test]
    fn a_rule_that_names_a_path_goes_before_the_one_below_which_it_is() {
        for paths in [["/a", "/a/", "/"], ["/", "/a/", "/a"]] {
            let rules = rules(&paths);
            let found = |path| rules.find(path).map(|rule| rule.path.to_string());
            for (path, expected) in [("/a", "/a"), ("/a/", "/a/"), ("/a/b", "/a/"), ("/ab", "/"), ("/", "/"), ("*", "none")] {
                assert_eq!(found(path).as_deref().unwrap_or("none"), expected, "{path}");
            }
        }
    }

    #[test]
    fn a_rule_is_met_however_its_path_is_spelled() {
        let rules = rules(&["/caf%C3%A9/", "/a@b", "/"]);
        let found = |path: &str| {
            let shape = contract::target::check(path, false).expect("canonical");
            readings::agree(path, shape, |path| rules.find(path)).map(|rule| rule.map(|rule| rule.path.to_string()))
        };
        for (path, expected) in
            [("/caf%c3%a9/x", "/caf%C3%A9/"), ("/caf%C3%A9/x", "/caf%C3%A9/"), ("/a@b", "/a@b"), ("/a%40b", "/a@b"), ("/a%40c", "/")]
        {
            assert_eq!(found(path), Ok(Some(expected.to_owned())), "{path}");
        }
        assert_eq!(found("/a@b;x"), Err(TargetFault::TwoReadings));
        assert_eq!(found("/caf%C3%A9%2Fx"), Err(TargetFault::TwoReadings));
    }
}
