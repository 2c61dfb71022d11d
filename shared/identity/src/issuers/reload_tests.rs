//! What a newer configuration takes over of the former one's issuers, and what it must not.

use serde_json::{Value, json};
use settings::clock::ClockHand;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::*;
use crate::algorithm::Algorithm;
use crate::config::{IssuerConfig, check_all};
use crate::forge::{ISSUER, JWKS, NOW, Script, Signer, claims, config};

/// The issuers of a process over its reloads.
struct Life {
    script: Arc<Script>,
    cache: TokenCache,
    metrics: Metrics,
    clock: Clock,
    _hand: ClockHand,
}

impl Life {
    fn new() -> Self {
        let (clock, _hand) = Clock::manual(NOW * 1000);
        Self { script: Script::new(), cache: TokenCache::new(100), metrics: Metrics::new(), clock, _hand }
    }

    fn load(&self, before: Option<&Arc<Issuers>>, configs: &[(&str, &IssuerConfig)]) -> Arc<Issuers> {
        self.load_from(before, configs, &self.script)
    }

    fn load_from(&self, before: Option<&Arc<Issuers>>, configs: &[(&str, &IssuerConfig)], script: &Arc<Script>) -> Arc<Issuers> {
        let mut report = settings::report::Report::new();
        let configs = configs.iter().map(|(name, config)| ((*name).to_owned(), (*config).clone())).collect();
        let plans = check_all(&configs, "issuers", &settings::files::Files::of(std::path::Path::new("/")), &mut report).unwrap();
        Issuers::after_from(before, plans, Arc::clone(script) as _, &Tasks::on(Handle::current()), &self.clock, &self.metrics)
    }

    async fn ask(&self, issuers: &Issuers, token: &str, allowed: &[usize]) -> Result<String, Reason> {
        issuers.authenticate(&self.cache, token, allowed, NOW).await.map(|caller| caller.subject.clone())
    }

    fn count(&self, line: &str) -> usize {
        self.metrics.encode().lines().filter(|found| found.contains(line)).count()
    }
}

fn at(url: &str) -> IssuerConfig {
    config(json!({ "jwks_url": url }))
}

/// An issuer of another URL, with keys at a place of its own.
fn other(keys: &str) -> IssuerConfig {
    IssuerConfig { issuer: "https://other.example".to_owned(), ..at(keys) }
}

fn token(signer: &Signer, issuer: &str) -> String {
    let mut claims = claims();
    claims["iss"] = Value::from(issuer);
    signer.token(Algorithm::Es256, "k", &claims)
}

fn keys(signer: &Signer) -> Result<Vec<u8>, String> {
    Ok(crate::forge::jwks(&[signer.jwk("k")]))
}

