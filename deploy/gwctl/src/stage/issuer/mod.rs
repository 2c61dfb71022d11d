//! A small OpenID issuer: discovery document, key set, and a token endpoint for two demo users.
//!
//! In: HTTP requests, or calls in process. Out: ES256 tokens for the audience `gateway`. Refuses: users it does not know.
//! Never: asks for a password: it stands on loopback, for demonstration and tests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jsonwebtoken::{Algorithm, Header, encode};
use serde::Deserialize;
use serde_json::{Value, json};
use settings::clock::Clock;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::stage::link_key::KeyFault;
use crate::stage::token_key::TokenKey;

/// The audience of every token.
pub const AUDIENCE: &str = "gateway";
/// How long a token of the token endpoint lives: a day of demonstration.
pub const TOKEN_LIFE_SECONDS: i64 = 12 * 3600;
/// Keys published at once; the oldest goes when another comes.
pub const KEYS_MAX: usize = 8;
/// A token request is one short form.
pub const FORM_BYTES_MAX: usize = 4096;

/// Somebody the issuer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The `sub` claim.
    pub name: &'static str,
    /// The `scope` claim, as separate words.
    pub scopes: &'static [&'static str],
    /// The `role` claim.
    pub role: &'static str,
}

/// The demo users.
pub const USERS: [User; 2] = [
    User { name: "editor", scopes: &["orders:read", "orders:write", "users:read"], role: "editor" },
    User { name: "reader", scopes: &["orders:read"], role: "reader" },
];

/// The user of that name.
#[must_use]
pub fn user(name: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.name == name)
}

/// The issuer; clones share its keys and its counters.
#[derive(Clone, Debug)]
pub struct Issuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: String,
    clock: Clock,
    keys: Mutex<Vec<TokenKey>>,
    down: AtomicBool,
    discovery_asked: AtomicU64,
    keys_asked: AtomicU64,
}

impl Issuer {
    /// An issuer that calls itself `url` (no `/` at its end) and signs with `key`.
    #[must_use]
    pub fn new(url: &str, key: TokenKey, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            url: url.to_owned(),
            clock,
            keys: Mutex::new(vec![key]),
            down: AtomicBool::new(false),
            discovery_asked: AtomicU64::new(0),
            keys_asked: AtomicU64::new(0),
        }))
    }

    /// The `iss` claim.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// A token for `user` with exactly `scopes`, which ends `life_s` seconds from now; a negative life is already over.
    ///
    /// # Errors
    /// When signing fails, which a sound key never does.
    pub fn mint(&self, user: &User, scopes: &[&str], life_s: i64) -> Result<String, KeyFault> {
        let now = i64::try_from(self.0.clock.now_s()).unwrap_or(i64::MAX);
        let expires = now.saturating_add(life_s);
        // A token that has ended was issued before it ended.
        let issued = if life_s > 0 { now } else { expires.saturating_sub(3600).max(0) };
        self.mint_claims(&json!({
            "iss": self.0.url, "sub": user.name, "aud": AUDIENCE, "iat": issued, "exp": expires,
            "scope": scopes.join(" "), "role": user.role,
        }))
    }

    /// A token with exactly these claims, signed by the newest key: for tests of what a verifier must refuse.
    ///
    /// # Errors
    /// As [`Issuer::mint`].
    pub fn mint_claims(&self, claims: &Value) -> Result<String, KeyFault> {
        let keys = self.keys();
        let key = keys.last().ok_or(KeyFault("used: the issuer has none"))?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(key.kid().to_owned());
        encode(&header, claims, key.signing()).map_err(|_| KeyFault("used to sign"))
    }

    /// Adds a new key, signs with it from now on, and answers its kid. The former keys stay published.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn rotate(&self) -> Result<String, KeyFault> {
        let key = TokenKey::new()?;
        let kid = key.kid().to_owned();
        let mut keys = self.keys();
        keys.push(key);
        if keys.len() > KEYS_MAX {
            keys.remove(0);
        }
        Ok(kid)
    }

    /// Takes a key out of the set; tokens signed by it must soon be refused. True when it was there.
    pub fn withdraw(&self, kid: &str) -> bool {
        let mut keys = self.keys();
        let before = keys.len();
        keys.retain(|key| key.kid() != kid);
        keys.len() < before
    }

    /// While down, every endpoint answers 503.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// How often the discovery document was asked for.
    #[must_use]
    pub fn discovery_asked(&self) -> u64 {
        self.0.discovery_asked.load(Ordering::SeqCst)
    }

    /// How often the key set was asked for.
    #[must_use]
    pub fn keys_asked(&self) -> u64 {
        self.0.keys_asked.load(Ordering::SeqCst)
    }

    /// The endpoints.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks.json", get(key_set))
            .route("/token", post(token))
            .layer(RequestBodyLimitLayer::new(FORM_BYTES_MAX))
            .layer(CatchPanicLayer::new())
            .with_state(self.clone())
    }

    /// Answers on `listener` until `stop` is done, then finishes what is under way.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop).await
    }

    fn keys(&self) -> MutexGuard<'_, Vec<TokenKey>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        self.0.down.load(Ordering::SeqCst)
    }
}

/// OpenID Connect Discovery 1.0 §3.
async fn discovery(State(issuer): State<Issuer>) -> Response {
    issuer.0.discovery_asked.fetch_add(1, Ordering::SeqCst);
    if issuer.is_down() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let url = issuer.url();
    Json(json!({
        "issuer": url,
        "jwks_uri": format!("{url}/jwks.json"),
        "token_endpoint": format!("{url}/token"),
        "authorization_endpoint": format!("{url}/authorize"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "grant_types_supported": ["password"],
    }))
    .into_response()
}

/// RFC 7517 §5.
async fn key_set(State(issuer): State<Issuer>) -> Response {
    issuer.0.keys_asked.fetch_add(1, Ordering::SeqCst);
    if issuer.is_down() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys: Vec<_> = issuer.keys().iter().map(|key| key.jwk().clone()).collect();
    Json(json!({ "keys": keys })).into_response()
}

#[derive(Deserialize)]
struct TokenForm {
    username: String,
}

/// RFC 6749 §4.3, without the password.
async fn token(State(issuer): State<Issuer>, Form(form): Form<TokenForm>) -> Response {
    if issuer.is_down() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(user) = user(&form.username) else {
        let names: Vec<_> = USERS.iter().map(|user| user.name).collect();
        let detail = format!("no such user; the demo knows {}", names.join(", "));
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant", "error_description": detail }))).into_response();
    };
    match issuer.mint(user, user.scopes, TOKEN_LIFE_SECONDS) {
        Ok(token) => {
            let body =
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_SECONDS, "scope": user.scopes.join(" ") });
            ([(http::header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
