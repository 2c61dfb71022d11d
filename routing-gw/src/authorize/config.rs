//! `require:` of a route as written, and what `check` makes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use settings::report::Report;

use crate::requirement::{Check, Requirement};

/// What a caller must prove; an empty one demands a caller of any kind that is not anonymous.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequireConfig {
    /// Scopes that must all be granted.
    pub scopes: Vec<String>,
    /// Scopes of which one must be granted. An empty list is a mistake.
    pub any_scope: Option<Vec<String>>,
    /// Claims that must equal a value, or be a list that contains it.
    pub claims: BTreeMap<String, Value>,
}

impl RequireConfig {
    /// Compiles the requirement, or says what is wrong with it.
    pub fn check(&self, key: &str, report: &mut Report) -> Option<Requirement> {
        let mut lawful = true;
        let any_scope = self.any_scope.as_deref().unwrap_or_default();
        // Nobody has one of no scopes, and to demand nothing instead would open the route to every caller.
        if self.any_scope.is_some() && any_scope.is_empty() {
            let what = "no scope would do, for none is listed";
            report.complain_of_absence(&format!("{key}.any_scope"), what, "list at least one scope, or take the key away");
            lawful = false;
        }
        for (list, scopes) in [("scopes", self.scopes.as_slice()), ("any_scope", any_scope)] {
            for (index, scope) in scopes.iter().enumerate() {
                // RFC 6749 §3.3: visible ASCII without the quote and the backslash.
                if scope.is_empty() || !scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
                    let what = format!("{scope:?} can never be granted: it is no scope token");
                    report.complain(&format!("{key}.{list}[{index}]"), what, "write one scope an entry, without spaces, as in orders:read");
                    lawful = false;
                }
            }
        }
        let mut checks: Vec<Check> = self.scopes.iter().map(|scope| Check::Scope(scope.as_str().into())).collect();
        if !any_scope.is_empty() {
            checks.push(Check::AnyScope(any_scope.iter().map(|scope| scope.as_str().into()).collect()));
        }
        checks.extend(self.claims.iter().map(|(name, value)| Check::Claim { name: name.as_str().into(), value: value.clone() }));
        lawful.then_some(Requirement::Callers(checks))
    }
}
