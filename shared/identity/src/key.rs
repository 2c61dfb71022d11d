//! One key of an issuer's key set (RFC 7517 §4), admitted only for what it may do.
//!
//! In: a member of `keys`. Out: a key, or why it is passed over. Refuses symmetric keys, private keys, RSA below 2048 bits, keys for encryption.
//! Never: reads `x5u` or `x5c`; a certificate in a key set proves nothing that the set itself does not.

use contract::jws;
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Family};

/// The bounds of an RSA modulus in bits; the upper one is the library's.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A public key that may verify signatures.
pub(crate) struct Key {
    kid: Option<String>,
    family: Family,
    /// The only algorithm that it may be used with, where the set says so.
    algorithm: Option<Algorithm>,
    material: DecodingKey,
}

impl Key {
    /// Reads a key, or says why it cannot be used.
    pub(crate) fn read(jwk: &Map<String, Value>) -> Result<Self, &'static str> {
        let kid = text(jwk, "kid")?.map(str::to_owned);
        let kty = text(jwk, "kty")?.ok_or("it has no kty")?;
        if kty == "oct" {
            return Err("it is symmetric: whoever can verify with it can also sign");
        }
        if ["d", "p", "q", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return Err("it contains a private key, which everybody can read now");
        }
        if text(jwk, "use")?.is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures");
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verify = operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"));
            if !verify {
                return Err("it is not for verifying");
            }
        }
        let (family, material) = match (kty, text(jwk, "crv")?) {
            ("RSA", _) => (Family::Rsa, rsa(jwk)?),
            ("EC", Some("P-256")) => (Family::P256, point(jwk, 32)?),
            ("EC", Some("P-384")) => (Family::P384, point(jwk, 48)?),
            ("OKP", Some("Ed25519")) => (Family::Ed25519, DecodingKey::from_ed_der(&bytes(jwk, "x", 32)?)),
            _ => return Err("its type or curve is not supported"),
        };
        let algorithm = match text(jwk, "alg")? {
            None => None,
            Some(name) => Some(
                Algorithm::parse(name)
                    .filter(|algorithm| algorithm.family() == family)
                    .ok_or("its alg is not supported or does not fit its type")?,
            ),
        };
        Ok(Self { kid, family, algorithm, material })
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether a token signed with `algorithm` may be verified by this key.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` (base64url) over `message` is this key's. The caller has asked whether the key fits.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.material, algorithm.library()).unwrap_or(false)
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member of it has the wrong type"),
    }
}

fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let encoded = text(jwk, name)?.ok_or("a part of the key is missing")?;
    jws::decode(encoded).map_err(|_| "a part of the key is not canonical base64url")
}

fn bytes(jwk: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, &'static str> {
    let bytes = number(jwk, name)?;
    if bytes.len() == length { Ok(bytes) } else { Err("a part of the key has the wrong length") }
}

fn point(jwk: &Map<String, Value>, length: usize) -> Result<DecodingKey, &'static str> {
    // Uncompressed form (SEC 1 §2.3.3); the library refuses points that are not on the curve.
    let point = [&[4], &bytes(jwk, "x", length)?[..], &bytes(jwk, "y", length)?[..]].concat();
    Ok(DecodingKey::from_ec_der(&point))
}

fn rsa(jwk: &Map<String, Value>) -> Result<DecodingKey, &'static str> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    // Some issuers write a leading zero byte, which the RFC forbids and which adds nothing.
    let (n, e) = (significant(&n), significant(&e));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("its RSA modulus has fewer than 2048 bits or more than 8192");
    }
    let odd = e.last().is_some_and(|last| last & 1 == 1);
    if !odd || e == [1] || e.len() > 4 {
        return Err("its RSA exponent is not lawful");
    }
    Ok(DecodingKey::from_rsa_raw_components(n, e))
}

fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
