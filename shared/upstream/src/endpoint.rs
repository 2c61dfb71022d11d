//! One instance: where it listens and what this process knows of it.
//!
//! In: outcomes of connection attempts. Out: whether it should be tried now. Never: does I/O.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use telemetry::histogram::Histogram;

use crate::discover::farewell::Farewell;
use crate::gate::Pass;
use crate::health::standing::{Checked, Standing};
use crate::moment;
use crate::outlier::cause::Cause;
use crate::outlier::record::Record;
use crate::speed::Speed;
use crate::stable_hash::hash_of;

/// The first time an instance is left alone after a failed connection, in milliseconds; it doubles with each further failure.
pub const AVOID_MS_FIRST: u64 = 1_000;

/// The longest time an instance is left alone, in milliseconds.
pub const AVOID_MS_MAX: u64 = 30_000;

/// What [`Endpoint::ramp`] says of an instance that takes its whole part.
pub(crate) const RAMP_WHOLE: u64 = 1_000;

/// The part, in thousandths, that an instance takes at the moment at which it comes or comes back.
const RAMP_FIRST: u64 = 100;

/// Numbers endpoints over the life of the process, from 1.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A Unix socket on this host.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One instance of a service. It keeps its counters for as long as discovery goes on naming it.
#[derive(Debug)]
pub struct Endpoint {
    id: u64,
    address: Address,
    host: Option<Box<str>>,
    name: Box<str>,
    /// Of the address alone: the same in all replicas.
    hash: u64,
    in_flight: AtomicU32,
    failures: AtomicU32,
    failed_at_ms: AtomicU64,
    avoid_until_ms: AtomicU64,
    /// The services that name it: more than one while a reload hands it over.
    named_by: AtomicU32,
    held: AtomicBool,
    alpn_is_told: AtomicBool,
    farewell: Farewell,
    checked: Checked,
    /// When it came beside others or came back; 0 for one that has been here from the beginning.
    since_ms: AtomicU64,
    speed: Speed,
    record: Record,
}

impl Endpoint {
    /// An instance at `address`; `host` is the name that led there and that its certificate must bear, where there is one.
    #[must_use]
    pub fn new(address: Address, host: Option<Box<str>>) -> Self {
        let name = address.to_string().into_boxed_str();
        Self {
            hash: hash_of(name.as_bytes()),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            address,
            host,
            name,
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            failed_at_ms: AtomicU64::new(0),
            avoid_until_ms: AtomicU64::new(0),
            named_by: AtomicU32::new(1),
            held: AtomicBool::new(false),
            alpn_is_told: AtomicBool::new(false),
            farewell: Farewell::default(),
            checked: Checked::default(),
            since_ms: AtomicU64::new(0),
            speed: Speed::default(),
            record: Record::default(),
        }
    }

    /// Its number in this process; never used twice.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The name that led to its address, without a final dot.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// `IP:PORT` or `unix:PATH`, for trails, records and `/services`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A hash of its address, the same in every process.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// How fast it answers lately.
    pub(crate) fn speed(&self) -> &Speed {
        &self.speed
    }

