//! The fleet: two replicas of each tier and four instances, each a process of its own, with an issuer and a DNS zone around them.
//!
//! A test kills, ends, restarts and changes its processes by their [`Seat`]; each comes back at the address where it was. Every wait has a bound.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a fleet that cannot be built fails its test")]

pub mod event;
pub mod orders;
pub mod scene;
pub mod seat;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gwctl::stage::dns_server::DnsServer;
use gwctl::stage::issuer::{Issuer, user};
use gwctl::stage::link_key::LinkKey;
use gwctl::stage::zone_handle::ZoneHandle;
use serde_json::Value;

use crate::fleet::event::{Event, What};
use crate::fleet::scene::Surroundings;
use crate::fleet::seat::{Addresses, Seat, Tier};
use crate::ledger::entries::{self, Executed, Recorded};
use crate::rig::binaries::Binaries;
use crate::rig::certificates::Certificates;
use crate::rig::client::Identity;
use crate::rig::folder::Folder;
use crate::rig::process::Process;
use crate::rig::stage::Stage;
use crate::rig::wait::until;

/// Instances of `orders`.
pub const INSTANCES: usize = 4;

/// The flush window of the access records, as the scene states it.
pub const FLUSH: Duration = Duration::from_millis(50);

/// A running fleet. Dropping it ends every process that it started.
pub struct Fleet {
    begun: Instant,
    places: Vec<(Seat, SocketAddr)>,
    processes: Mutex<BTreeMap<Seat, Arc<Process>>>,
    events: Mutex<Vec<Event>>,
    withdrawn: Mutex<BTreeSet<Seat>>,
    binaries: Binaries,
    around: Surroundings,
    zone: ZoneHandle,
    issuer: Issuer,
    certificates: Certificates,
    folder: Folder,
    _stage: Stage,
    /// Instances end themselves when this test is gone, however it ended.
    _tie: File,
}

impl Fleet {
    /// Starts everything and waits until every process is ready.
    #[must_use]
    pub fn raise(binaries: &Binaries) -> Self {
        let folder = Folder::new();
        let certificates = Certificates::write(&folder);
        let stage = Stage::start();
        let key = LinkKey::new(Some("link-1")).unwrap_or_else(|fault| panic!("{fault}"));
        folder.write("link.pem", key.pem());
        folder.write("link.jwks.json", &key.jwks().unwrap_or_else(|fault| panic!("{fault}")));
        let issuer = stage.issuer();

        let mut addresses = Addresses::new();
        let seats = [Tier::Security, Tier::Routing].into_iter().flat_map(Tier::seats).chain((0..INSTANCES).map(Seat::Instance));
        let places: Vec<_> = seats.map(|seat| (seat, addresses.take())).collect();
        let zone = ZoneHandle::new("demo.", &scene::zone(places.iter())).unwrap_or_else(|fault| panic!("{fault}"));
        let dns = stage.run(DnsServer::bind((Ipv4Addr::LOCALHOST, 0).into(), zone.clone())).unwrap_or_else(|fault| panic!("{fault}"));
        let dns_address = dns.address().unwrap_or_else(|fault| panic!("{fault}"));
        stage.handle().spawn(dns.serve());
        let around = Surroundings { dns: dns_address, issuer: issuer.url().to_owned() };
        for (seat, address) in &places {
            if !matches!(seat, Seat::Instance(_)) {
                folder.write(&format!("{seat}.yaml"), &scene::config(*seat, *address, &around, 0));
            }
        }
        let tie = File::create(folder.file("tie")).unwrap_or_else(|fault| panic!("{fault}"));
        tie.lock().unwrap_or_else(|fault| panic!("{fault}"));
        let fleet = Self {
            begun: Instant::now(),
            places,
            processes: Mutex::default(),
            events: Mutex::default(),
            withdrawn: Mutex::default(),
            binaries: *binaries,
            around,
            zone,
            issuer,
            certificates,
            folder,
            _stage: stage,
            _tie: tie,
        };
        // Nobody starts before what it needs.
        for (seat, _) in fleet.places.iter().rev() {
            fleet.start(*seat);
        }
        fleet
    }

