//! Ejection over a service's instances, by times that the tests give.

use std::sync::Arc;

use http::StatusCode;
use proptest::prelude::*;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use telemetry::metrics::Metrics;

use super::*;
use crate::config::ServiceConfig;
use crate::config::discover::DiscoverConfig;
use crate::measures::Measures;
use crate::observed::What;
use crate::plan::outliers::LatencyPlan;

const PLAN: OutliersPlan = OutliersPlan {
    consecutive_failures: 2,
    consecutive_gateway_errors: 2,
    latency: Some(LatencyPlan { factor: 5, floor: Duration::from_millis(100), samples_min: 5 }),
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
    share_max_percent: 50,
};

struct Bench {
    instances: Arc<Instances>,
    metrics: Metrics,
}

impl Bench {
    fn of(count: u16) -> Self {
        let addresses: Vec<String> = (1..=count).map(|port| format!("127.0.0.1:{port}")).collect();
        let config = ServiceConfig::new(DiscoverConfig::Static { addresses: addresses.iter().cloned().collect() });
        let plan = config.check("services.orders", &Files::of(std::path::Path::new("/")), &mut Report::new()).expect("plan");
        let metrics = Metrics::new();
        let (clock, _) = Clock::manual(1);
        let instances = Instances::new(&plan, Measures::of("orders", &metrics), &clock);
        let found = |address: &String| crate::endpoints::Found {
            address: crate::endpoint::Address::Tcp(address.parse().expect("address")),
            host: None,
            weight: 0,
            priority: 0,
        };
        instances.learn(Ok(addresses.iter().map(found).collect()));
        Self { instances, metrics }
    }

    fn endpoint(&self, place: usize) -> Arc<Endpoint> {
        Arc::clone(&self.instances.endpoints().endpoints()[place])
    }

    /// One attempt at an instance that ended at `now_ms` after `took_ms`.
    fn attempt(&self, place: usize, what: What, now_ms: u64, took_ms: u64, plan: &OutliersPlan) {
        let observed = Observed { begun_ms: now_ms - took_ms, now_ms, took: Duration::from_millis(took_ms), what };
        self.instances.observe(&self.endpoint(place), &observed, plan);
    }

    fn fails(&self, place: usize, now_ms: u64, plan: &OutliersPlan) {
        (0..2).for_each(|_| self.attempt(place, What::Timeout, now_ms, 0, plan));
    }

    fn out(&self) -> Vec<usize> {
        let set = self.instances.endpoints();
        (0..set.endpoints().len()).filter(|place| set.endpoints()[*place].record().is_out()).collect()
    }

    fn metric(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|one| one == line)
    }
}

const OK: What = What::Answered { status: StatusCode::OK, pushback: None };

#[test]
fn an_ejection_is_counted_told_and_ended_by_one_good_answer() {
    let bench = Bench::of(3);
    let mut told = bench.instances.checks();
    told.borrow_and_update();
    bench.fails(1, 5_000, &PLAN);
    assert_eq!(bench.out(), [1]);
    assert!(told.has_changed().expect("there"), "whoever counts ranks is told");
    assert!(bench.metric("gateway_upstream_ejections_total{service=\"orders\",cause=\"failures\"} 1"), "{}", bench.metrics.encode());
    assert!(bench.metric("gateway_instances_ejected{service=\"orders\"} 1"));
    assert_eq!(bench.endpoint(1).ejection(5_000), Some((Cause::Failures, 6_000)));
    // Requests that were under way when it was taken out change nothing.
    bench.attempt(1, OK, 5_500, 1_000, &PLAN);
    bench.attempt(1, What::Timeout, 5_500, 1_000, &PLAN);
    assert_eq!(bench.endpoint(1).ejection(5_500), Some((Cause::Failures, 6_000)));

    assert!(bench.endpoint(1).claim_trial(6_000, Duration::ZERO));
    bench.attempt(1, What::Timeout, 6_100, 50, &PLAN);
    assert_eq!(bench.endpoint(1).ejection(6_100), Some((Cause::Failures, 8_100)), "twice as long");
    // The second one of two that were begun after the trial is no second piece of news.
    bench.attempt(1, What::Timeout, 6_150, 60, &PLAN);
    assert_eq!(bench.endpoint(1).ejection(6_150), Some((Cause::Failures, 8_100)));
    assert!(bench.endpoint(1).claim_trial(8_100, Duration::ZERO));
    told.borrow_and_update();
    bench.attempt(1, OK, 8_200, 50, &PLAN);
    assert!(bench.out().is_empty() && told.has_changed().expect("there"));
    assert!(bench.metric("gateway_instances_ejected{service=\"orders\"} 0"));
    assert_eq!(bench.endpoint(1).record().ejections(), 2);
}

