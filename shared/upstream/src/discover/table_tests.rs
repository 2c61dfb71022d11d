//! The failure table, the holds and the profiles of known name services, row by row, in paused time.

use std::sync::Mutex;

use settings::clock::{Clock, ClockHand};
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;
use telemetry::metrics::Metrics;
use tokio::time::sleep;
use wire::resolver::families::Family;
use wire::tasks::Tasks;

use super::*;
use crate::config::ServiceConfig;
use crate::config::discover::{DiscoverConfig, TtlConfig};
use crate::config::protocol::ProtocolConfig;
use crate::discover::generation::Why;
use crate::lookup::{Addresses, Provenance, Targets, Unanswered};
use crate::plan::ServicePlan;
use crate::service::Service;

const NO_SUCH_NAME: LookupFault = LookupFault { code: "no-such-name", definite: true };
const SERVER_FAILURE: LookupFault = LookupFault { code: "server-failure", definite: false };

type Says = Result<(Vec<u8>, Duration), LookupFault>;

/// A name service that says the same until it is told otherwise; in turns where it was told several things.
#[derive(Default)]
struct Script {
    says: Mutex<Vec<Says>>,
    asked: Mutex<usize>,
    targets: Mutex<Vec<Target>>,
    dead: Mutex<Vec<String>>,
    lacks: Mutex<Option<Unanswered>>,
}

impl Script {
    fn says(&self, says: Says) {
        *self.says.lock().expect("lock") = vec![says];
    }

    fn names(&self, last: &[u8]) {
        self.says(Ok((last.to_vec(), Duration::from_secs(1))));
    }

    fn lacks(&self, family: Option<Unanswered>) {
        *self.lacks.lock().expect("lock") = family;
    }

    fn asked(&self) -> usize {
        *self.asked.lock().expect("lock")
    }
}

fn said() -> Provenance {
    Provenance { server: "10.0.0.53:53".into(), rcode: "NOERROR" }
}

impl Lookup for Script {
    async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
        if name != "orders.demo" {
            // The hosts of SRV records are asked for by their whole names.
            let name = name.trim_end_matches('.');
            if self.dead.lock().expect("lock").iter().any(|dead| dead == name) {
                return std::future::pending().await;
            }
            let last = name.bytes().next().unwrap_or_default();
            return Ok(Addresses { addresses: vec![[10, 0, 0, last].into()], ttl: Duration::from_secs(1), said: said(), unanswered: None });
        }
        let turn = {
            let mut asked = self.asked.lock().expect("lock");
            *asked += 1;
            *asked
        };
        let says = self.says.lock().expect("lock");
        let (last, ttl) = says[turn % says.len()].clone()?;
        // Numbers from 60 on stand for addresses of the other family.
        let address = |last| match last {
            60..=69 => IpAddr::from([0, 0, 0, 0, 0, 0, 0, u16::from_str_radix(&last.to_string(), 16).expect("digits")]),
            _ => [10, 0, 0, last].into(),
        };
        let unanswered = *self.lacks.lock().expect("lock");
        Ok(Addresses { addresses: last.into_iter().map(address).collect(), ttl, said: said(), unanswered })
    }
    async fn addresses_in(&self, name: &str, family: Family) -> Result<Addresses, LookupFault> {
        let mut all = self.addresses(name).await?;
        all.addresses.retain(|address| Family::of(address) == family);
        if all.addresses.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(all) }
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        let targets = self.targets.lock().expect("lock").clone();
        Ok(Targets { targets, ttl: Duration::from_secs(1), said: said(), additional: Vec::new() })
    }
}

struct Bench {
    script: Arc<Script>,
    service: Arc<Service>,
    metrics: Metrics,
    clock: Clock,
    hand: ClockHand,
}

