//! The key with which the demo issuer signs tokens, ECDSA P-256 (ES256, RFC 7518 §3.4).
//!
//! In: nothing, or the PEM of a key made before. Out: a signing key and its public JWK, named by its thumbprint, so that
//! the name need not be kept beside the key. Never: shows the private half in Debug.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::stage::link_key::KeyFault;

/// A token signing key.
#[derive(Clone)]
pub struct TokenKey {
    pem: String,
    signing: EncodingKey,
    jwk: Jwk,
    kid: String,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// A new key.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn new() -> Result<Self, KeyFault> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| KeyFault("made: no randomness"))?;
        Self::from_pem(&pair.serialize_pem())
    }

    /// The key in `pem` (PKCS#8).
    ///
    /// # Errors
    /// When `pem` is not a private P-256 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let signing = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| KeyFault("read: not a private P-256 key in PEM"))?;
        let mut jwk = Jwk::from_encoding_key(&signing, Algorithm::ES256).map_err(|_| KeyFault("shown as a JWK"))?;
        let kid: String =
            jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyFault("named by its thumbprint"))?.chars().take(12).collect();
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { pem: pem.to_owned(), signing, jwk, kid })
    }

    /// The private key, PKCS#8 PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private half, for signing.
    #[must_use]
    pub fn signing(&self) -> &EncodingKey {
        &self.signing
    }

    /// The public half.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }
}