#[test]
fn no_more_than_the_share_and_never_the_last() {
    for (count, percent, most) in [(1, 100, 0), (2, 1, 1), (2, 50, 1), (3, 50, 1), (4, 50, 2), (10, 30, 3), (10, 1, 1), (2, 100, 2)] {
        let plan = OutliersPlan { share_max_percent: percent, ..PLAN };
        let bench = Bench::of(count);
        for place in 0..usize::from(count) {
            bench.fails(place, 5_000, &plan);
        }
        assert_eq!(bench.out().len(), most, "{count} instances, {percent} %");
        let refused = usize::from(count) - most;
        assert!(bench.metric(&format!("gateway_upstream_ejections_refused_total{{service=\"orders\"}} {refused}")));
    }
}

#[test]
fn an_instance_that_refuses_connections_counts_as_out_and_is_left_alone_whatever_the_share() {
    let bench = Bench::of(4);
    for place in 0..3 {
        bench.instances.connect_failed(&bench.endpoint(place), 5_000, 5_000);
        assert!(bench.endpoint(place).is_avoided(5_001));
    }
    assert!(bench.metric("gateway_upstream_ejections_total{service=\"orders\",cause=\"connect_failed\"} 3"));
    bench.fails(3, 5_001, &PLAN);
    assert!(bench.out().is_empty(), "more than half are out already");
    bench.instances.connected(&bench.endpoint(0));
    assert!(!bench.endpoint(0).is_avoided(5_002));
    bench.instances.connected(&bench.endpoint(1));
    bench.fails(3, 5_003, &PLAN);
    assert_eq!(bench.out(), [3]);
}

#[test]
fn an_instance_that_is_slow_beside_the_others_is_taken_out() {
    let bench = Bench::of(3);
    let fill = |slow_ms: u64, samples: u64| {
        for sample in 0..samples {
            bench.attempt(0, OK, 10_000 + sample, 10, &PLAN);
            bench.attempt(1, OK, 10_000 + sample, 12, &PLAN);
            bench.attempt(2, OK, 10_000 + sample, slow_ms, &PLAN);
        }
    };
    fill(900, 4);
    bench.instances.judge(10_000, 11_000, &PLAN);
    assert!(bench.out().is_empty(), "too few answers to judge by");
    fill(900, 6);
    bench.instances.judge(11_000, 12_000, &PLAN);
    assert_eq!(bench.out(), [2]);
    assert_eq!(bench.endpoint(2).ejection(12_000), Some((Cause::Latency, 13_000)));
    assert!(bench.endpoint(2).claim_trial(13_000, Duration::ZERO));
    bench.attempt(2, OK, 14_000, 900, &PLAN);
    assert_eq!(bench.endpoint(2).ejection(14_000), Some((Cause::Latency, 16_000)), "as slow as ever");
    assert!(bench.endpoint(2).claim_trial(16_000, Duration::ZERO));
    bench.attempt(2, OK, 16_050, 20, &PLAN);
    assert!(bench.out().is_empty());
    // Nothing of before speaks against it.
    bench.instances.judge(16_000, 17_000, &PLAN);
    assert!(bench.out().is_empty());
}

#[test]
fn the_end_of_an_ejection_is_told() {
    let bench = Bench::of(2);
    bench.fails(0, 5_000, &PLAN);
    let mut told = bench.instances.checks();
    told.borrow_and_update();
    bench.instances.judge(5_000, 5_999, &PLAN);
    assert!(!told.has_changed().expect("there"));
    bench.instances.judge(5_999, 6_999, &PLAN);
    assert!(told.has_changed().expect("there"), "it may be tried from now on");
}

#[test]
fn nothing_is_judged_where_nothing_is_configured() {
    let plan = OutliersPlan { consecutive_failures: 0, consecutive_gateway_errors: 0, latency: None, ..PLAN };
    let bench = Bench::of(2);
    for sample in 0..100 {
        bench.attempt(0, What::Timeout, 5_000 + sample, 10, &plan);
        bench.attempt(0, OK, 5_000 + sample, 5_000, &plan);
        bench.attempt(1, OK, 5_000 + sample, 1, &plan);
    }
    bench.instances.judge(5_000, 6_000, &plan);
    assert!(bench.out().is_empty());
}

proptest! {
    #[test]
    fn the_share_holds_whatever_happens(count in 1_u16..9, percent in 1_u32..=100, events in proptest::collection::vec((0_usize..8, any::<bool>(), 1_u64..900), 0..120)) {
        let plan = OutliersPlan { share_max_percent: percent, ..PLAN };
        let bench = Bench::of(count);
        let most = if count == 1 { 0 } else { (usize::from(count) * percent as usize / 100).max(1) };
        let mut now = 5_000;
        for (place, well, pause) in events {
            let place = place % usize::from(count);
            now += pause;
            bench.endpoint(place).claim_trial(now, Duration::ZERO);
            if well { bench.attempt(place, OK, now, 0, &plan) } else { bench.attempt(place, What::Timeout, now, 0, &plan) }
            prop_assert!(bench.out().len() <= most);
        }
    }
}
