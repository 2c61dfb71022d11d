//! The private keys that a tier signs with, as all its replicas share them, and their public halves as it publishes them.
//!
//! In: a private key set (RFC 7517, RFC 8037 §2) or one key in PEM, and `now`. Out: the key that signs now, and the set of those that are published
//! now. In the set `nbf` is the Unix second from which a key signs, and `exp` the one from which it is neither used nor published.
//! Refuses: other kinds of keys, keys without a name or a private half, halves that do not belong together, a name twice. Never: reads the clock;
//! shows a private half.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::assertion::{ASSERTION_BYTES_MAX, Assertion, KEYS_MAX, KeyFault, LIFE_SECONDS_MAX};
use crate::caller::Caller;
use crate::json;
use crate::jws;

/// How long a key is published before it signs, and after the last second in which another one signed by it, in seconds: two lifetimes of what
/// is signed. Within it every replica must have read the shared file, and every verifier the published set.
pub const OVERLAP_SECONDS: u64 = 2 * LIFE_SECONDS_MAX;

/// Bytes of a private key set at most.
pub const KEY_SET_BYTES_MAX: usize = 64 * 1024;

/// What stands before the 32 bytes of an Ed25519 private key in PKCS#8 (RFC 8410 §7).
const PKCS8_HEAD: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// All signing keys of a tier.
#[derive(PartialEq)]
pub struct SigningKeys {
    /// In the order in which they begin to sign.
    keys: Vec<SigningKey>,
}

struct SigningKey {
    key: EncodingKey,
    kid: String,
    from: u64,
    until: Option<u64>,
    public: Value,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.kid, key.from, key.until))).finish()
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        // The public half follows from the private one.
        let Self { key, kid, from, until, public: _ } = self;
        key.as_bytes() == other.key.as_bytes() && (kid, from, until) == (&other.kid, &other.from, &other.until)
    }
}

impl SigningKeys {
    /// One key in PKCS#8 PEM under the name `kid`, which signs always.
    ///
    /// # Errors
    /// `NotAnEd25519Key`, `NameEmpty`.
    pub fn from_pkcs8_pem(pem: &[u8], kid: String) -> Result<Self, KeyFault> {
        if kid.is_empty() {
            return Err(KeyFault::NameEmpty);
        }
        let key = EncodingKey::from_ed_pem(pem).map_err(|_| KeyFault::NotAnEd25519Key)?;
        Ok(Self { keys: vec![SigningKey::new(key, kid, 0, None)?] })
    }

    /// A private key set, as `gwctl keys new` makes it and `gwctl keys rotate` renews it.
    ///
    /// # Errors
    /// `JwksMalformed`, `NoUsableKey` where it is empty, `PrivateKeyMalformed`, `HalvesDiffer`, `TimesWrong`, `KidTwice`.
    pub fn from_jwks(jwks_json: &[u8]) -> Result<Self, KeyFault> {
        if jwks_json.len() > KEY_SET_BYTES_MAX {
            return Err(KeyFault::JwksMalformed);
        }
        let set = json::parse_object(jwks_json).map_err(|_| KeyFault::JwksMalformed)?;
        let Some(Value::Array(listed)) = set.get("keys") else { return Err(KeyFault::JwksMalformed) };
        if listed.len() > KEYS_MAX {
            return Err(KeyFault::JwksMalformed);
        }
        let mut keys = Vec::with_capacity(listed.len());
        for jwk in listed {
            let key = SigningKey::read(jwk.as_object().ok_or(KeyFault::JwksMalformed)?)?;
            if keys.iter().any(|other: &SigningKey| other.kid == key.kid) {
                return Err(KeyFault::KidTwice);
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyFault::NoUsableKey);
        }
        keys.sort_by_key(|key| key.from);
        Ok(Self { keys })
    }

    /// Whether a key signs at `now` (Unix seconds).
    #[must_use]
    pub fn signs_at(&self, now: u64) -> bool {
        self.place_at(now).is_some()
    }

    /// The names of the keys, the one that began last at the end.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.kid.as_str())
    }

    /// The public halves of all keys that have not ended at `now` (Unix seconds), also of those that do not sign yet: a JWKS (RFC 7517 §5).
    #[must_use]
    pub fn published_at(&self, now: u64) -> Value {
        let keys: Vec<&Value> = self.keys.iter().filter(|key| key.is_published_at(now)).map(|key| &key.public).collect();
        json!({ "keys": keys })
    }

    /// When keys end (Unix seconds): at those moments alone another set is published.
    pub fn ends(&self) -> impl Iterator<Item = u64> {
        self.keys.iter().filter_map(|key| key.until)
    }

    /// The place of the newest key that signs at `now`.
    fn place_at(&self, now: u64) -> Option<usize> {
        self.keys.iter().rposition(|key| key.from <= now && key.is_published_at(now))
    }
}