const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_same_plans_are_the_same_issuers() {
    let life = Life::new();
    life.script.serve(JWKS, keys(&Signer::p256()));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    let fetches = life.script.fetches();
    assert!(Arc::ptr_eq(&first, &life.load(Some(&first), &[("demo", &at(JWKS))])));
    for changed in [
        IssuerConfig { audiences: vec!["other".to_owned()], ..at(JWKS) },
        IssuerConfig { algorithms: vec![Algorithm::Es256], ..at(JWKS) },
        IssuerConfig { leeway: settings::units::Span::secs(1), ..at(JWKS) },
        IssuerConfig { scopes_claim: "roles".to_owned(), ..at(JWKS) },
        IssuerConfig { claims: Vec::new(), ..at(JWKS) },
        IssuerConfig { token_bytes_max: settings::units::Size::kib(4), ..at(JWKS) },
        IssuerConfig { refresh: settings::units::Span::secs(600), ..at(JWKS) },
        IssuerConfig { allow_http: true, ..at(JWKS) },
        at("https://keys.example/others"),
        config(json!({ "discovery": true })),
    ] {
        assert!(!Arc::ptr_eq(&first, &life.load(Some(&first), &[("demo", &changed)])));
    }
    assert!(!Arc::ptr_eq(&first, &life.load(Some(&first), &[("renamed", &at(JWKS))])));
    assert_eq!(life.script.fetches(), fetches, "nothing was fetched yet, for no refresher had its turn");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_stays_keeps_keys_refresher_and_cached_tokens_beside_one_that_comes() {
    let (life, signer) = (Life::new(), Signer::p256());
    life.script.serve(JWKS, keys(&signer));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    let token = token(&signer, ISSUER);
    assert_eq!(life.ask(&first, &token, &[0]).await, Ok("ada".to_owned()));
    // Its name comes after that of the other one in the order of names, so its index stays.
    let second = life.load(Some(&first), &[("demo", &at(JWKS)), ("other", &other("https://keys.example/never"))]);
    drop(first);
    assert_eq!(life.ask(&second, &token, &[0]).await, Ok("ada".to_owned()));
    assert_eq!(life.count(r#"gateway_token_cache_total{result="hit"} 1"#), 1, "{}", life.metrics.encode());
    assert_eq!(life.count(r#"gateway_key_fetches_total{issuer="demo",result="ok"} 1"#), 1, "{}", life.metrics.encode());
    // The refresher has outlived the configuration that it was started by.
    sleep(Duration::from_secs(301)).await;
    assert_eq!(life.count(r#"gateway_key_fetches_total{issuer="demo",result="ok"} 2"#), 1, "{}", life.metrics.encode());
}

#[tokio::test(start_paused = true)]
async fn a_cached_token_is_never_taken_for_one_of_the_issuer_that_has_its_index_now() {
    let (life, signer, stranger) = (Life::new(), Signer::p256(), Signer::p256());
    let elsewhere = "https://keys.example/others";
    life.script.serve(JWKS, keys(&signer));
    life.script.serve(elsewhere, keys(&stranger));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    let token = token(&signer, ISSUER);
    assert_eq!(life.ask(&first, &token, &[0]).await, Ok("ada".to_owned()));

    let before_it = life.load(Some(&first), &[("another", &other(elsewhere)), ("demo", &at(JWKS))]);
    assert!(before_it.wait_first(SOON).await);
    assert_eq!(life.ask(&before_it, &token, &[0]).await, Err(Reason::TokenIssuerUnknown), "only the other issuer is admitted");
    assert_eq!(life.ask(&before_it, &token, &[1]).await, Ok("ada".to_owned()));
    // And the other way round: what the newer configuration has cached means nothing to requests that still walk by the former.
    assert_eq!(life.ask(&first, &token, &[0]).await, Ok("ada".to_owned()));
    assert_eq!(life.ask(&first, &token, &[1]).await, Err(Reason::TokenIssuerUnknown));

    let instead = life.load(Some(&before_it), &[("demo", &other(elsewhere))]);
    assert!(instead.wait_first(SOON).await);
    assert_eq!(life.ask(&instead, &token, &[0]).await, Err(Reason::TokenIssuerUnknown));
}

#[tokio::test(start_paused = true)]
async fn other_terms_judge_cached_tokens_anew_with_the_keys_at_hand() {
    let (life, signer) = (Life::new(), Signer::p256());
    life.script.serve(JWKS, keys(&signer));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    let token = token(&signer, ISSUER);
    assert_eq!(life.ask(&first, &token, &[0]).await, Ok("ada".to_owned()));

    life.script.serve(JWKS, Err("down".to_owned()));
    let wider = IssuerConfig { audiences: vec!["gateway".to_owned(), "other".to_owned()], ..at(JWKS) };
    let second = life.load(Some(&first), &[("demo", &wider)]);
    assert!(second.wait_first(Duration::ZERO).await, "it has keys from its first moment");
    assert_eq!(life.ask(&second, &token, &[0]).await, Ok("ada".to_owned()));
    assert_eq!(life.count(r#"gateway_token_cache_total{result="hit"} 0"#), 1, "{}", life.metrics.encode());
    let narrower = IssuerConfig { audiences: vec!["other".to_owned()], ..at(JWKS) };
    let third = life.load(Some(&second), &[("demo", &narrower)]);
    assert_eq!(life.ask(&third, &token, &[0]).await, Err(Reason::TokenAudienceWrong));
    sleep(SOON).await;
    let (_, ready, detail) = third.health().remove(0);
    assert!(ready && detail.contains("not since"), "{detail}");
    // Keys from another place are others until they are there.
    let moved = life.load(Some(&third), &[("demo", &at("https://keys.example/others"))]);
    assert_eq!(life.ask(&moved, &token, &[0]).await, Err(Reason::KeysUnavailable));
}

#[tokio::test(start_paused = true)]
async fn refreshers_of_issuers_that_are_gone_end_and_their_labels_go() {
    let life = Life::new();
    let named = |name: &str| life.count(&format!("issuer=\"{name}\""));
    let mut before = life.load(None, &[("issuer-0", &at("https://keys.example/0"))]);
    // As many as hold the script with one issuer: the issuer and its refresher.
    sleep(SOON).await;
    let holders = Arc::strong_count(&life.script);
    for at_reload in 1..50 {
        let (name, url) = (format!("issuer-{at_reload}"), format!("https://keys.example/{at_reload}"));
        before = life.load(Some(&before), &[(&name, &at(&url))]);
        // One step of the clock lets every woken task run.
        sleep(Duration::from_millis(1)).await;
        assert_eq!((named(&name), named(&format!("issuer-{}", at_reload - 1))), (3, 0), "{}", life.metrics.encode());
        assert!(Arc::strong_count(&life.script) <= holders, "refreshers pile up");
    }
    let last = life.load(Some(&before), &[]);
    drop(before);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&life.script), 1);
    assert_eq!(life.count("issuer=\""), 0, "{}", life.metrics.encode());
    drop(last);
}

#[tokio::test(start_paused = true)]
async fn labels_stay_while_any_configuration_has_the_issuer() {
    let life = Life::new();
    life.script.serve(JWKS, keys(&Signer::p256()));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    // It goes and comes back while a request of the first configuration still lives.
    let without = life.load(Some(&first), &[]);
    let again = life.load(Some(&without), &[("demo", &at(JWKS))]);
    drop(first);
    assert!(again.wait_first(SOON).await);
    let text = life.metrics.encode();
    assert!(text.contains(r#"gateway_key_fetches_total{issuer="demo",result="ok"} 2"#), "{text}");
    assert!(text.contains(r#"gateway_keys{issuer="demo"} 1"#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_stays_fetches_by_what_it_has_for_the_newer_configuration_may_not_come_to_serve() {
    let (life, next) = (Life::new(), Script::new());
    life.script.serve(JWKS, keys(&Signer::p256()));
    next.serve(JWKS, keys(&Signer::p256()));
    let first = life.load(None, &[("demo", &at(JWKS))]);
    assert!(first.wait_first(SOON).await);
    assert!(Arc::ptr_eq(&first, &life.load_from(Some(&first), &[("demo", &at(JWKS))], &next)));
    let fetches = life.script.fetches();
    sleep(Duration::from_secs(301)).await;
    assert_eq!((life.script.fetches(), next.fetches()), (fetches + 1, 0));
}
