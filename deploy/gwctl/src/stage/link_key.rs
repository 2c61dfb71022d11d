//! The key with which tier 1 signs identity assertions, Ed25519.
//!
//! In: a key id. Out: the private key as PKCS#8 PEM (RFC 8410 §7) and its public half as a JWK (RFC 8037 §2). Never:
//! shows the private half in Debug.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be {0}")]
pub struct KeyFault(pub(crate) &'static str);

/// A signing key of the link between the tiers.
pub struct LinkKey {
    pem: String,
    seed: [u8; 32],
    jwk: Jwk,
    kid: String,
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl LinkKey {
    /// A new key under `kid`, or under the first twelve characters of its thumbprint (RFC 7638) when none is given.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn new(kid: Option<&str>) -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyFault("made: no randomness"))?;
        // Version 1 of PKCS#8, without the public half inside: every reader of the field takes it, not every one takes version 2.
        let der = pair.to_pkcs8v1().map_err(|_| KeyFault("written as PKCS#8"))?;
        let pem = pem("PRIVATE KEY", der.as_ref());
        // The private key is what PKCS#8 ends with (RFC 8410 §7).
        let seed = der.as_ref().last_chunk::<32>().copied().ok_or(KeyFault("written as PKCS#8"))?;
        let signing = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyFault("read back from PEM"))?;
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).map_err(|_| KeyFault("shown as a JWK"))?;
        let kid = match kid {
            Some(kid) => kid.to_owned(),
            None => jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyFault("named by its thumbprint"))?.chars().take(12).collect(),
        };
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { pem, seed, jwk, kid })
    }

    /// The private key, PKCS#8 PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key id, which stands in each assertion's header and in the JWK.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half: `{"kty":"OKP","crv":"Ed25519","x":…,"kid":…,"alg":"EdDSA","use":"sig"}`.
    ///
    /// # Errors
    /// Never for a key made by [`LinkKey::new`].
    pub fn jwk(&self) -> Result<Value, KeyFault> {
        serde_json::to_value(&self.jwk).map_err(|_| KeyFault("shown as JSON"))
    }

    /// Both halves, as a member of a private key set (RFC 8037 §2).
    ///
    /// # Errors
    /// As [`LinkKey::jwk`].
    pub fn private_jwk(&self) -> Result<Value, KeyFault> {
        let mut jwk = self.jwk()?;
        jwk["d"] = URL_SAFE_NO_PAD.encode(self.seed).into();
        Ok(jwk)
    }

    /// A key set that holds this key alone.
    ///
    /// # Errors
    /// As [`LinkKey::jwk`].
    pub fn jwks(&self) -> Result<String, KeyFault> {
        Ok(format!("{:#}\n", json!({ "keys": [self.jwk()?] })))
    }
}

/// Text encoding of DER (RFC 7468 §2).
fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Header, Validation, decode, encode};

    use super::*;

    #[test]
    fn what_the_private_half_signs_the_public_half_verifies() {
        let key = LinkKey::new(Some("link-1")).unwrap();
        let set: Value = serde_json::from_str(&key.jwks().unwrap()).unwrap();
        let jwk = &set["keys"][0];
        assert_eq!(
            (&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"], &jwk["kid"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"), &json!("link-1"))
        );
        let token =
            encode(&Header::new(Algorithm::EdDSA), &json!({ "n": 1 }), &EncodingKey::from_ed_pem(key.pem().as_bytes()).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let public = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
        assert_eq!(decode::<Value>(&token, &public, &validation).unwrap().claims["n"], 1);
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_without_a_given_name_is_named_by_its_thumbprint() {
        let (one, two) = (LinkKey::new(None).unwrap(), LinkKey::new(None).unwrap());
        assert_eq!(one.kid().len(), 12);
        assert_ne!(one.kid(), two.kid());
    }
}