fn plan(discover: DiscoverConfig, ttl: TtlConfig) -> ServicePlan {
    let config = ServiceConfig { ttl, ..ServiceConfig::new(discover) };
    config.check("services.orders", &Files::of(std::path::Path::new("/")), &mut Report::new()).expect("plan")
}

fn dns() -> DiscoverConfig {
    DiscoverConfig::Dns { name: "orders.demo".into(), port: 80 }
}

impl Bench {
    /// A service that has found 10.0.0.1 to 10.0.0.3.
    async fn start(ttl: TtlConfig) -> Self {
        let script = Arc::new(Script::default());
        script.names(&[1, 2, 3]);
        let bench = Self::on(script, dns(), ttl);
        assert!(bench.service.wait_first(Duration::from_secs(5)).await);
        bench
    }

    fn on(script: Arc<Script>, discover: DiscoverConfig, ttl: TtlConfig) -> Self {
        let (metrics, (clock, hand)) = (Metrics::new(), Clock::manual(1_000));
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let service = Service::start(plan(discover, ttl), &script, &tasks, &clock, &metrics);
        Self { script, service, metrics, clock, hand }
    }

    fn after(&self, plan: ServicePlan) -> Arc<Service> {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        Service::after(Some(&self.service), plan, &self.script, &tasks, &self.clock, &self.metrics)
    }

    /// The last numbers of all instances, and of those that are only held.
    fn known(&self) -> (String, String) {
        known(&self.service)
    }

    fn newest(&self) -> (u64, Why) {
        let newest = self.service.history().generations[0].clone();
        (newest.generation, newest.why)
    }

    async fn seconds_until(&self, holds: impl Fn(&(String, String)) -> bool) -> u64 {
        for seconds in 0..60 {
            if holds(&self.known()) {
                return seconds;
            }
            self.pass(1).await;
        }
        panic!("never: {:?}", self.known());
    }

    async fn pass(&self, seconds: u64) {
        // Second by second, so that the wall clock goes along.
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            self.hand.advance(Duration::from_secs(1));
        }
    }
}

fn known(service: &Service) -> (String, String) {
    let set = service.endpoints();
    let last = |endpoint: &Arc<crate::endpoint::Endpoint>| endpoint.name().trim_start_matches("10.0.0.").trim_end_matches(":80").to_owned();
    let all: Vec<String> = set.endpoints().iter().map(last).collect();
    let held: Vec<String> = set.endpoints().iter().filter(|endpoint| endpoint.is_held()).map(last).collect();
    (all.join(" "), held.join(" "))
}

