//! What a route demands of a caller, compiled to direct checks.
//!
//! In: a proved caller. Out: permitted, or the first thing that is missing. Never: permits what no check permitted.

use contract::caller::Caller;
use serde_json::Value;

/// Who may pass a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    /// Everyone, also anonymous callers.
    Public,
    /// Callers that are proved and pass every check.
    Callers(Vec<Check>),
}

/// One check of a proved caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// The credential was granted this scope.
    Scope(Box<str>),
    /// The credential was granted at least one of these scopes.
    AnyScope(Vec<Box<str>>),
    /// The claim equals the value, or is a list that contains it.
    Claim {
        /// The claim's name, which tier 1 must forward.
        name: Box<str>,
        /// The value that is demanded.
        value: Value,
    },
}

/// Why a caller does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The caller is anonymous and the route is not public: credentials would help.
    Anonymous,
    /// The caller is known and may not: other credentials would be needed.
    Lacking,
}

impl Requirement {
    /// Decides on a caller.
    ///
    /// # Errors
    /// What keeps the caller out.
    pub fn decide(&self, caller: &Caller) -> Result<(), Denied> {
        match self {
            Self::Public => Ok(()),
            Self::Callers(_) if caller.is_anonymous() => Err(Denied::Anonymous),
            Self::Callers(checks) if checks.iter().all(|check| check.passes(caller)) => Ok(()),
            Self::Callers(_) => Err(Denied::Lacking),
        }
    }
}

impl Check {
    fn passes(&self, caller: &Caller) -> bool {
        match self {
            Self::Scope(scope) => caller.has_scope(scope),
            Self::AnyScope(scopes) => scopes.iter().any(|scope| caller.has_scope(scope)),
            Self::Claim { name, value } => match caller.claim(name) {
                Some(Value::Array(items)) => items.contains(value),
                Some(claim) => claim == value,
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::caller::Proof;
    use serde_json::json;

    use super::*;

    fn editor() -> Caller {
        Caller {
            subject: "editor".to_owned(),
            issuer: "https://issuer.test".to_owned(),
            proof: Proof::Jwt,
            scopes: vec!["orders:read".to_owned(), "orders:write".to_owned()],
            claims: [("role".to_owned(), json!("editor")), ("groups".to_owned(), json!(["a", "b"]))].into(),
            expires_at: None,
        }
    }

    fn check(checks: Vec<Check>, expected: Result<(), Denied>) {
        assert_eq!(Requirement::Callers(checks).decide(&editor()), expected);
    }

    #[test]
    fn every_check_must_pass() {
        check(vec![], Ok(()));
        check(vec![Check::Scope("orders:read".into()), Check::Scope("orders:write".into())], Ok(()));
        check(vec![Check::Scope("orders:read".into()), Check::Scope("users:read".into())], Err(Denied::Lacking));
        check(vec![Check::AnyScope(vec!["users:read".into(), "orders:read".into()])], Ok(()));
        check(vec![Check::AnyScope(vec![])], Err(Denied::Lacking));
        check(vec![Check::Claim { name: "role".into(), value: json!("editor") }], Ok(()));
        check(vec![Check::Claim { name: "groups".into(), value: json!("b") }], Ok(()));
        check(vec![Check::Claim { name: "groups".into(), value: json!("c") }], Err(Denied::Lacking));
        check(vec![Check::Claim { name: "absent".into(), value: json!(null) }], Err(Denied::Lacking));
    }

    #[test]
    fn the_anonymous_pass_public_routes_only() {
        let nobody = Caller::anonymous();
        assert_eq!(Requirement::Public.decide(&nobody), Ok(()));
        assert_eq!(Requirement::Callers(vec![]).decide(&nobody), Err(Denied::Anonymous));
    }
}
