//! The identity assertion: a compact JWS by which tier 1 tells tier 2 who is asking and how that was proved.
//!
//! In (tier 1): a proved caller and a private key. Out: a token of at most a minute's life. In (tier 2): a token. Out: the caller, or why not.
//! Refuses every algorithm but EdDSA over Ed25519, unknown keys, issuers, audiences, treaties and clocks. Never: reads the clock, gives `exp`
//! leeway, or believes anything before the signature holds. That it came over an authenticated link is for the room to check.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TREATY;
use crate::caller::Caller;
use crate::json;
use crate::jws::{self, Compact};
use crate::reason::Reason;
use crate::signing_keys::{Seal, SigningKeys};
use crate::treaty;

/// The longest life of an assertion, in seconds.
pub const LIFE_SECONDS_MAX: u64 = 60;

/// How far tier 1's clock may run ahead of tier 2's, in seconds.
pub const AHEAD_SECONDS_MAX: u64 = 5;

/// The longest assertion, in bytes.
pub const ASSERTION_BYTES_MAX: usize = 8192;

/// The most keys that are read from a JWKS.
pub const KEYS_MAX: usize = 64;

/// The `typ` of the header, so that no other token of the same key can pass for an assertion.
const TYP: &str = "gw+jwt";

/// Why a key or an assertion could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not an Ed25519 private key in PKCS#8 PEM.
    #[error("this is not an Ed25519 private key in PKCS#8 PEM")]
    NotAnEd25519Key,
    /// The JWKS is not a JSON object with a list of keys, or has more than `KEYS_MAX`.
    #[error("this is not a JSON Web Key Set")]
    JwksMalformed,
    /// The JWKS has no Ed25519 key with a `kid` for signatures.
    #[error("the key set has no Ed25519 signature key with a kid")]
    NoUsableKey,
    /// Two usable keys share a `kid`.
    #[error("two keys of the set share a kid")]
    KidTwice,
    /// A key of a private set is no Ed25519 key, or lacks its `kid` or its private half.
    #[error("a key of the set is no Ed25519 private key with kty, crv, kid, x and d")]
    PrivateKeyMalformed,
    /// The public half that stands with a private one is that of another key.
    #[error("a key of the set has an x that does not belong to its d")]
    HalvesDiffer,
    /// `nbf` or `exp` of a key is no Unix second, or the key ends before it begins.
    #[error("a key of the set has an nbf or exp that is no Unix second, or ends before it begins")]
    TimesWrong,
    /// No key signs at this time: none has begun, or all have ended.
    #[error("no key of the set signs now: each has ended or has not begun")]
    NoKeyNow,
    /// Of nobody in particular nothing is said to a service.
    #[error("the caller is anonymous")]
    CallerAnonymous,
    /// A name that must not be empty is.
    #[error("kid, issuer and audience must not be empty")]
    NameEmpty,
    /// The caller's credential is dead already.
    #[error("the caller's credential has expired")]
    CallerExpired,
    /// The caller has more claims than an assertion can hold.
    #[error("the assertion would be larger than its ceiling")]
    TooLarge,
    /// The cryptographic library failed.
    #[error("signing failed")]
    Signing,
}

/// Why an assertion was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionFault {
    /// There is none.
    #[error("there is no assertion")]
    Missing,
    /// It cannot be read in exactly one way, or a claim has the wrong form.
    #[error("the assertion is malformed")]
    Malformed,
    /// Another algorithm than EdDSA.
    #[error("the assertion's algorithm is not EdDSA")]
    Algorithm,
    /// No key of that `kid`.
    #[error("the assertion's key is not known")]
    KeyUnknown,
    /// The signature does not hold.
    #[error("the assertion's signature is wrong")]
    Signature,
    /// Signed by a known key in a name that is not believed.
    #[error("the assertion's issuer is not believed")]
    Issuer,
    /// Meant for another tier.
    #[error("the assertion is meant for somebody else")]
    Audience,
    /// Its time is over.
    #[error("the assertion has expired")]
    Expired,
    /// Issued further ahead than clocks may differ.
    #[error("the assertion was issued in the future")]
    NotYet,
    /// Made under a treaty that is neither ours nor next to ours.
    #[error("the assertion was made under a treaty that is not understood here")]
    Treaty,
}

