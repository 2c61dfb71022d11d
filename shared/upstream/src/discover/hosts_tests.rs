//! Hosts of SRV targets against a name service of which some hosts are dead.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::lookup::Provenance;

/// Hosts that answer when all that may be asked at a time have been asked, and hosts that never do.
#[derive(Default)]
struct Partly {
    dead: Mutex<BTreeSet<String>>,
    addresses: Mutex<HashMap<String, IpAddr>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Lookup for Partly {
    async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
        let name = name.strip_suffix('.').expect("a whole name");
        if self.dead.lock().expect("lock").contains(name) {
            return pending().await;
        }
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let address = self.addresses.lock().expect("lock").get(name).copied();
        address
            .map(|one| Addresses { addresses: vec![one], ttl: Duration::from_secs(9), said: said(), unanswered: None })
            .ok_or(LookupFault::NO_RECORDS)
    }
    async fn addresses_in(&self, name: &str, family: Family) -> Result<Addresses, LookupFault> {
        let mut all = self.addresses(name).await?;
        all.addresses.retain(|address| Family::of(address) == family);
        if all.addresses.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(all) }
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

fn host(index: usize) -> String {
    format!("h{index:04}.demo")
}

fn setting(hosts: usize) -> (Partly, Vec<Target>) {
    let names = Partly::default();
    for index in 0..hosts {
        let address = IpAddr::from([10, 0, (index / 256) as u8, (index % 256) as u8]);
        names.addresses.lock().expect("lock").insert(host(index), address);
    }
    let target = |index| Target { priority: 0, weight: 1, port: 80, host: host(index) };
    (names, (0..hosts).map(target).collect())
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime").block_on(test);
}

fn short(one_ms: u64, all_ms: u64) -> Hosts {
    let bound = Duration::from_millis;
    Hosts { bounds: Bounds { one: bound(one_ms), family: bound(one_ms), again: bound(one_ms), all: bound(all_ms) }, ..Hosts::default() }
}

async fn resolve(hosts: &mut Hosts, names: &Partly, targets: Vec<Target>, ttl_s: u64) -> (Result<Vec<Found>, LookupFault>, Duration) {
    let answer = Targets { targets, ttl: Duration::from_secs(ttl_s), said: said(), additional: Vec::new() };
    let Answer { found, ttl, .. } = hosts.resolve(names, answer, |_| {}).await;
    (found, ttl)
}

fn said() -> Provenance {
    Provenance { server: "127.0.0.1:53".into(), rcode: "NOERROR" }
}

#[test]
fn many_hosts_are_asked_beside_each_other_up_to_a_ceiling() {
    run(async {
        let (names, targets) = setting(100);
        let (found, ttl) = resolve(&mut Hosts::default(), &names, targets, 60).await;
        assert_eq!((found.expect("all").len(), ttl.as_secs()), (100, 9));
        assert_eq!(names.most.load(Ordering::Relaxed), LOOKUPS_MAX);
    });
}

#[test]
fn a_dead_host_keeps_its_address_and_the_others_go_on() {
    run(async {
        let (names, targets) = setting(3);
        let mut hosts = short(30, 10_000);
        names.dead.lock().expect("lock").insert(host(0));
        let (found, ttl) = resolve(&mut hosts, &names, targets.clone(), 60).await;
        assert_eq!((found.expect("the others").len(), ttl), (2, Duration::ZERO), "never known, so nothing to keep");
        names.dead.lock().expect("lock").clear();
        assert_eq!(resolve(&mut hosts, &names, targets.clone(), 0).await.0.expect("all").len(), 3);
        names.dead.lock().expect("lock").insert(host(1));
        names.addresses.lock().expect("lock").insert(host(2), IpAddr::from([10, 9, 9, 9]));
        let found = resolve(&mut hosts, &names, targets, 0).await.0.expect("all");
        let addresses: Vec<String> = found.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.0:80", "10.0.0.1:80", "10.9.9.9:80"]);
    });
}

#[test]
fn more_dead_hosts_than_time_do_not_keep_the_living_from_being_asked_next_time() {
    run(async {
        let (names, targets) = setting(LOOKUPS_MAX + 1);
        names.dead.lock().expect("lock").extend((0..LOOKUPS_MAX).map(host));
        let mut hosts = short(10_000, 30);
        // The dead ones come first in the alphabet and take all places until the end.
        assert_eq!(resolve(&mut hosts, &names, targets.clone(), 0).await.0, Err(LookupFault::TIMEOUT));
        let found = resolve(&mut hosts, &names, targets, 0).await.0.expect("the living one");
        assert_eq!(found.len(), 1);
    });
}

#[test]
fn when_all_are_dead_that_is_told() {
    run(async {
        let (names, targets) = setting(2);
        names.dead.lock().expect("lock").extend([host(0), host(1)]);
        assert_eq!(resolve(&mut short(20, 10_000), &names, targets, 0).await.0, Err(LookupFault::TIMEOUT));
    });
}

#[test]
fn what_the_answer_brought_along_is_not_asked_for() {
    run(async {
        let (names, targets) = setting(2);
        let brought = vec![(format!("{}.", host(0).to_uppercase()), vec![IpAddr::from([10, 7, 7, 7]), IpAddr::from([10, 7, 7, 8])])];
        names.dead.lock().expect("lock").insert(host(0));
        let strange = (host(77), vec![IpAddr::from([10, 6, 6, 6])]);
        let additional = brought.into_iter().chain([strange, (host(1), Vec::new())]).collect();
        let answer = Targets { targets, ttl: Duration::from_secs(60), said: said(), additional };
        let found = Hosts::default().resolve(&names, answer, |_| {}).await.found.expect("both");
        let addresses: Vec<String> = found.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["10.7.7.7:80", "10.7.7.8:80", "10.0.0.1:80"]);
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_told_while_a_dead_host_is_waited_for() {
    let (names, targets) = setting(20);
    names.dead.lock().expect("lock").insert(host(0));
    let mut hosts = Hosts::default();
    let (begin, mut parts) = (Instant::now(), Vec::new());
    let answer = Targets { targets, ttl: Duration::from_secs(60), said: said(), additional: Vec::new() };
    let whole = hosts.resolve(&names, answer.clone(), |part| parts.push((begin.elapsed(), part.len()))).await;
    assert!(parts.len() == 1 && parts[0].1 == 19 && parts[0].0 < 2 * FIRST_PART, "once, for nothing was new after it: {parts:?}");
    assert_eq!((whole.found.expect("the others").len(), begin.elapsed().as_secs()), (19, 5));
    // From now on it is known to be dead, and rounds are short enough for a change to be seen in time.
    let again = Instant::now();
    hosts.resolve(&names, answer, |_| {}).await.found.expect("the others");
    assert_eq!(again.elapsed().as_secs(), 2);
}

/// A name service whose hosts have an address of each family, and that fails as it is told to.
#[derive(Default)]
struct Dual {
    says: Mutex<HashMap<&'static str, Result<Option<Unanswered>, LookupFault>>>,
    whole: AtomicUsize,
    halves: AtomicUsize,
}

impl Dual {
    fn answer(&self, name: &str) -> Result<Addresses, LookupFault> {
        let unanswered = self.says.lock().expect("lock").get(name).copied().unwrap_or(Ok(None))?;
        let last = name.bytes().next().unwrap_or_default();
        let mut addresses: Vec<IpAddr> = vec![[10, 0, 0, last].into(), [0, 0, 0, 0, 0, 0, 0, u16::from(last)].into()];
        addresses.retain(|address| unanswered.is_none_or(|unanswered| unanswered.family != Family::of(address)));
        Ok(Addresses { addresses, ttl: Duration::from_secs(9), said: said(), unanswered })
    }
}

impl Lookup for Dual {
    async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
        self.whole.fetch_add(1, Ordering::Relaxed);
        self.answer(name)
    }

    async fn addresses_in(&self, name: &str, family: Family) -> Result<Addresses, LookupFault> {
        self.halves.fetch_add(1, Ordering::Relaxed);
        let mut answer = self.answer(name)?;
        answer.addresses.retain(|address| Family::of(address) == family);
        Ok(answer)
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

async fn dual(hosts: &mut Hosts, names: &Dual, additional: &[(&str, &str)]) -> (String, Answer) {
    let targets = ["a", "b"].map(|host| Target { priority: 0, weight: 1, port: 80, host: host.to_owned() }).to_vec();
    let additional = additional.iter().map(|(host, address)| ((*host).to_owned(), vec![address.parse().expect("address")])).collect();
    let answer = hosts.resolve(names, Targets { targets, ttl: Duration::from_secs(60), said: said(), additional }, |_| {}).await;
    let addresses = answer.found.clone().unwrap_or_default();
    let addresses: Vec<String> = addresses.iter().map(|one| one.address.to_string().trim_end_matches(":80").to_owned()).collect();
    (addresses.join(" "), answer)
}

const SERVER_FAILURE: LookupFault = LookupFault { code: "server-failure", definite: false };

#[test]
fn a_family_that_did_not_come_along_is_asked_for() {
    run(async {
        let (names, mut hosts) = (Dual::default(), Hosts::default());
        let along = [("a", "10.0.0.97"), ("b", "::62"), ("b", "10.0.0.98")];
        let (found, answer) = dual(&mut hosts, &names, &along).await;
        assert_eq!((found.as_str(), answer.ttl.as_secs()), ("10.0.0.97 [::61] [::62] 10.0.0.98", 9));
        assert_eq!((names.whole.load(Ordering::Relaxed), names.halves.load(Ordering::Relaxed)), (0, 1));
        // Nobody says anything of it: what is known stays, and that is told.
        names.says.lock().expect("lock").insert("a.", Err(SERVER_FAILURE));
        let (found, answer) = dual(&mut hosts, &names, &along).await;
        assert_eq!((found.as_str(), answer.ttl.as_secs()), ("10.0.0.97 [::61] [::62] 10.0.0.98", 0));
        assert_eq!(answer.unanswered, Some(Unanswered { family: Family::Six, fault: SERVER_FAILURE }));
        // There is none of it: that is no fault.
        names.says.lock().expect("lock").insert("a.", Err(LookupFault::NO_RECORDS));
        let (found, answer) = dual(&mut hosts, &names, &along).await;
        assert_eq!((found.as_str(), answer.ttl.as_secs(), answer.unanswered), ("10.0.0.97 [::62] 10.0.0.98", 60, None));
    });
}

#[test]
fn a_host_keeps_the_family_that_nobody_answered_for() {
    run(async {
        let (names, mut hosts) = (Dual::default(), Hosts::default());
        let all = "10.0.0.97 [::61] 10.0.0.98 [::62]";
        assert_eq!(dual(&mut hosts, &names, &[]).await.0, all);
        let unanswered = Unanswered { family: Family::Six, fault: LookupFault::TIMEOUT };
        names.says.lock().expect("lock").insert("b.", Ok(Some(unanswered)));
        for _ in 0..2 {
            let (found, answer) = dual(&mut hosts, &names, &[]).await;
            assert_eq!((found.as_str(), answer.unanswered, answer.ttl), (all, Some(unanswered), Duration::ZERO));
        }
    });
}

#[test]
fn one_host_of_which_nobody_said_anything_makes_the_whole_no_certain_no() {
    run(async {
        for says in [[LookupFault::NO_RECORDS, SERVER_FAILURE], [SERVER_FAILURE, LookupFault::NO_RECORDS]] {
            let names = Dual::default();
            names.says.lock().expect("lock").extend(["a.", "b."].into_iter().zip(says.map(Err)));
            assert_eq!(dual(&mut Hosts::default(), &names, &[]).await.1.found, Err(SERVER_FAILURE));
        }
    });
}

#[test]
fn the_addresses_of_hosts_outlive_whoever_looked_them_up() {
    run(async {
        let names = Dual::default();
        let (_, answer) = dual(&mut Hosts::default(), &names, &[]).await;
        let found = answer.found.expect("all");
        let held = found.iter().filter(|one| one.host.as_deref() == Some("b")).cloned().collect();
        let set = EndpointSet::after_with(&EndpointSet::default(), found, held).expect("a set");
        names.says.lock().expect("lock").extend([("a.", Err(SERVER_FAILURE)), ("b.", Err(SERVER_FAILURE))]);
        let found = dual(&mut Hosts::of(&set), &names, &[]).await.0;
        assert_eq!(found, "10.0.0.97 [::61]", "whom an answer left out does not come back by silence");
    });
}