fn both(all: &str, held: &str) -> (String, String) {
    (all.to_owned(), held.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_certain_no_keeps_what_is_known_for_a_while_and_then_ends_it() {
    for says in [Err(NO_SUCH_NAME), Err(LookupFault::NO_RECORDS), Ok((Vec::new(), Duration::from_secs(600)))] {
        let bench = Bench::start(TtlConfig::default()).await;
        bench.script.says(says.clone());
        bench.pass(58).await;
        assert_eq!(bench.known(), both("1 2 3", ""), "{says:?}");
        let failure = bench.service.snapshot().failure.expect("told");
        assert!(failure.definite && failure.since_ms <= 7_000, "told once, when it began: {failure:?}");
        assert!(failure.kept_until_ms.is_some_and(|until| (60_000..=70_000).contains(&until)), "{failure:?}");
        bench.pass(10).await;
        assert_eq!((bench.known(), bench.newest()), (both("", ""), (2, Why::AbsentOver)), "{says:?}");
        assert!(bench.service.snapshot().failure.expect("still told").kept_until_ms.is_none());
        bench.script.names(&[2]);
        bench.pass(7).await;
        assert_eq!((bench.known(), bench.newest()), (both("2", ""), (3, Why::Answer)));
        assert!(bench.service.snapshot().failure.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_keeps_what_is_known_without_end() {
    for code in ["server-failure", "refused", "referral", "alias-loop", "timeout", "malformed", "unreachable", "no-servers"] {
        let bench = Bench::start(TtlConfig::default()).await;
        let fault = LookupFault { code, definite: false };
        bench.script.says(Err(fault));
        bench.pass(3_600).await;
        assert_eq!((bench.known(), bench.newest()), (both("1 2 3", ""), (1, Why::Answer)), "{code}");
        let failure = bench.service.snapshot().failure.expect("told");
        assert!(failure.code == code && failure.since_ms <= 7_000 && failure.kept_until_ms.is_none(), "{failure:?}");
        let text = bench.metrics.encode();
        assert!(text.contains(&format!("result=\"{code}\"")) && !text.contains("result=\"other\""), "{text}");
        let answered = text.lines().find(|line| line.starts_with("gateway_discovery_answered_seconds{")).expect("the age is told");
        assert!(answered.rsplit(' ').next().is_some_and(|seconds| seconds.parse::<u64>().expect("seconds") <= 7), "{answered}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_family_that_nobody_answered_for_keeps_its_instances_and_the_other_one_goes_on() {
    let dual = |limit| async move {
        let bench = Bench::start(TtlConfig { unanswered: limit, ..TtlConfig::default() }).await;
        bench.script.names(&[1, 2, 61, 62]);
        bench.pass(2).await;
        assert_eq!(bench.known().0, "1 2 3 [::61] [::62]");
        bench.pass(8).await;
        bench
    };
    let bench = dual(None).await;
    // One of the family that is answered for goes, and one comes; the other family is silent for an hour.
    bench.script.lacks(Some(Unanswered { family: Family::Six, fault: SERVER_FAILURE }));
    bench.script.names(&[2, 3]);
    bench.pass(2).await;
    assert_eq!(bench.known().0, "1 2 3 [::61] [::62]");
    let failure = bench.service.snapshot().failure.expect("told");
    assert!((failure.code, failure.family, failure.kept_until_ms) == ("server-failure", Some("ipv6"), None), "{failure:?}");
    assert_eq!(failure.told(), "ipv6 unanswered (server-failure)");
    bench.pass(3_600).await;
    assert_eq!(bench.known(), both("2 3 [::61] [::62]", ""));
    assert_eq!(bench.service.snapshot().failure.expect("told").since_ms, failure.since_ms, "told once");
    bench.script.lacks(None);
    bench.pass(8).await;
    assert_eq!(bench.known(), both("2 3", ""));
    assert!(bench.service.snapshot().failure.is_none());

    let bench = dual(Some(Span::secs(30))).await;
    bench.script.lacks(Some(Unanswered { family: Family::Four, fault: LookupFault::TIMEOUT }));
    bench.script.names(&[61]);
    bench.pass(28).await;
    assert_eq!(bench.known(), both("1 2 [::61]", ""));
    bench.pass(15).await;
    assert_eq!(bench.known(), both("[::61]", ""), "no longer than an operator wants");
}

#[tokio::test(start_paused = true)]
async fn no_answer_ends_what_is_known_where_an_operator_wants_that() {
    let bench = Bench::start(TtlConfig { unanswered: Some(Span::secs(30)), ..TtlConfig::default() }).await;
    bench.script.says(Err(SERVER_FAILURE));
    bench.pass(28).await;
    assert_eq!(bench.known(), both("1 2 3", ""));
    bench.pass(10).await;
    assert_eq!((bench.known(), bench.newest()), (both("", ""), (2, Why::UnansweredOver)));
}

#[tokio::test(start_paused = true)]
async fn a_new_cause_is_told_and_the_word_no_is_not_unsaid_by_silence() {
    let bench = Bench::start(TtlConfig::default()).await;
    bench.script.says(Err(NO_SUCH_NAME));
    bench.pass(30).await;
    bench.script.says(Err(SERVER_FAILURE));
    bench.pass(3).await;
    let failure = bench.service.snapshot().failure.expect("told");
    assert!(failure.code == "server-failure" && failure.since_ms > 30_000, "{failure:?}");
    bench.pass(40).await;
    assert_eq!((bench.known().0.as_str(), bench.newest().1), ("", Why::AbsentOver));
}

#[tokio::test(start_paused = true)]
async fn who_is_left_out_is_held_and_then_leaves() {
    let bench = Bench::start(TtlConfig::default()).await;
    let first = bench.service.endpoints();
    bench.script.names(&[2, 3]);
    bench.pass(2).await;
    assert_eq!((bench.known(), bench.newest()), (both("1 2 3", "1"), (2, Why::Held)));
    assert!(!first.endpoints()[0].is_gone());
    // While it is held its name service may fail: that makes the hold no longer.
    bench.script.says(Err(SERVER_FAILURE));
    bench.pass(6).await;
    assert_eq!((bench.known(), bench.newest()), (both("2 3", ""), (3, Why::HoldOver)));
    assert!(first.endpoints()[0].is_gone() && !first.endpoints()[1].is_gone());
    let text = bench.metrics.encode();
    assert!(text.contains("gateway_discovery_convergence_seconds_count{service=\"orders\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_within_the_hold_is_the_same_one() {
    let bench = Bench::start(TtlConfig::default()).await;
    let first = bench.service.endpoints();
    first.endpoints()[0].begin();
    bench.script.names(&[2, 3]);
    bench.pass(3).await;
    assert_eq!(bench.known().1, "1");
    bench.script.names(&[1, 2, 3]);
    bench.pass(3).await;
    assert_eq!(bench.known(), both("1 2 3", ""));
    let now = bench.service.endpoints();
    assert!(Arc::ptr_eq(&first.endpoints()[0], &now.endpoints()[0]) && now.endpoints()[0].in_flight() == 1);
    bench.pass(10).await;
    assert_eq!(bench.known(), both("1 2 3", ""), "its hold is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_name_service_that_tells_a_part_each_time_is_used_as_a_whole() {
    let bench = Bench::start(TtlConfig::default()).await;
    let part = |last: [u8; 2]| Ok((last.to_vec(), Duration::from_secs(1)));
    *bench.script.says.lock().expect("lock") = vec![part([1, 2]), part([2, 3]), part([3, 1])];
    bench.pass(8).await;
    let (generation, asked) = (bench.newest().0, bench.script.asked());
    bench.pass(300).await;
    assert!(bench.script.asked() > asked + 200, "it was asked all the time");
    assert_eq!((bench.known(), bench.newest().0), (both("1 2 3", ""), generation), "nobody is passed over, nothing changes");
    // One that really goes is gone after the hold all the same.
    *bench.script.says.lock().expect("lock") = vec![part([2, 3]), part([3, 2])];
    bench.pass(10).await;
    assert_eq!(bench.known(), both("2 3", ""));
}

#[tokio::test(start_paused = true)]
async fn docker_says_600_seconds_in_any_order_and_nothing_while_it_scales() {
    let bench = Bench::start(TtlConfig::default()).await;
    let docker = |last: &[u8]| Ok((last.to_vec(), Duration::from_secs(600)));
    *bench.script.says.lock().expect("lock") = vec![docker(&[3, 1, 2]), docker(&[2, 3, 1]), docker(&[1, 2, 3])];
    let asked = bench.script.asked();
    bench.pass(60).await;
    assert!((10..=14).contains(&(bench.script.asked() - asked)), "every 5 s, give or take a tenth, not every 600");
    assert_eq!(bench.newest().0, 1, "another order is no change");
    bench.script.says(docker(&[]));
    bench.pass(20).await;
    assert_eq!(bench.known(), both("1 2 3", ""));
    bench.script.says(docker(&[4, 5]));
    let seen = bench.seconds_until(|known| *known == both("1 2 3 4 5", "1 2 3")).await;
    assert!(seen <= 6, "{seen} s");
    let gone = bench.seconds_until(|known| *known == both("4 5", "")).await;
    assert!(gone <= 6, "{gone} s");
}

#[tokio::test(start_paused = true)]
async fn a_headless_service_that_is_scaled_to_nothing_has_no_instances_after_a_minute() {
    let bench = Bench::start(TtlConfig::default()).await;
    // CoreDNS: NXDOMAIN, or an empty answer from its cache, with 30 seconds each.
    *bench.script.says.lock().expect("lock") = vec![Err(NO_SUCH_NAME), Ok((Vec::new(), Duration::from_secs(30)))];
    bench.pass(75).await;
    assert_eq!(bench.known(), both("", ""));
    bench.script.says(Ok((vec![7], Duration::from_secs(30))));
    bench.pass(7).await;
    assert_eq!(bench.known(), both("7", ""));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_terms_holds_at_once() {
    let bench = Bench::start(TtlConfig { hold: Span::secs(3_600), ..TtlConfig::default() }).await;
    bench.script.names(&[2, 3]);
    bench.pass(60).await;
    assert_eq!(bench.known(), both("1 2 3", "1"));
    let next = bench.after(plan(dns(), TtlConfig { hold: Span::secs(30), ..TtlConfig::default() }));
    bench.pass(1).await;
    assert_eq!(known(&next), both("2 3", ""), "no longer than the new terms say");
}

#[tokio::test(start_paused = true)]
async fn what_another_way_has_found_is_kept_as_long_and_no_longer() {
    let bench = Bench::start(TtlConfig::default()).await;
    // There is no target.
    let next = bench.after(plan(DiscoverConfig::Srv { name: "_http._tcp.orders.demo".into() }, TtlConfig::default()));
    bench.pass(58).await;
    assert!(known(&next) == both("1 2 3", "") && next.endpoints().is_handed_down());
    bench.pass(10).await;
    assert_eq!((known(&next), next.history().generations[0].why), (both("", ""), Why::AbsentOver));
    assert_eq!(bench.known(), both("1 2 3", ""), "the former configuration may go on");
}

/// A plan that reaches the same instances in another way.
fn by_http2(discover: DiscoverConfig, ttl: TtlConfig) -> ServicePlan {
    let config = ServiceConfig { protocol: ProtocolConfig::Http2, ttl, ..ServiceConfig::new(discover) };
    config.check("services.orders", &Files::of(std::path::Path::new("/")), &mut Report::new()).expect("plan")
}

#[tokio::test(start_paused = true)]
async fn a_reload_makes_no_failure_younger() {
    let bench = Bench::start(TtlConfig::default()).await;
    bench.script.says(Err(NO_SUCH_NAME));
    bench.pass(40).await;
    let failure = bench.service.snapshot().failure.expect("told");
    let next = bench.after(by_http2(dns(), TtlConfig::default()));
    let taken_over = next.snapshot().failure.expect("told from the beginning");
    assert_eq!((taken_over.code, taken_over.since_ms), ("no-such-name", failure.since_ms));
    let other = bench.after(plan(DiscoverConfig::Srv { name: "_http._tcp.orders.demo".into() }, TtlConfig::default()));
    assert_eq!((known(&next), known(&other)), (both("1 2 3", ""), both("1 2 3", "")));
    assert!(other.endpoints().is_handed_down() && other.snapshot().failure.is_none(), "its own name was not asked for yet");
    bench.pass(25).await;
    assert_eq!((known(&next), next.history().generations[0].why), (both("", ""), Why::AbsentOver));
    assert_eq!(known(&other), both("", ""));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_held_is_held_after_a_reload_too_and_leaves() {
    let bench = Bench::start(TtlConfig { hold: Span::secs(20), ..TtlConfig::default() }).await;
    bench.script.names(&[2, 3]);
    bench.pass(10).await;
    assert_eq!(bench.known(), both("1 2 3", "1"));
    // No answer comes any more, by whichever way.
    bench.script.says(Err(SERVER_FAILURE));
    bench.script.dead.lock().expect("lock").push("x.demo".into());
    *bench.script.targets.lock().expect("lock") = vec![Target { priority: 0, weight: 1, port: 80, host: "x.demo".into() }];
    let ttl = || TtlConfig { hold: Span::secs(20), ..TtlConfig::default() };
    let srv = || DiscoverConfig::Srv { name: "_http._tcp.orders.demo".into() };
    let nexts = [bench.after(by_http2(dns(), ttl())), bench.after(plan(srv(), ttl())), bench.after(by_http2(srv(), ttl()))];
    for next in &nexts {
        assert_eq!(known(next), both("1 2 3", "1"));
    }
    assert!(nexts[1].endpoints().is_handed_down() && nexts[2].endpoints().is_handed_down());
    bench.pass(12).await;
    for (number, next) in nexts.iter().enumerate() {
        assert_eq!((known(next), next.endpoints().is_handed_down()), (both("2 3", ""), number > 0), "{number}");
    }
    // The first answer of the new way is all there is, without a hold for what the former one has found.
    bench.script.dead.lock().expect("lock").clear();
    bench.pass(10).await;
    assert_eq!((known(&nexts[1]), nexts[1].endpoints().is_handed_down()), (both("120", ""), false));
}

#[tokio::test(start_paused = true)]
async fn the_history_outlives_every_way_of_finding_the_instances() {
    let bench = Bench::start(TtlConfig::default()).await;
    for turn in 0..40 {
        bench.script.names(if turn % 2 == 0 { &[4, 5] } else { &[6, 7] });
        bench.pass(8).await;
    }
    let addresses = ["10.0.0.9:80".to_owned()].into_iter().collect();
    let next = bench.after(plan(DiscoverConfig::Static { addresses }, TtlConfig::default()));
    let history = next.history();
    let numbers: Vec<u64> = history.generations.iter().map(|one| one.generation).collect();
    assert_eq!((numbers.len(), history.generation), (generation::GENERATIONS_MAX, numbers[0]));
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "{numbers:?}");
    assert_eq!((history.generations[0].why, history.generations[0].added.first[0].as_str()), (Why::Configuration, "10.0.0.9:80"));
    let former = history.generations.iter().find(|one| one.why == Why::Answer).expect("an answer");
    assert_eq!((former.server.as_deref(), former.rcode, former.ttl_ms), (Some("10.0.0.53:53"), Some("NOERROR"), Some(1_000)));
    let shown = serde_json::to_value(next.snapshot()).expect("json");
    assert_eq!((&shown["provenance"]["generation"], &shown["provenance"]["why"]), (&numbers[0].into(), &"configuration".into()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_target_does_not_delay_the_others_at_the_start() {
    let script = Arc::new(Script::default());
    *script.targets.lock().expect("lock") = [("a.demo", 10), ("b.demo", 20), ("c.demo", 10)]
        .map(|(host, priority)| Target { priority, weight: 1, port: 80, host: host.into() })
        .into();
    script.dead.lock().expect("lock").push("b.demo".into());
    let begun = Instant::now();
    let bench = Bench::on(script, DiscoverConfig::Srv { name: "_http._tcp.orders.demo".into() }, TtlConfig::default());
    assert!(bench.service.wait_first(Duration::from_secs(1)).await, "not before {:?}", begun.elapsed());
    assert_eq!((bench.known(), bench.newest()), (both("97 99", ""), (1, Why::Part)));
    bench.pass(10).await;
    assert_eq!(bench.newest().0, 1, "the whole answer brought nothing else");
    bench.script.dead.lock().expect("lock").clear();
    bench.pass(10).await;
    assert_eq!(bench.known(), both("97 98 99", ""));
}
