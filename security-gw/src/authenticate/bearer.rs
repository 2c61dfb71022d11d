//! The bearer token of a request (RFC 6750 §2.1).
//!
//! In: the headers. Out: the token, or nothing. Refuses: two credentials in one request, another scheme, an empty token.

use contract::reason::Reason;
use http::{HeaderMap, header};

/// Finds the one token; the scheme's name is matched without case (RFC 9110 §11.1).
///
/// # Errors
/// `CredentialsConflicting` for repeated fields, `CredentialMalformed` for what is no bearer token.
pub fn token(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::CredentialsConflicting);
    }
    let text = value.to_str().map_err(|_| Reason::CredentialMalformed)?;
    let (scheme, token) = text.split_once(' ').ok_or(Reason::CredentialMalformed)?;
    let token = token.trim_matches(' ');
    let lawful = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(is_token68);
    if lawful { Ok(Some(token)) } else { Err(Reason::CredentialMalformed) }
}

/// The characters of RFC 9110 §11.2's `token68`.
fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(values: &[&'static str], expected: Result<Option<&str>, Reason>) {
        let map: HeaderMap = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect();
        assert_eq!(token(&map), expected);
    }

    #[test]
    fn one_bearer_token_is_found_and_nothing_else() {
        check(&[], Ok(None));
        check(&["Bearer a.b.c"], Ok(Some("a.b.c")));
        check(&["bEARER   a.b.c "], Ok(Some("a.b.c")));
        check(&["Bearer"], Err(Reason::CredentialMalformed));
        check(&["Bearer "], Err(Reason::CredentialMalformed));
        check(&["Basic dTpw"], Err(Reason::CredentialMalformed));
        check(&["Bearer a b"], Err(Reason::CredentialMalformed));
        check(&["Bearer a", "Bearer b"], Err(Reason::CredentialsConflicting));
    }
}
