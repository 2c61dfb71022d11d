//! The structure of a compact JWS (RFC 7515 §7.1), read strictly and before any cryptography.
//!
//! In: a token. Out: its parts. Refuses other than three parts, base64url that is padded or not canonical, duplicate members, `crit`, and
//! headers that are not objects. Never: verifies; nothing in `Compact` may be believed until the caller has checked the signature over
//! `signing_input`. Never: follows `jku`, `jwk`, `x5u`, `x5c`; they are not even read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json;

/// A token taken apart; nothing in it is proved.
#[derive(Clone)]
pub struct Compact<'a> {
    /// The `alg` of the header, whatever it may be.
    pub algorithm: String,
    /// The `kid` of the header.
    pub kid: Option<String>,
    /// The `typ` of the header.
    pub typ: Option<String>,
    /// The claims, without a member twice.
    pub claims: Map<String, Value>,
    /// What the signature is over: the first two parts with the dot between them.
    pub signing_input: &'a str,
    /// The third part, base64url; its canonical form is checked.
    pub signature: &'a str,
}

/// Why a token has no lawful structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsFault {
    /// Not three parts of canonical base64url, or not objects in them, or a member twice, or a header member of the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// The header demands extensions that are not understood (RFC 7515 §4.1.11).
    #[error("the token demands critical extensions")]
    Critical,
}

/// A compact JWS is a credential as a whole; nothing of it is shown.
impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact").finish_non_exhaustive()
    }
}

impl<'a> Compact<'a> {
    /// Takes a token apart. The caller has checked its length.
    ///
    /// # Errors
    /// See `JwsFault`.
    pub fn parse(token: &'a str) -> Result<Self, JwsFault> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwsFault::Malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(JwsFault::Malformed)?;
        // A fourth part would leave a dot in the claims, which no base64url has.
        let mut header = json::parse_object(&decode(header)?).map_err(|_| JwsFault::Malformed)?;
        if header.contains_key("crit") || header.contains_key("b64") || header.contains_key("zip") {
            return Err(JwsFault::Critical);
        }
        let algorithm = text(&mut header, "alg")?.ok_or(JwsFault::Malformed)?;
        let kid = text(&mut header, "kid")?;
        let typ = text(&mut header, "typ")?;
        let claims = json::parse_object(&decode(claims)?).map_err(|_| JwsFault::Malformed)?;
        decode(signature)?;
        Ok(Self { algorithm, kid, typ, claims, signing_input, signature })
    }
}

/// Canonical base64url without padding, or nothing.
///
/// # Errors
/// `JwsFault::Malformed` for padding, other alphabets, white space and stray last bits.
pub fn decode(part: &str) -> Result<Vec<u8>, JwsFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsFault::Malformed)
}

/// The base64url form that `decode` reads.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn text(header: &mut Map<String, Value>, name: &str) -> Result<Option<String>, JwsFault> {
    match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsFault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(b"signature"))
    }

    #[test]
    fn a_token_comes_apart() {
        let token = token(r#"{"alg":"EdDSA","kid":"k","typ":"JWT","jku":"https://evil"}"#, r#"{"sub":"ada"}"#);
        let compact = Compact::parse(&token).unwrap();
        assert_eq!((compact.algorithm.as_str(), compact.kid.as_deref(), compact.typ.as_deref()), ("EdDSA", Some("k"), Some("JWT")));
        assert_eq!(compact.claims["sub"], "ada");
        assert_eq!(format!("{}.{}", compact.signing_input, compact.signature), token);
    }

    #[test]
    fn every_other_structure_is_refused() {
        let good = token(r#"{"alg":"x"}"#, "{}");
        let header = encode(br#"{"alg":"x"}"#);
        for bad in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            "a.b".into(),
            format!("{good}."),
            format!("{good}.x"),
            format!(".{good}"),
            format!("{good}="),
            format!("{good} "),
            format!(" {good}"),
            format!("{header}=.e30.c2ln"),
            // The last character carries bits that no decoder needs: the same bytes in a second spelling.
            format!("{header}.e31.c2ln"),
            format!("{header}.e30.c2l+"),
            format!("{header}..c2ln"),
            token("[]", "{}"),
            token(r#"{"alg":"x","alg":"y"}"#, "{}"),
            token(r#"{"kid":"k"}"#, "{}"),
            token(r#"{"alg":1}"#, "{}"),
            token(r#"{"alg":"x","kid":1}"#, "{}"),
            token(r#"{"alg":"x","typ":[]}"#, "{}"),
            token(r#"{"alg":"x"}"#, "[]"),
            token(r#"{"alg":"x"}"#, r#"{"sub":"a","sub":"b"}"#),
            token(r#"{"alg":"x"}"#, r#"{"a":{"b":1,"b":2}}"#),
            token(r#"{"alg":"x"}"#, "{}{}"),
        ] {
            assert_eq!(Compact::parse(&bad).unwrap_err(), JwsFault::Malformed, "{bad}");
        }
        for header in [
            r#"{"alg":"x","crit":[]}"#,
            r#"{"alg":"x","crit":["b64"],"b64":false}"#,
            r#"{"alg":"x","b64":false}"#,
            r#"{"alg":"x","zip":"DEF"}"#,
        ] {
            assert_eq!(Compact::parse(&token(header, "{}")).unwrap_err(), JwsFault::Critical, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = Compact::parse(&text);
        }

        #[test]
        fn one_value_has_one_spelling(bytes: Vec<u8>, other in "[A-Za-z0-9_-]{0,24}=?") {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
            if let Ok(decoded) = decode(&other) {
                prop_assert_eq!(encode(&decoded), other);
            }
        }
    }
}
