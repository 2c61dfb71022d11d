//! Who is asking, and how that was proved: the same value in both tiers and on the link between them.
//!
//! Made by `identity` from a credential or by `assertion` from a verified token; rooms read it and never write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of credential that proved a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// A JSON Web Token of a configured issuer.
    Jwt,
    /// None: the rule lets anybody in.
    Anonymous,
}

impl Proof {
    /// The form in records, metrics and on the link.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Anonymous => "anonymous",
        }
    }
}

/// A caller as a tier believes it to be. What another treaty leaves out means as little as it can; see [`crate::treaty`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    /// Unique at its issuer; empty for an anonymous caller.
    pub subject: String,
    /// Who vouched for the subject; empty for an anonymous caller.
    pub issuer: String,
    /// How it was proved.
    pub proof: Proof,
    /// What it was granted, in the issuer's words (RFC 6749 §3.3).
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claims that the configuration forwards, as the issuer wrote them.
    #[serde(default)]
    pub claims: BTreeMap<String, Value>,
    /// The Unix second at which the credential dies, leeway already added; `None` where it does not expire.
    #[serde(default)]
    pub expires_at: Option<u64>,
}

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            subject: String::new(),
            issuer: String::new(),
            proof: Proof::Anonymous,
            scopes: Vec::new(),
            claims: BTreeMap::new(),
            expires_at: None,
        }
    }

    /// Whether nothing was proved.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.proof == Proof::Anonymous
    }

    /// Whether the issuer granted `scope`; compared byte for byte.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }

    /// A forwarded claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_says_what_it_was_granted_and_no_more() {
        let caller = Caller {
            subject: "ada".into(),
            issuer: "https://issuer".into(),
            proof: Proof::Jwt,
            scopes: vec!["orders:read".into()],
            claims: BTreeMap::from([("role".into(), Value::from("editor"))]),
            expires_at: Some(7),
        };
        assert!(caller.has_scope("orders:read"));
        assert!(!caller.has_scope("orders") && !caller.has_scope("orders:READ") && !caller.has_scope(""));
        assert_eq!(caller.claim("role"), Some(&Value::from("editor")));
        assert_eq!(caller.claim("roles"), None);
        assert!(!caller.is_anonymous() && Caller::anonymous().is_anonymous());
    }

    #[test]
    fn the_proof_is_one_word_everywhere() {
        for proof in [Proof::Jwt, Proof::Anonymous] {
            assert_eq!(serde_json::to_value(proof).unwrap(), proof.as_str());
        }
    }
}
