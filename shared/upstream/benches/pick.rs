//! What one pick costs, by each rule, among few instances and among many.
//!
//! In: a level of idle instances of unequal weight, and a key for each request. Out: time per pick. Run with `cargo bench -p upstream --bench pick`, on a quiet
//! machine, and take the lowest of several runs.

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

fn picks(criterion: &mut Criterion) {
    for count in [10, 1_000] {
        let set = set(count);
        let mut group = criterion.benchmark_group(format!("{count} instances"));
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
                        checked: false,
                        may_try: true,
                        in_flight: 1_000,
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