    /// It comes beside others, or comes back from a time in which it was not used: from now on its part rises ([`Endpoint::ramp`]).
    pub(crate) fn began(&self, now_ms: u64) {
        self.since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The part of its share that it takes at `now_ms`, in thousandths: from a tenth to all over `window`.
    pub(crate) fn ramp(&self, now_ms: u64, window: Duration) -> u64 {
        let since = self.since_ms.load(Ordering::Relaxed);
        let window = window.as_millis() as u64;
        let age = now_ms.saturating_sub(since);
        if since == 0 || age >= window {
            return RAMP_WHOLE;
        }
        RAMP_FIRST + (RAMP_WHOLE - RAMP_FIRST) * age / window
    }

    /// Requests that this process has under way there, upgraded connections included.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Failed connection attempts since the last good one.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether it should be left alone at `now_ms` because connections to it failed lately, or because it answers badly.
    #[must_use]
    pub fn is_avoided(&self, now_ms: u64) -> bool {
        self.is_left_alone(now_ms, true)
    }

    /// The same for one request, which `may_try` an instance whose ejection is over, or must leave that to one that may.
    #[must_use]
    pub fn is_left_alone(&self, now_ms: u64, may_try: bool) -> bool {
        now_ms < self.avoid_until_ms.load(Ordering::Relaxed) || self.record.is_left_alone(now_ms, may_try)
    }

    /// Whether connections to it failed lately, so that it should be left alone at `now_ms`.
    pub(crate) fn is_unreachable(&self, now_ms: u64) -> bool {
        now_ms < self.avoid_until_ms.load(Ordering::Relaxed)
    }

    /// Why it is left alone, and until when ([`crate::moment`]), at `now_ms`; `None` while it is not.
    pub(crate) fn ejection(&self, now_ms: u64) -> Option<(Cause, u64)> {
        let until = self.avoid_until_ms.load(Ordering::Relaxed);
        self.record.ejection().or_else(|| (now_ms < until).then_some((Cause::ConnectFailed, until)))
    }

    /// What is held against it.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Whether it is to be told now that it speaks another protocol than its service demands; once, for an operator must mend it.
    pub(crate) fn tells_alpn(&self) -> bool {
        !self.alpn_is_told.swap(true, Ordering::Relaxed)
    }

    /// How it stands by the active checks.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.checked.standing()
    }

    /// By how many workers it serves, as it says itself: a connection reaches one of them. 0 when it says nothing.
    pub(crate) fn breadth(&self) -> usize {
        self.checked.breadth()
    }