impl AssertionFault {
    /// The refusal that the client gets.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::AssertionMissing,
            Self::Malformed => Reason::AssertionMalformed,
            Self::Algorithm => Reason::AssertionAlgorithm,
            Self::KeyUnknown => Reason::AssertionKeyUnknown,
            Self::Signature => Reason::AssertionSignature,
            Self::Issuer => Reason::AssertionIssuer,
            Self::Audience => Reason::AssertionAudience,
            Self::Expired => Reason::AssertionExpired,
            Self::NotYet => Reason::AssertionNotYet,
            Self::Treaty => Reason::AssertionTreaty,
        }
    }
}

/// A signed assertion.
#[derive(Clone)]
pub struct Assertion {
    /// The compact JWS.
    pub token: String,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds; at most `LIFE_SECONDS_MAX` later, and never after the caller's credential.
    pub expires_at: u64,
}

impl fmt::Debug for Assertion {
    /// The token is a credential and stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("issued_at", &self.issued_at).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A caller that tier 1 vouched for; only `Verifier::verify` makes one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Vouch {
    /// Who is asking.
    pub caller: Caller,
    /// Unix seconds, without leeway.
    pub expires_at: u64,
}

impl Vouch {
    /// A word is good for as long as the key that gave it.
    fn until(self, until: Option<u64>) -> Self {
        Self { expires_at: until.map_or(self.expires_at, |until| until.min(self.expires_at)), ..self }
    }
}

/// The claims of an assertion.
#[derive(Serialize, Deserialize)]
struct Claims<C> {
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
    treaty: u16,
    caller: C,
}

/// Tier 1's side: private keys and the names that it signs under.
#[derive(PartialEq)]
pub struct Signer {
    seal: Seal,
    issuer: String,
    audience: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seal, issuer, audience } = self;
        f.debug_struct("Signer").field("keys", seal.keys()).field("issuer", issuer).field("audience", audience).finish()
    }
}

impl Signer {
    /// Signs by `keys` as `issuer` for `audience`.
    ///
    /// # Errors
    /// `NameEmpty`.
    pub fn new(keys: Arc<SigningKeys>, issuer: String, audience: String) -> Result<Self, KeyFault> {
        if issuer.is_empty() || audience.is_empty() {
            return Err(KeyFault::NameEmpty);
        }
        Ok(Self { seal: Seal::new(keys, TYP), issuer, audience })
    }

    /// Reads an Ed25519 private key, which signs always.
    ///
    /// # Errors
    /// `NotAnEd25519Key` and `NameEmpty`.
    pub fn from_pkcs8_pem(pem: &[u8], kid: String, issuer: String, audience: String) -> Result<Self, KeyFault> {
        Self::new(Arc::new(SigningKeys::from_pkcs8_pem(pem, kid)?), issuer, audience)
    }

    /// Vouches for `caller` at `now` (Unix seconds). It costs some 20 µs, so one assertion serves a credential for half its life.
    ///
    /// # Errors
    /// `CallerExpired`, `NoKeyNow`, `TooLarge`, `Signing`.
    pub fn sign(&self, caller: &Caller, now: u64) -> Result<Assertion, KeyFault> {
        let claims = |exp| Claims { iss: self.issuer.clone(), aud: self.audience.clone(), iat: now, exp, treaty: TREATY, caller };
        self.seal.sign(caller, now, claims)
    }
}

/// Tier 2's side: whom it believes, by which keys, and under which name it is spoken to. Two are equal that believe alike.
#[derive(Debug, PartialEq)]
pub struct Verifier {
    keys: BTreeMap<String, TrustedKey>,
    issuers: Vec<String>,
    audience: String,
}

#[derive(Debug)]
struct TrustedKey {
    key: DecodingKey,
    /// The Unix second in which it is believed no more; its owner says so in the `exp` of the published key.
    until: Option<u64>,
}

impl PartialEq for TrustedKey {
    fn eq(&self, other: &Self) -> bool {
        let bytes = (self.key.try_get_as_bytes(), other.key.try_get_as_bytes());
        self.until == other.until && matches!(bytes, (Ok(key), Ok(other)) if key == other)
    }
}

