//! The issuer asked over HTTP, its tokens verified against its own key set.

use http::Method;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};

use super::*;
use crate::demo::ask::ask;

const NOW_S: u64 = 1_800_000_000;

/// Runs `asking` against an issuer on a free port; the issuer ends with it.
fn with_issuer<F: Future<Output = ()>>(asking: impl FnOnce(Issuer, std::net::SocketAddr) -> F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (clock, _hand) = Clock::manual(NOW_S * 1000);
        let issuer = Issuer::new(&format!("http://{address}"), TokenKey::new().unwrap(), clock);
        tokio::select! {
            _ = issuer.clone().serve(listener, std::future::pending()) => unreachable!(),
            () = asking(issuer, address) => {}
        }
    });
}

async fn get(address: std::net::SocketAddr, path: &str) -> (StatusCode, Value) {
    let (status, body) = ask(address, Method::GET, path, None).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn post(address: std::net::SocketAddr, form: &str) -> (StatusCode, Value) {
    let form = Some(("application/x-www-form-urlencoded", form.to_owned()));
    let (status, body) = ask(address, Method::POST, "/token", form).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The claims of `token`, verified by the set that the issuer publishes.
async fn verified(address: std::net::SocketAddr, token: &str) -> Value {
    let (_, set) = get(address, "/jwks.json").await;
    let set: JwkSet = serde_json::from_value(set).unwrap();
    let key = DecodingKey::from_jwk(set.find(&decode_header(token).unwrap().kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_exp = false;
    decode(token, &key, &validation).unwrap().claims
}

#[test]
fn the_discovery_document_leads_to_the_keys_that_verify_a_token() {
    with_issuer(|issuer, address| async move {
        let (_, found) = get(address, "/.well-known/openid-configuration").await;
        assert_eq!(found["issuer"], issuer.url());
        assert_eq!(found["jwks_uri"], format!("{}/jwks.json", issuer.url()));
        let (status, answer) = post(address, "grant_type=password&username=editor").await;
        assert_eq!((status, &answer["token_type"]), (StatusCode::OK, &json!("Bearer")));
        let claims = verified(address, answer["access_token"].as_str().unwrap()).await;
        assert_eq!(
            claims,
            json!({ "iss": issuer.url(), "sub": "editor", "aud": "gateway", "iat": NOW_S, "exp": NOW_S + 43_200,
                    "scope": "orders:read orders:write users:read", "role": "editor" })
        );
        assert_eq!((issuer.discovery_asked(), issuer.keys_asked()), (1, 1));
    });
}

#[test]
fn a_token_with_a_negative_life_has_expired_after_it_was_issued() {
    with_issuer(|issuer, address| async move {
        let claims = verified(address, &issuer.mint(&USERS[1], &["orders:read"], -3600).unwrap()).await;
        assert_eq!((&claims["exp"], &claims["iat"]), (&json!(NOW_S - 3600), &json!(NOW_S - 7200)));
    });
}

#[test]
fn strangers_and_long_forms_are_refused() {
    with_issuer(|_, address| async move {
        assert_eq!(post(address, "username=root").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(post(address, "user=editor").await.0, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(post(address, &format!("username={}", "e".repeat(FORM_BYTES_MAX))).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn keys_rotate_are_withdrawn_and_have_a_ceiling() {
    with_issuer(|issuer, address| async move {
        let first = issuer.mint(&USERS[0], &[], 60).unwrap();
        let kid = issuer.rotate().unwrap();
        let second = issuer.mint(&USERS[0], &[], 60).unwrap();
        assert_eq!(decode_header(&second).unwrap().kid.as_deref(), Some(kid.as_str()));
        verified(address, &first).await;
        verified(address, &second).await;
        assert!(issuer.withdraw(&kid) && !issuer.withdraw(&kid));
        for _ in 0..KEYS_MAX + 2 {
            issuer.rotate().unwrap();
        }
        assert_eq!(get(address, "/jwks.json").await.1["keys"].as_array().unwrap().len(), KEYS_MAX);
        issuer.set_down(true);
        assert_eq!(get(address, "/jwks.json").await.0, StatusCode::SERVICE_UNAVAILABLE);
    });
}