    /// What the active checks have found out.
    pub(crate) fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Whether nobody names it any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.named_by.load(Ordering::Relaxed) == 0
    }

    /// One more service names it.
    pub(crate) fn join(&self) {
        self.named_by.fetch_add(1, Ordering::Relaxed);
    }

    /// A service stops naming it. After the last one nothing new is sent to it, and its idle connections close.
    pub(crate) fn leave(&self) {
        self.named_by.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether no answer of discovery names it any more, so that it is asked only while no other may answer.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Says whether an answer still names it.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// What is noted of its end.
    pub(crate) fn farewell(&self) -> &Farewell {
        &self.farewell
    }

    /// As [`Endpoint::leave`], because no answer names it any more; its end is counted in `convergence`.
    pub(crate) fn depart(&self, convergence: &Histogram) {
        self.farewell.depart(convergence);
        self.leave();
        // A change of the count, though none: either this sees the end of the last request, or that sees what was just noted.
        if self.is_gone() && self.in_flight.fetch_add(0, Ordering::AcqRel) == 0 {
            self.farewell.close();
        }
    }

    /// Claims the trial after a penalty has run out: others go on avoiding it until this one has told how it went, which takes up to `connect`
    /// where nobody answers. `true` when this is one.
    pub(crate) fn claim_trial(&self, now_ms: u64, connect: Duration) -> bool {
        let until = self.avoid_until_ms.load(Ordering::Relaxed);
        let is_trial = until != 0 && until <= now_ms;
        if is_trial {
            let reserved_ms = (connect.as_millis() as u64).clamp(AVOID_MS_FIRST, AVOID_MS_MAX);
            // Whoever loses the race tries as well; that costs one more attempt and nothing else.
            let _ = self.avoid_until_ms.compare_exchange(until, now_ms + reserved_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        is_trial | self.record.claim_trial(now_ms)
    }

    /// A connection that was begun at `begun_ms` could not be made; `false` when that was no news.
    pub fn connect_failed(&self, begun_ms: u64, now_ms: u64) -> bool {
        // A hundred requests that ran into the same closed port are one piece of news, not a hundred. What is no news moves nothing, or attempts
        // that overlap would hide each other for ever.
        let next = |failed_at_ms| (failed_at_ms < begun_ms).then_some(now_ms);
        if self.failed_at_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_err() {
            return false;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let pause = AVOID_MS_FIRST.saturating_mul(1 << failures.min(16)).min(AVOID_MS_MAX);
        self.avoid_until_ms.store(now_ms + pause, Ordering::Relaxed);
        true
    }

    /// A connection was made: that others failed before is forgiven. `true` when there was anything to forgive.
    pub(crate) fn connected(&self) -> bool {
        let failed = self.avoid_until_ms.load(Ordering::Relaxed) != 0 && self.avoid_until_ms.swap(0, Ordering::Relaxed) != 0;
        if failed {
            self.failed_at_ms.store(0, Ordering::Relaxed);
            self.failures.store(0, Ordering::Relaxed);
        }
        failed
    }

    /// One more request under way.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One request less under way.
    pub(crate) fn end(&self) {
        let was_leaving = self.farewell.has_begun();
        if was_leaving {
            self.farewell.ended(moment::now_ms());
        }
        // Read anew after the count: an answer may have left it out since then.
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 && self.is_gone() && self.farewell.has_begun() {
            if !was_leaving {
                self.farewell.ended(moment::now_ms());
            }
            self.farewell.close();
        }
    }
}

/// One request under way at an instance; counted until dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    endpoint: Arc<Endpoint>,
    service: Gauge,
    /// Its request's place at the service, once it is the one that answered.
    pass: Option<Pass>,
}

impl Flight {
    /// Counts one request in, at the instance and in its service's gauge.
    pub(crate) fn begin(endpoint: &Arc<Endpoint>, service: &Gauge) -> Self {
        endpoint.begin();
        service.inc();
        Self { endpoint: Arc::clone(endpoint), service: service.clone(), pass: None }
    }

    /// From now on the request's place at the service is held for as long as this.
    pub(crate) fn hold(&mut self, pass: Option<Pass>) {
        self.pass = pass;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.endpoint.end();
        self.service.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(Address::Tcp("127.0.0.1:1".parse().expect("address")), None)
    }

    #[test]
    fn penalties_double_up_to_a_ceiling_and_end_with_a_connection() {
        let endpoint = endpoint();
        let mut now = 10;
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            endpoint.connect_failed(now, now);
            assert!(endpoint.is_avoided(now + pause - 1), "{pause}");
            assert!(!endpoint.is_avoided(now + pause), "{pause}");
            now += pause + 1;
        }
        endpoint.connected();
        assert!(!endpoint.is_avoided(now));
        assert_eq!(endpoint.consecutive_failures(), 0);
    }

    #[test]
    fn failures_of_one_moment_count_once() {
        let endpoint = endpoint();
        for late in 0..100 {
            endpoint.connect_failed(50, 60 + late);
        }
        assert_eq!(endpoint.consecutive_failures(), 1);
    }

    #[test]
    fn one_request_tries_after_the_penalty_and_the_others_wait() {
        let endpoint = endpoint();
        endpoint.connect_failed(10, 10);
        let over = 10 + AVOID_MS_FIRST;
        assert!(!endpoint.is_avoided(over));
        assert!(endpoint.claim_trial(over, Duration::ZERO));
        assert!(!endpoint.claim_trial(over, Duration::ZERO), "one is enough");
        assert!(endpoint.is_avoided(over));
        assert!(!endpoint.is_avoided(over + AVOID_MS_FIRST));
    }

    #[test]
    fn a_host_that_swallows_connections_is_left_alone_ever_longer() {
        const CONNECT: Duration = Duration::from_secs(2);
        let endpoint = endpoint();
        // Attempts that were begun every half second until the first one had failed, and all take two seconds.
        for begun in [1_000, 1_500, 2_000, 2_500] {
            assert_eq!(endpoint.connect_failed(begun, begun + 2_000), begun == 1_000);
        }
        let mut now = 3_000 + AVOID_MS_FIRST;
        for pause in [2_000, 4_000, 8_000] {
            assert!(!endpoint.is_avoided(now) && endpoint.claim_trial(now, CONNECT));
            assert!(endpoint.is_avoided(now + 1_999), "nobody else waits beside the trial");
            // Begun before the penalty, and ended only now.
            assert!(!endpoint.connect_failed(3_000, now + 1_000));
            assert!(endpoint.connect_failed(now, now + 2_000));
            now += 2_000;
            assert!(endpoint.is_avoided(now + pause - 1), "{pause}");
            now += pause;
        }
    }

    #[test]
    fn one_that_has_come_lately_takes_a_part_that_rises_evenly() {
        let (endpoint, window) = (endpoint(), Duration::from_secs(10));
        assert_eq!(endpoint.ramp(5_000, window), RAMP_WHOLE, "one that was there from the beginning");
        endpoint.began(5_000);
        let parts: Vec<u64> = [0, 2_500, 5_000, 9_999, 10_000, 99_000].iter().map(|age| endpoint.ramp(5_000 + age, window)).collect();
        assert_eq!(parts, [100, 325, 550, 999, 1_000, 1_000]);
        assert_eq!(endpoint.ramp(5_000, Duration::ZERO), RAMP_WHOLE, "slow start is off");
        assert_eq!(endpoint.ramp(4_000, window), 100, "a moment that was read earlier elsewhere");
    }

    #[test]
    fn names_say_where() {
        assert_eq!(endpoint().name(), "127.0.0.1:1");
        assert_eq!(Endpoint::new(Address::Unix("/run/a.sock".into()), None).name(), "unix:/run/a.sock");
        let six = Endpoint::new(Address::Tcp("[::1]:80".parse().expect("address")), None);
        assert_eq!(six.name(), "[::1]:80");
    }

    #[test]
    fn the_end_of_an_instance_is_counted_once_when_its_last_request_has_ended() {
        let convergence = Histogram::new(&[1.0]);
        let (busy, idle, kept) = (endpoint(), endpoint(), endpoint());
        for _ in 0..2 {
            busy.begin();
            kept.begin();
        }
        for one in [&busy, &idle, &kept] {
            one.farewell().vanish(moment::now_ms());
        }
        // One that comes back within its hold has not ended, and neither has one that was never left out.
        kept.farewell().come_back();
        kept.end();
        busy.end();
        assert_eq!(convergence.count(), 0);
        idle.depart(&convergence);
        assert_eq!(convergence.count(), 1, "nothing is under way");
        busy.depart(&convergence);
        assert_eq!(convergence.count(), 1, "one request is");
        busy.end();
        assert_eq!(convergence.count(), 2);
        busy.begin();
        busy.end();
        assert_eq!(convergence.count(), 2, "whoever was late is not a second end");
    }

    #[test]
    fn an_end_is_counted_however_the_last_request_and_the_farewell_meet() {
        const ROUNDS: u64 = 20_000;
        let convergence = Histogram::new(&[1.0]);
        let endpoints: Vec<Endpoint> = (0..ROUNDS).map(|_| endpoint()).collect();
        endpoints.iter().for_each(Endpoint::begin);
        let turn = std::sync::atomic::AtomicUsize::new(0);
        // Both meet at each endpoint as closely as two threads can.
        let meet = |number: usize| {
            turn.fetch_add(1, Ordering::AcqRel);
            while turn.load(Ordering::Acquire) < 2 * (number + 1) {
                std::hint::spin_loop();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (number, one) in endpoints.iter().enumerate() {
                    meet(number);
                    one.end();
                }
            });
            for (number, one) in endpoints.iter().enumerate() {
                meet(number);
                one.farewell().vanish(moment::now_ms() + 1);
                one.depart(&convergence);
            }
        });
        assert_eq!(convergence.count(), ROUNDS);
    }

    #[test]
    fn a_flight_counts_while_it_lives() {
        let endpoint = Arc::new(endpoint());
        let flight = Flight::begin(&endpoint, &Gauge::default());
        assert_eq!(endpoint.in_flight(), 1);
        drop(flight);
        assert_eq!(endpoint.in_flight(), 0);
    }
}
