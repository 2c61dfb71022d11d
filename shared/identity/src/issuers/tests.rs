//! Issuers over a scripted source, in paused time: rotation, storms, outages, files, caches.

use std::path::Path;

use serde_json::{Value, json};
use settings::clock::ClockHand;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::algorithm::Algorithm;
use crate::forge::{DISCOVERY, ISSUER, JWKS, NOW, Script, Signer, claims, config, jwks, plan};
use crate::issuer::{ASK_WAIT, FETCH_FLOOR, FILE_POLL};

struct Bench {
    script: Arc<Script>,
    issuers: Arc<Issuers>,
    cache: TokenCache,
    metrics: Metrics,
    _hand: ClockHand,
}

impl Bench {
    fn of(script: Arc<Script>, keys: Value) -> Self {
        let (clock, _hand) = Clock::manual(NOW * 1000);
        let metrics = Metrics::new();
        let source: Arc<dyn KeySource> = Arc::clone(&script) as _;
        let issuers = Issuers::after_from(None, vec![plan(&config(keys))], source, &Tasks::on(Handle::current()), &clock, &metrics);
        Self { script, issuers, cache: TokenCache::new(100), metrics, _hand }
    }

    /// One issuer at `JWKS` that has answered with `keys`.
    async fn with(keys: &[Value]) -> Self {
        let bench = Self::of(Script::of(keys), json!({ "jwks_url": JWKS }));
        assert!(bench.issuers.wait_first(Duration::from_secs(1)).await);
        bench
    }

    async fn ask(&self, token: &str) -> Result<String, Reason> {
        self.issuers.authenticate(&self.cache, token, &[0], NOW).await.map(|caller| caller.subject.clone())
    }
}

fn token(signer: &Signer, kid: &str) -> String {
    signer.token(Algorithm::Es256, kid, &claims())
}

fn ada() -> Result<String, Reason> {
    Ok("ada".to_owned())
}