impl SigningKey {
    fn new(key: EncodingKey, kid: String, from: u64, until: Option<u64>) -> Result<Self, KeyFault> {
        // Its form says that it is Ed25519; only a signature shows that the library can use it.
        crypto::sign(b"", &key, Algorithm::EdDSA).map_err(|_| KeyFault::NotAnEd25519Key)?;
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(|_| KeyFault::NotAnEd25519Key)?;
        let x = match jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => pair.x,
            _ => return Err(KeyFault::NotAnEd25519Key),
        };
        let mut public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" });
        if let (Some(until), Some(members)) = (until, public.as_object_mut()) {
            members.insert("exp".to_owned(), until.into());
        }
        Ok(Self { key, kid, from, until, public })
    }

    fn read(jwk: &Map<String, Value>) -> Result<Self, KeyFault> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let time = |name: &str| jwk.get(name).map(|time| time.as_u64().ok_or(KeyFault::TimesWrong)).transpose();
        if text("kty") != Some("OKP") || text("crv") != Some("Ed25519") {
            return Err(KeyFault::PrivateKeyMalformed);
        }
        let kid = text("kid").filter(|kid| !kid.is_empty()).ok_or(KeyFault::PrivateKeyMalformed)?;
        let d = text("d").and_then(|d| jws::decode(d).ok()).filter(|d| d.len() == 32).ok_or(KeyFault::PrivateKeyMalformed)?;
        let (from, until) = (time("nbf")?.unwrap_or(0), time("exp")?);
        if until.is_some_and(|until| until <= from) {
            return Err(KeyFault::TimesWrong);
        }
        let key = EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &d].concat());
        let key = Self::new(key, kid.to_owned(), from, until)?;
        // Verifiers would be told another key than the one that signs.
        if jwk.get("x") == key.public.get("x") { Ok(key) } else { Err(KeyFault::HalvesDiffer) }
    }

    fn is_published_at(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The public half of a private key, as a member of a JWKS.
///
/// # Errors
/// `NotAnEd25519Key`, `NameEmpty`.
pub fn public_jwk(pkcs8_pem: &[u8], kid: &str) -> Result<Value, KeyFault> {
    let keys = SigningKeys::from_pkcs8_pem(pkcs8_pem, kid.to_owned())?;
    keys.keys.into_iter().next().map(|key| key.public).ok_or(KeyFault::NotAnEd25519Key)
}

/// Keys with what stands before all that one kind of token says: what is only made once.
pub(crate) struct Seal {
    keys: Arc<SigningKeys>,
    /// One for each key, encoded.
    headers: Vec<String>,
}

impl PartialEq for Seal {
    /// The headers follow from the keys; a kind of token has one `typ`.
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl Seal {
    /// `typ` tells tokens of different kinds apart that one key signs.
    pub(crate) fn new(keys: Arc<SigningKeys>, typ: &str) -> Self {
        let header = |kid: &str| jws::encode(json!({ "alg": "EdDSA", "kid": kid, "typ": typ }).to_string().as_bytes());
        let headers = keys.kids().map(header).collect();
        Self { keys, headers }
    }

    /// Signs what `claims` makes of the second in which it ends: after a minute, with the caller's credential, or with the key, whichever is first.
    pub(crate) fn sign<C: Serialize>(&self, caller: &Caller, now: u64, claims: impl FnOnce(u64) -> C) -> Result<Assertion, KeyFault> {
        let place = self.keys.place_at(now).ok_or(KeyFault::NoKeyNow)?;
        let (Some(key), Some(header)) = (self.keys.keys.get(place), self.headers.get(place)) else { return Err(KeyFault::NoKeyNow) };
        let life_ends = now.saturating_add(LIFE_SECONDS_MAX);
        let expires_at = [caller.expires_at, key.until].into_iter().flatten().fold(life_ends, u64::min);
        if expires_at <= now {
            return Err(KeyFault::CallerExpired);
        }
        let claims = serde_json::to_vec(&claims(expires_at)).map_err(|_| KeyFault::Signing)?;
        let mut token = format!("{header}.{}", jws::encode(&claims));
        let signature = crypto::sign(token.as_bytes(), &key.key, Algorithm::EdDSA).map_err(|_| KeyFault::Signing)?;
        token.push('.');
        token.push_str(&signature);
        if token.len() > ASSERTION_BYTES_MAX {
            return Err(KeyFault::TooLarge);
        }
        Ok(Assertion { token, issued_at: now, expires_at })
    }

    /// The names of the keys.
    pub(crate) fn keys(&self) -> &SigningKeys {
        &self.keys
    }
}

#[cfg(test)]
#[path = "signing_keys_tests.rs"]
pub(crate) mod tests;