    /// All seats, tier 1 first.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + '_ {
        self.places.iter().map(|(seat, _)| *seat)
    }

    /// The process that has a seat now, or had it last.
    #[must_use]
    pub fn process(&self, seat: Seat) -> Arc<Process> {
        lock(&self.processes).get(&seat).unwrap_or_else(|| panic!("nobody ever sat on {seat}")).clone()
    }

    /// The moment of an instant.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Where clients connect: the listeners of both replicas of tier 1.
    #[must_use]
    pub fn doors(&self) -> [SocketAddr; 2] {
        [self.address(Seat::Security(0)), self.address(Seat::Security(1))]
    }

    /// Whom clients believe.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { ca_pem: self.certificates.ca_pem(), leaf: None, server: "localhost" }
    }

    /// A token of the demo user `editor`.
    #[must_use]
    pub fn editor(&self) -> String {
        let user = user("editor").unwrap_or_else(|| panic!("the issuer knows no editor"));
        self.issuer.mint(user, user.scopes, 600).unwrap_or_else(|fault| panic!("the token cannot be made: {fault}"))
    }

    /// Where a process listens.
    #[must_use]
    pub fn address(&self, seat: Seat) -> SocketAddr {
        let place = self.places.iter().find(|(taken, _)| *taken == seat);
        place.unwrap_or_else(|| panic!("{seat} is no seat")).1
    }

    /// Starts a process on an empty seat and waits until it is ready.
    pub fn start(&self, seat: Seat) {
        let before = self.begun.elapsed();
        // Whoever sat here takes whoever answers at its admin door along when it is dropped: so before the next one does.
        drop(lock(&self.processes).remove(&seat));
        let (name, file) = (seat.to_string(), |end: &str| self.folder.file(&format!("{seat}{end}")));
        let process = match seat {
            Seat::Security(_) => Process::start(&name, self.binaries.security, &file(".yaml"), &file(".sock")),
            Seat::Routing(_) => Process::start(&name, self.binaries.routing, &file(".yaml"), &file(".sock")),
            Seat::Instance(_) => self.start_instance(&name),
        };
        lock(&self.processes).insert(seat, Arc::new(process));
        self.happened(seat, What::Started, before);
    }

    fn start_instance(&self, name: &str) -> Process {
        let (seat, address) = self.places.iter().find(|(seat, _)| seat.to_string() == name).unwrap_or_else(|| panic!("no {name}"));
        let file = |end: &str| self.folder.file(&format!("{seat}{end}"));
        let mut command = Command::new(self.binaries.gwctl);
        command.arg("stage").arg("--demo-lock").arg(self.folder.file("tie"));
        command.args(["instance", "--service", "orders", "--name", name, "--address", &address.to_string()]);
        command.arg("--ledger").arg(file(".ledger"));
        let process = Process::run(name, &mut command, &file(".log"), &file(".sock"));
        until(&format!("{name} listens"), || {
            process.assert_alive();
            TcpStream::connect(address).ok()
        });
        process
    }

    /// Ends a process as `kill -9` does, and waits until it is gone.
    pub fn kill(&self, seat: Seat) {
        let before = self.begun.elapsed();
        self.process(seat).kill();
        self.happened(seat, What::Killed, before);
    }

    /// Sends SIGTERM and waits until the process has ended by itself.
    pub fn end(&self, seat: Seat) {
        let before = self.begun.elapsed();
        let process = self.process(seat);
        process.terminate();
        let status = process.wait();
        assert!(status.success(), "{seat} ended with {status}:\n{}", process.log());
        self.happened(seat, What::Left, before);
    }

    /// Ends a process and starts the next one in its place. An instance is taken out of the zone first, as every orchestrator does.
    pub fn restart(&self, seat: Seat) {
        self.withdraw(seat);
        self.end(seat);
        self.start(seat);
        self.announce(seat);
    }

    /// Takes an instance out of the zone, and waits until tier 2 has seen it. The other processes stay where they are found.
    pub fn withdraw(&self, seat: Seat) {
        lock(&self.withdrawn).insert(seat);
        self.publish(seat, false);
    }

    /// Puts an instance back into the zone, and waits until tier 2 has seen it.
    pub fn announce(&self, seat: Seat) {
        lock(&self.withdrawn).remove(&seat);
        self.publish(seat, true);
    }

    fn publish(&self, seat: Seat, there: bool) {
        if !matches!(seat, Seat::Instance(_)) {
            return;
        }
        let withdrawn = lock(&self.withdrawn).clone();
        let text = scene::zone(self.places.iter().filter(|(seat, _)| !withdrawn.contains(seat)));
        self.zone.set(&text).unwrap_or_else(|fault| panic!("{fault}"));
        let address = self.address(seat).to_string();
        for routing in Tier::Routing.seats() {
            until(&format!("{routing} has seen that {seat} {}", if there { "came" } else { "goes" }), || {
                let page = self.process(routing).page("/services");
                let endpoints = page[0]["endpoints"].as_array().cloned().unwrap_or_default();
                // One that is only held gets nothing while another may answer, and is gone soon.
                let named = |endpoint: &Value| endpoint["address"] == *address && endpoint["held"] != true;
                (endpoints.iter().any(named) == there).then_some(())
            });
        }
    }

    /// What was done to whom, and when, so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// Notes what was done to whom; `before` is the moment before it.
    pub fn happened(&self, seat: Seat, what: What, before: Duration) {
        lock(&self.events).push(Event { seat, what, before, after: self.begun.elapsed() });
    }

    /// What the instances have executed so far, by their own ledgers.
    #[must_use]
    pub fn executed(&self) -> Vec<Executed> {
        let ledgers = (0..INSTANCES).map(|index| Seat::Instance(index).to_string());
        ledgers.flat_map(|name| entries::executed(&name, &self.text(&format!("{name}.ledger")))).collect()
    }

    /// The access records of both replicas of tier 1 so far.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        (0..2).flat_map(|replica| entries::recorded(replica, &self.text(&format!("access-{}.log", replica + 1)))).collect()
    }

    /// A few lines from the logs and events of all processes that mention a word.
    #[must_use]
    pub fn excerpts(&self, word: &str) -> String {
        let mut found = String::new();
        for (seat, _) in &self.places {
            for file in [format!("{seat}.log"), format!("{seat}.events.log")] {
                for line in self.text(&file).lines().filter(|line| line.contains(word)).take(5) {
                    found.push_str(&format!("  {file}: {line}\n"));
                }
            }
        }
        found
    }

    /// What stands around the tiers.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.around
    }

    /// Bytes of a file of the fleet as text; nothing where there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        std::fs::read(self.folder.file(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The folder with configurations, logs and ledgers.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