#[tokio::test(start_paused = true)]
async fn keys_are_found_through_the_discovery_document() {
    let signer = Signer::p256();
    let script = Script::of(&[signer.jwk("k")]);
    script.serve(DISCOVERY, Ok(json!({ "issuer": ISSUER, "jwks_uri": JWKS }).to_string().into_bytes()));
    let bench = Bench::of(script, json!({ "discovery": true }));
    assert_eq!(bench.issuers.health(), [("demo".to_owned(), false, "no keys yet".to_owned())]);
    assert!(bench.issuers.wait_first(Duration::from_secs(1)).await);
    assert_eq!(bench.ask(&token(&signer, "k")).await, ada());
    assert_eq!(bench.issuers.health(), [("demo".to_owned(), true, "1 keys, read 0 s ago".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_discovery_document_that_may_not_be_believed_gives_no_keys() {
    for (document, why) in [
        (json!({ "issuer": "https://evil.example", "jwks_uri": JWKS }), "another issuer"),
        (json!({ "issuer": format!("{ISSUER}/"), "jwks_uri": JWKS }), "another issuer"),
        (json!({ "jwks_uri": JWKS }), "another issuer"),
        (json!({ "issuer": ISSUER, "jwks_uri": "http://keys.example/jwks" }), "not https"),
        (json!({ "issuer": ISSUER, "jwks_uri": "file:///etc/passwd" }), "not https"),
        (json!({ "issuer": ISSUER }), "no jwks_uri"),
        (json!([]), "JSON"),
    ] {
        let script = Script::of(&[Signer::p256().jwk("k")]);
        script.serve(DISCOVERY, Ok(document.to_string().into_bytes()));
        let bench = Bench::of(script, json!({ "discovery": true }));
        assert!(!bench.issuers.wait_first(Duration::from_secs(1)).await);
        let (_, ready, detail) = bench.issuers.health().remove(0);
        assert!(!ready && detail.contains(why), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_every_token_waits_for_better_times_and_the_first_answer_ends_them() {
    let signer = Signer::p256();
    let bench = Bench::of(Script::new(), json!({ "jwks_url": JWKS }));
    assert!(!bench.issuers.wait_first(Duration::from_secs(2)).await);
    assert_eq!(bench.ask(&token(&signer, "k")).await, Err(Reason::KeysUnavailable));
    let tried = bench.script.fetches();
    assert!((2..=5).contains(&tried), "{tried} fetches in two seconds");
    bench.script.serve(JWKS, Ok(jwks(&[signer.jwk("k")])));
    assert!(bench.issuers.wait_first(Duration::from_secs(31)).await);
    assert_eq!(bench.ask(&token(&signer, "k")).await, ada());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_rotated_key_is_fetched_once_for_all_who_wait() {
    let (former, next) = (Signer::p256(), Signer::p256());
    let bench = Bench::with(&[former.jwk("k1")]).await;
    advance(FETCH_FLOOR).await;
    let before = bench.script.fetches();
    bench.script.serve(JWKS, Ok(jwks(&[former.jwk("k1"), next.jwk("k2")])));
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let (issuers, token) = (Arc::clone(&bench.issuers), token(&next, "k2"));
        asking.spawn_local(async move {
            issuers.authenticate(&TokenCache::new(2), &token, &[0], NOW).await.map(|caller| caller.subject.clone())
        });
    }
    assert!(asking.join_all().await.into_iter().all(|outcome| outcome == ada()));
    assert_eq!(bench.script.fetches(), before + 1);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_storm_of_invented_kids_costs_a_bounded_number_of_fetches() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_secs(60) {
        let mut storm = JoinSet::new();
        for _ in 0..50 {
            asked += 1;
            let (issuers, token) = (Arc::clone(&bench.issuers), token(&signer, &format!("invented-{asked}")));
            storm.spawn_local(async move {
                issuers.authenticate(&TokenCache::new(2), &token, &[0], NOW).await.map(|caller| caller.subject.clone())
            });
        }
        assert!(storm.join_all().await.into_iter().all(|outcome| outcome == Err(Reason::TokenKeyUnknown)));
        // Honest callers are served all the while.
        assert_eq!(bench.ask(&token(&signer, "k")).await, ada());
        sleep(Duration::from_millis(300)).await;
    }
    assert!(asked > 1000);
    let fetches = bench.script.fetches();
    assert!((5..=14).contains(&fetches), "{fetches} fetches in a minute");
}

#[tokio::test(start_paused = true)]
async fn one_stale_kid_is_asked_for_seldom() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        assert_eq!(bench.ask(&token(&signer, "retired")).await, Err(Reason::TokenKeyUnknown));
        sleep(Duration::from_millis(100)).await;
    }
    let fetches = bench.script.fetches();
    assert!((2..=4).contains(&fetches), "{fetches} fetches in a minute");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_bound() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    advance(FETCH_FLOOR).await;
    bench.script.hang();
    let start = Instant::now();
    assert_eq!(bench.ask(&token(&signer, "new")).await, Err(Reason::KeysUnavailable));
    assert!(start.elapsed() <= ASK_WAIT + Duration::from_millis(5), "{:?}", start.elapsed());
    assert_eq!(bench.ask(&token(&signer, "k")).await, ada());
}

#[tokio::test(start_paused = true)]
async fn an_oversized_kid_is_never_asked_for() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    advance(FETCH_FLOOR).await;
    let before = bench.script.fetches();
    assert_eq!(bench.ask(&token(&signer, &"k".repeat(1000))).await, Err(Reason::TokenKeyUnknown));
    assert_eq!(bench.script.fetches(), before);
}

#[tokio::test(start_paused = true)]
async fn keys_stay_while_the_issuer_is_down() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    let before = bench.script.fetches();
    for broken in [Err("connection refused".to_owned()), Ok(b"<html>".to_vec()), Ok(jwks(&[]))] {
        bench.script.serve(JWKS, broken);
        sleep(Duration::from_secs(400)).await;
        assert_eq!(
            bench.issuers.authenticate(&TokenCache::new(0), &token(&signer, "k"), &[0], NOW).await.map(|caller| caller.subject.clone()),
            ada()
        );
        let (_, ready, detail) = bench.issuers.health().remove(0);
        assert!(ready && detail.contains("not since"), "{detail}");
        assert_eq!(bench.ask(&token(&signer, "new")).await, Err(Reason::KeysUnavailable), "nobody can say whether that key exists");
    }
    assert!(bench.script.fetches() > before + 3);
    bench.script.serve(JWKS, Ok(jwks(&[signer.jwk("k")])));
    sleep(Duration::from_secs(31)).await;
    assert_eq!(bench.issuers.health().remove(0).2, "1 keys, read 0 s ago");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_dies_with_the_next_refresh_although_its_tokens_are_cached() {
    let (former, next) = (Signer::p256(), Signer::p256());
    let bench = Bench::with(&[former.jwk("k1"), next.jwk("k2")]).await;
    // ECDSA signs differently each time, so the very token is kept.
    let held = token(&former, "k1");
    assert_eq!(bench.ask(&held).await, ada());
    sleep(Duration::from_secs(301)).await;
    assert_eq!(bench.ask(&held).await, ada());
    let text = bench.metrics.encode();
    assert!(text.contains(r#"gateway_token_cache_total{result="hit"} 1"#), "an unchanged key set keeps the cache\n{text}");
    bench.script.serve(JWKS, Ok(jwks(&[next.jwk("k2")])));
    sleep(Duration::from_secs(301)).await;
    assert_eq!(bench.ask(&held).await, Err(Reason::TokenKeyUnknown));
    assert!(bench.cache.is_empty());
    assert_eq!(bench.ask(&token(&next, "k2")).await, ada());
}

#[tokio::test(start_paused = true)]
async fn a_cached_token_is_judged_anew_by_time_and_by_rule() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    let token = token(&signer, "k");
    assert_eq!(bench.ask(&token).await, ada());
    let at = async |allowed: &[usize], now| {
        bench.issuers.authenticate(&bench.cache, &token, allowed, now).await.map(|caller| caller.subject.clone())
    };
    assert_eq!(at(&[], NOW).await, Err(Reason::TokenIssuerUnknown));
    assert_eq!(at(&[1], NOW).await, Err(Reason::TokenIssuerUnknown));
    assert_eq!(at(&[0], NOW + 659).await, ada());
    assert_eq!(at(&[0], NOW + 660).await, Err(Reason::TokenExpired));
    assert_eq!(at(&[0], NOW + 660).await, Err(Reason::TokenExpired));
    assert_eq!(bench.issuers.authenticate(&bench.cache, &"x".repeat(9000), &[0], NOW).await, Err(Reason::TokenTooLarge));
}

#[tokio::test(start_paused = true)]
async fn refused_tokens_are_not_remembered() {
    let signer = Signer::p256();
    let bench = Bench::with(&[signer.jwk("k")]).await;
    assert_eq!(bench.ask(&token(&Signer::p256(), "k")).await, Err(Reason::TokenSignatureInvalid));
    assert!(bench.cache.is_empty());
}

#[tokio::test(start_paused = true)]
async fn reads_are_counted_by_issuer() {
    let bench = Bench::with(&[Signer::p256().jwk("k")]).await;
    bench.script.serve(JWKS, Err("down".to_owned()));
    until_health(&bench, "down").await;
    let text = bench.metrics.encode();
    for line in [
        r#"gateway_key_fetches_total{issuer="demo",result="ok"} 1"#,
        r#"gateway_key_fetches_total{issuer="demo",result="failed"} 1"#,
        r#"gateway_keys{issuer="demo"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_refreshers_end_with_their_issuers() {
    let bench = Bench::with(&[Signer::p256().jwk("k")]).await;
    assert!(Arc::strong_count(&bench.script) > 1);
    drop(bench.issuers);
    // One step of the clock lets every woken task run.
    sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&bench.script), 1);
}

/// Waits, at most ten minutes, until the health of the issuer speaks of `part`.
async fn until_health(bench: &Bench, part: &str) {
    for _ in 0..600 {
        if bench.issuers.health().remove(0).2.contains(part) {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("{:?} never spoke of {part:?}", bench.issuers.health());
}

/// Waits, at most a minute of the file's own polls, until `token` is answered as `wanted`.
async fn until(bench: &Bench, token: &str, wanted: Result<String, Reason>) {
    for _ in 0..60 {
        if bench.issuers.authenticate(&TokenCache::new(0), token, &[0], NOW).await.map(|caller| caller.subject.clone()) == wanted {
            return;
        }
        sleep(FILE_POLL).await;
    }
    panic!("the file's news never came; wanted {wanted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_file_is_read_again_when_it_changes_by_rename_and_half_files_change_nothing() {
    let folder = std::env::temp_dir().join(format!("identity-issuers-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keys.json");
    let (one, two) = (Signer::p256(), Signer::p256());
    let put = |bytes: &[u8], path: &Path| {
        std::fs::write(folder.join("new"), bytes).unwrap();
        std::fs::rename(folder.join("new"), path).unwrap();
    };
    put(&jwks(&[one.jwk("k1")]), &path);
    let bench = Bench::of(Script::new(), json!({ "jwks_file": path.to_str().unwrap() }));
    assert!(bench.issuers.wait_first(Duration::from_secs(5)).await);
    until(&bench, &token(&one, "k1"), ada()).await;

    std::fs::write(&path, br#"{"keys":["#).unwrap();
    until_health(&bench, "not since").await;
    until(&bench, &token(&one, "k1"), ada()).await;

    put(&jwks(&[two.jwk("k2")]), &path);
    until(&bench, &token(&two, "k2"), ada()).await;
    until(&bench, &token(&one, "k1"), Err(Reason::TokenKeyUnknown)).await;

    std::fs::remove_file(&path).unwrap();
    until_health(&bench, "cannot be read").await;
    until(&bench, &token(&two, "k2"), ada()).await;
    assert_eq!(bench.script.fetches(), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}
