//! Keys, tokens, key sets and a scripted issuer for the tests. Tokens are signed by aws-lc itself and not by the library under test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use contract::jws::encode;
use serde_json::{Value, json};
use settings::files::Files;
use settings::report::Report;
use tokio::sync::Semaphore;

use crate::algorithm::Algorithm;
use crate::config::IssuerConfig;
use crate::plan::IssuerPlan;
use crate::source::{Document, KeySource};

/// The time at which every test token is fresh, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// The issuer of every test token.
pub(crate) const ISSUER: &str = "https://issuer.example/realm";

/// Where `Script` serves the discovery document of `ISSUER`.
pub(crate) const DISCOVERY: &str = "https://issuer.example/realm/.well-known/openid-configuration";

/// Where the test key sets lie.
pub(crate) const JWKS: &str = "https://keys.example/jwks";

/// An RSA key takes a while to make, so there is one.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// A private key of a signer.
pub(crate) enum Signer {
    Rsa,
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The public half, without `alg` and `use`.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let point = |curve: &str, pair: &EcdsaKeyPair| {
            let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y), "kid": kid })
        };
        match self {
            Self::Rsa => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(RSA.public_key());
                json!({ "kty": "RSA", "n": encode(&public.n), "e": encode(&public.e), "kid": kid })
            }
            Self::P256(pair) => point("P-256", pair),
            Self::P384(pair) => point("P-384", pair),
            Self::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()), "kid": kid }),
        }
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa => {
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; RSA.public_modulus_len()];
                RSA.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of these very texts, signed as `algorithm` demands, whatever its header says.
    pub(crate) fn token_of(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = encode(&self.signature(algorithm, input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// An honest token.
    pub(crate) fn token(&self, algorithm: Algorithm, kid: &str, claims: &Value) -> String {
        self.token_of(algorithm, &json!({ "alg": algorithm.name(), "kid": kid, "typ": "JWT" }).to_string(), &claims.to_string())
    }
}

/// Claims that every check lets pass.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "gateway", "sub": "ada", "exp": NOW + 600, "iat": NOW, "scope": "orders:read orders:write", "role": "editor", "other": 1 })
}

pub(crate) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// The configuration of `ISSUER` with its keys at a place.
pub(crate) fn config(keys: Value) -> IssuerConfig {
    serde_json::from_value(
        json!({ "issuer": ISSUER, "audiences": ["gateway"], "algorithms": ["ES256", "RS256"], "keys": keys, "claims": ["role", "absent"] }),
    )
    .unwrap()
}

/// The plan of a lawful configuration.
pub(crate) fn plan(config: &IssuerConfig) -> IssuerPlan {
    let mut report = Report::new();
    let plan = config.check("issuers.demo", &Files::of(Path::new("/")), &mut report);
    assert!(report.is_clean(), "{}", report.print());
    plan.unwrap()
}

/// A source of documents that says what it was told, and counts.
pub(crate) struct Script {
    documents: Mutex<HashMap<String, Result<Vec<u8>, String>>>,
    fetches: AtomicUsize,
    gate: Semaphore,
}

impl Script {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { documents: Mutex::default(), fetches: AtomicUsize::new(0), gate: Semaphore::new(Semaphore::MAX_PERMITS) })
    }

    /// A script that serves `keys` at `JWKS`.
    pub(crate) fn of(keys: &[Value]) -> Arc<Self> {
        let script = Self::new();
        script.serve(JWKS, Ok(jwks(keys)));
        script
    }

    pub(crate) fn serve(&self, url: &str, document: Result<Vec<u8>, String>) {
        self.documents.lock().unwrap().insert(url.to_owned(), document);
    }

    /// From now on no fetch ends.
    pub(crate) fn hang(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Documents asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl KeySource for Script {
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize, allow_http: bool) -> Document<'a> {
        Box::pin(async move {
            assert!(allow_http || url.starts_with("https://"), "{url}");
            self.fetches.fetch_add(1, Ordering::SeqCst);
            let _pass = self.gate.acquire().await.unwrap();
            // A real fetch takes a while; the time of these tests is paused, so it costs none.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let document = self.documents.lock().unwrap().get(url).cloned().unwrap_or_else(|| Err(format!("{url} is not there")));
            document.inspect(|bytes| assert!(bytes.len() <= bytes_max))
        })
    }
}
