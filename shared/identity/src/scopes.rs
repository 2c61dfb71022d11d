//! The scopes of a token, read without room for invention.
//!
//! In: a claim, as text with spaces (RFC 8693 §4.2) or as a list. Out: scopes. Refuses whatever is no scope token (RFC 6749 §3.3): a list element
//! with a space in it would become two scopes as soon as somebody joins them.

use serde_json::{Map, Value};

/// The claim that some issuers write instead of `scope`.
const SCP: &str = "scp";

/// Reads the scopes under `name`; none where the claim is absent, `Err` where it has a form that no scopes have.
pub(crate) fn read(claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, ()> {
    let claim = claims.get(name).or_else(|| if name == "scope" { claims.get(SCP) } else { None });
    let listed: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(' ').filter(|scope| !scope.is_empty()).collect(),
        Some(Value::Array(elements)) => elements.iter().map(|element| element.as_str().ok_or(())).collect::<Result<_, _>>()?,
        Some(_) => return Err(()),
    };
    listed.into_iter().map(|scope| if is_scope(scope) { Ok(scope.to_owned()) } else { Err(()) }).collect()
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scopes(claims: Value, name: &str) -> Result<Vec<String>, ()> {
        read(claims.as_object().unwrap(), name)
    }

    #[test]
    fn text_and_list_are_read_and_scp_stands_in_for_scope_alone() {
        let both = Ok(vec!["a:read".to_owned(), "b".to_owned()]);
        assert_eq!(scopes(json!({ "scope": " a:read  b" }), "scope"), both);
        assert_eq!(scopes(json!({ "scope": ["a:read", "b"] }), "scope"), both);
        assert_eq!(scopes(json!({ "scp": ["a:read", "b"] }), "scope"), both);
        assert_eq!(scopes(json!({ "scope": "", "scp": "b" }), "scope"), Ok(vec![]));
        assert_eq!(scopes(json!({ "scp": "b" }), "roles"), Ok(vec![]));
        assert_eq!(scopes(json!({ "roles": "a:read b" }), "roles"), both);
        assert_eq!(scopes(json!({}), "scope"), Ok(vec![]));
    }

    #[test]
    fn other_forms_are_refused() {
        for claim in
            [json!(1), json!(null), json!({}), json!(["a", 1]), json!(["a b"]), json!([""]), json!("a\tb"), json!("é"), json!("a\"b")]
        {
            assert_eq!(scopes(json!({ "scope": claim.clone() }), "scope"), Err(()), "{claim}");
        }
    }
}
