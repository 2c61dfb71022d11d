//! What one pick costs, by each rule, among few instances and among many.
//!
//! In: a level of instances of unequal weight, each with some requests under way; also with a fifth of them out, and none of them checked yet.
//! Out: time per pick. Run with `cargo bench -p upstream --bench pick`, on a quiet machine, and take the lowest of several runs.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use upstream::affinity::Affinity;
use upstream::config::balance::Balance;
use upstream::endpoint::Address;
use upstream::endpoints::{EndpointSet, Found};
use upstream::pick::tried::Tried;
use upstream::pick::{Asked, choose};
use upstream::plan::balance::{BalancePlan, HashOn, HashPlan};

const PICKERS: [(&str, Balance); 5] = [
    ("least_request", Balance::LeastRequest),
    ("round_robin", Balance::RoundRobin),
    ("weighted", Balance::Weighted),
    ("peak_ewma", Balance::PeakEwma),
    ("consistent_hash", Balance::ConsistentHash),
];

/// Instances of two weights, so that places are drawn by running sums.
fn set(count: u16) -> EndpointSet {
    let found = |number: u16| Found {
        address: Address::Tcp(SocketAddr::new(Ipv4Addr::new(10, 0, (number >> 8) as u8, number as u8).into(), 8080)),
        host: None,
        weight: 1 + number % 2,
        priority: 0,
    };
    let set = EndpointSet::after(&EndpointSet::default(), (0..count).map(found).collect()).unwrap_or_default();
    set.tabulate();
    set
}

/// What a set of instances is like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Like {
    /// Busy, each with a few requests under way, and well.
    Busy,
    /// The same, where connections to every fifth one have just failed.
    SomeOut,
    /// None was checked yet: no draw finds an open one, and the whole set is searched for the best.
    Unchecked,
}

fn picks(criterion: &mut Criterion) {
    for (count, like) in [(10, Like::Busy), (1_000, Like::Busy), (1_000, Like::SomeOut), (1_000, Like::Unchecked)] {
        let set = set(count);
        for (number, endpoint) in set.endpoints().iter().enumerate() {
            (0..number % 4).for_each(|_| endpoint.begin());
            if like == Like::SomeOut && number % 5 == 0 {
                endpoint.connect_failed(1, u64::MAX / 2);
            }
        }
        let told = match like {
            Like::Busy => "",
            Like::SomeOut => ", a fifth of them out",
            Like::Unchecked => ", unchecked",
        };
        let mut group = criterion.benchmark_group(format!("{count} instances{told}"));
        for (name, picker) in PICKERS {
            let hash = (picker == Balance::ConsistentHash).then_some(HashPlan { on: HashOn::Caller, load_max_percent: 125 });
            let plan = BalancePlan { hash, slow_start: Duration::from_secs(10), ..BalancePlan::of(picker) };
            let (mut turn, mut seed) = (0_usize, 1_u64);
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    turn += 1;
                    let mut random = || {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        seed ^ (seed >> 29)
                    };
                    let affinity = Affinity { hash: Some(random()), ..Affinity::default() };
                    let asked = Asked {
                        tried: &Tried::NONE,
                        affinity,
                        checked: like == Like::Unchecked,
                        may_try: true,
                        in_flight: 3 * u64::from(count) / 2,
                        now_ms: 1 + turn as u64 / 1_000_000,
                    };
                    black_box(choose(&set, &plan, || turn, random, asked).is_ok())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, picks);
criterion_main!(benches);
