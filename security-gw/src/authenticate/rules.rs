//! Which path asks for which credential: `rules:` as written and as meant.
//!
//! In: the path of a request. Out: the rule with the longest path that takes it. Never: lets a path in that no rule names.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;

/// One entry of `rules:`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// `/public` exactly, or `/public/` for everything below; `/` takes every path.
    pub path: String,
    /// Whether callers must prove who they are.
    pub authenticate: Ask,
    /// The issuers whose tokens count here; none means all of `issuers`.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Sends the client's own `Authorization` on to the service, which then holds a credential that it could misuse.
    #[serde(default)]
    pub relay_authorization: bool,
}

/// Whether callers must prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A caller is proved or refused.
    Require,
    /// Everyone is the anonymous caller; credentials are not looked at and do not travel on.
    Anonymous,
}

/// A rule as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its path, which names it in records.
    pub path: Arc<str>,
    /// Whether callers must prove who they are.
    pub ask: Ask,
    /// The places of its issuers in the plan.
    pub issuers: Box<[usize]>,
    /// Whether the client's own credential travels on.
    pub relay: bool,
}

/// All rules, the longest path first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
}

/// Rules of one configuration at most; a request looks at each, the longest first.
const RULES_MAX: usize = 1_000;

impl Rules {
    /// Checks the rules against the names of the issuers, which stand in the order of the plan.
    pub fn check(configs: &[RuleConfig], issuers: &[&str], report: &mut Report) -> Self {
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
        let mut rules: Vec<Arc<Rule>> = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let key = format!("rules[{index}]");
            if !config.path.starts_with('/') || contract::target::check(&config.path, false, false).is_err() || config.path.contains('?') {
                let what = format!("the path {:?} can never match a canonical one", config.path);
                report.complain(&format!("{key}.path"), what, "write a path such as \"/\", \"/public/\" or \"/health\"");
            }
            if let Some(first) = rules.iter().position(|rule| *rule.path == *config.path) {
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
            if config.authenticate == Ask::Anonymous && config.relay_authorization {
                report.complain(
                    &format!("{key}.relay_authorization"),
                    "an anonymous rule has no proved credential to relay",
                    "take it away, or require a caller",
                );
            }
            rules.push(Arc::new(Rule {
                path: config.path.as_str().into(),
                ask: config.authenticate,
                issuers: places.into(),
                relay: config.relay_authorization,
            }));
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
        Self { rules }
    }

    /// The rule for a path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| if rule.path.ends_with('/') { path.starts_with(&*rule.path) } else { path == &*rule.path })
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
            })
            .collect();
        let mut report = Report::default();
        let rules = Rules::check(&configs, &[], &mut report);
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
        assert_eq!(found("/a"), None);
        assert_eq!(found("/"), None);
    }
}