impl Verifier {
    /// Reads the Ed25519 signature keys of a JWKS; keys of other kinds are passed over.
    ///
    /// # Errors
    /// `JwksMalformed`, `NoUsableKey`, `KidTwice`, `NameEmpty`.
    pub fn new(jwks_json: &[u8], issuers: Vec<String>, audience: String) -> Result<Self, KeyFault> {
        if issuers.is_empty() || issuers.iter().any(String::is_empty) || audience.is_empty() {
            return Err(KeyFault::NameEmpty);
        }
        let set = json::parse_object(jwks_json).map_err(|_| KeyFault::JwksMalformed)?;
        let Some(Value::Array(listed)) = set.get("keys") else { return Err(KeyFault::JwksMalformed) };
        if listed.len() > KEYS_MAX {
            return Err(KeyFault::JwksMalformed);
        }
        let mut keys = BTreeMap::new();
        for (kid, key) in listed.iter().filter_map(Value::as_object).filter_map(public_key) {
            if keys.insert(kid, key).is_some() {
                return Err(KeyFault::KidTwice);
            }
        }
        if keys.is_empty() { Err(KeyFault::NoUsableKey) } else { Ok(Self { keys, issuers, audience }) }
    }

    /// Believes `token` at `now` (Unix seconds), or says why not.
    ///
    /// # Errors
    /// Structure first, then algorithm, key and signature, and only then what the claims say.
    pub fn verify(&self, token: &str, now: u64) -> Result<Vouch, AssertionFault> {
        if token.is_empty() {
            return Err(AssertionFault::Missing);
        }
        if token.len() > ASSERTION_BYTES_MAX {
            return Err(AssertionFault::Malformed);
        }
        let compact = Compact::parse(token).map_err(|_| AssertionFault::Malformed)?;
        if compact.algorithm != "EdDSA" {
            return Err(AssertionFault::Algorithm);
        }
        if compact.typ.as_deref() != Some(TYP) {
            return Err(AssertionFault::Malformed);
        }
        let trusted =
            compact.kid.as_ref().and_then(|kid| self.keys.get(kid)).filter(|trusted| trusted.until.is_none_or(|until| now < until));
        let TrustedKey { key, until } = trusted.ok_or(AssertionFault::KeyUnknown)?;
        match crypto::verify(compact.signature, compact.signing_input.as_bytes(), key, Algorithm::EdDSA) {
            Ok(true) => self.judge(compact.claims, now).map(|vouch| vouch.until(*until)),
            Ok(false) | Err(_) => Err(AssertionFault::Signature),
        }
    }

    /// What a genuine assertion says, at `now`.
    fn judge(&self, claims: Map<String, Value>, now: u64) -> Result<Vouch, AssertionFault> {
        // A treaty that is further away may have other claims, so its number is looked at before them.
        match claims.get("treaty") {
            Some(treaty) if treaty.as_u64().is_some_and(treaty::is_adjacent) => {}
            Some(Value::Number(_)) => return Err(AssertionFault::Treaty),
            _ => return Err(AssertionFault::Malformed),
        }
        let claims: Claims<Caller> = serde_json::from_value(Value::Object(claims)).map_err(|_| AssertionFault::Malformed)?;
        if !self.issuers.contains(&claims.iss) {
            return Err(AssertionFault::Issuer);
        }
        if claims.aud != self.audience {
            return Err(AssertionFault::Audience);
        }
        if claims.iat > now.saturating_add(AHEAD_SECONDS_MAX) {
            return Err(AssertionFault::NotYet);
        }
        if claims.exp <= now {
            return Err(AssertionFault::Expired);
        }
        if claims.exp > claims.iat.saturating_add(LIFE_SECONDS_MAX) {
            return Err(AssertionFault::Malformed);
        }
        Ok(Vouch { caller: claims.caller, expires_at: claims.exp })
    }
}

/// A key of a JWKS that may verify assertions, with its `kid`.
fn public_key(jwk: &Map<String, Value>) -> Option<(String, TrustedKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let fits = text("kty") == Some("OKP")
        && text("crv") == Some("Ed25519")
        && jwk.get("alg").is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519")
        && jwk.get("use").is_none_or(|usage| usage == "sig")
        && jwk.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        });
    let kid = text("kid").filter(|kid| !kid.is_empty())?;
    let x = jws::decode(text("x")?).ok().filter(|x| x.len() == 32)?;
    // A key whose end cannot be read must not live for ever.
    let until = jwk.get("exp").map(|until| until.as_u64().ok_or(())).transpose().ok()?;
    fits.then(|| (kid.to_owned(), TrustedKey { key: DecodingKey::from_ed_der(&x), until }))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod treaty_tests;
