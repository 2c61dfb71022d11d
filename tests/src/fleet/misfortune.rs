//! What can befall the fleet beside death: an instance that is paused, slow or resets; a name service that fails in any way.
//!
//! Each thing is done, seen to be done, and seen to be over. Who looks is the process itself, or those that depend on it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gwctl::stage::instance::mood::Mood;
use gwctl::stage::zone_handle::Conduct;

use crate::fleet::event::What;
use crate::fleet::seat::{Seat, Tier};
use crate::fleet::{Fleet, scene};
use crate::rig::wait::until;

/// How long an instance that is well may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How a name service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamesFault {
    /// The names are there, without records of the kind that is asked for (RFC 2308 §2.2).
    Empty,
    /// NXDOMAIN.
    NoSuchName,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED, to whoever asks.
    Refused,
    /// No answer.
    Silence,
    /// Bytes that are no message.
    Garbage,
    /// Good answers under an id that nobody asked by.
    ForgedId,
}

impl NamesFault {
    /// Each of them.
    pub const ALL: [Self; 7] =
        [Self::Empty, Self::NoSuchName, Self::ServerFailure, Self::Refused, Self::Silence, Self::Garbage, Self::ForgedId];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "names-empty",
            Self::NoSuchName => "names-nxdomain",
            Self::ServerFailure => "names-servfail",
            Self::Refused => "names-refused",
            Self::Silence => "names-silence",
            Self::Garbage => "names-garbage",
            Self::ForgedId => "names-forged-id",
        }
    }
}

impl Fleet {
    /// Stops a process as SIGSTOP does: the kernel goes on taking its connections and bytes, and nobody answers.
    pub fn pause(&self, seat: Seat) {
        let process = self.process(seat);
        let before = self.begun().elapsed();
        process.signal("STOP");
        until(&format!("{seat} stands still"), || process.pid().stands_still().then_some(()));
        self.happened(seat, What::Afflicted("paused"), before);
    }

    /// Lets a paused process go on.
    pub fn go_on(&self, seat: Seat) {
        self.process(seat).signal("CONT");
    }

    /// Tells an instance how to treat whoever asks it; it holds when this returns.
    pub fn order(&self, seat: Seat, mood: Mood) {
        let path = self.folder().file(&format!("{seat}.control"));
        let order = || {
            let mut socket = UnixStream::connect(&path)?;
            socket.set_read_timeout(Some(ANSWER_MAX))?;
            socket.write_all(format!("{mood}\n").as_bytes())?;
            let mut told = String::new();
            socket.read_to_string(&mut told).map(|_| told)
        };
        let told: std::io::Result<String> = order();
        assert!(told.as_ref().is_ok_and(|told| told.trim_end() == mood.to_string()), "{seat} does not become {mood}: {told:?}");
    }

    /// Waits until an instance answers, and notes that it is over what it had.
    pub fn wait_well(&self, seat: Seat) {
        let before = self.begun().elapsed();
        let address = self.address(seat);
        let ask = || {
            let mut socket = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
            socket.set_read_timeout(Some(ANSWER_MAX))?;
            socket.write_all(b"GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n")?;
            let mut said = String::new();
            socket.read_to_string(&mut said).map(|_| said)
        };
        until(&format!("{seat} answers again"), || {
            let said: std::io::Result<String> = ask();
            said.is_ok_and(|said| said.starts_with("HTTP/1.1 200 ")).then_some(())
        });
        self.happened(seat, What::Relieved, before);
    }

    /// Has the name service fail, and waits until everybody who asks it has noticed.
    pub fn fail_names(&self, fault: NamesFault) {
        let (before, seen) = (self.begun().elapsed(), self.lookups());
        let zone = |text: &str| self.zone.set(text).unwrap_or_else(|fault| panic!("{fault}"));
        match fault {
            NamesFault::Empty => zone(&scene::bare_zone()),
            NamesFault::NoSuchName => zone(""),
            NamesFault::ServerFailure => self.zone.conduct(Conduct::Fails),
            NamesFault::Refused => self.zone.conduct(Conduct::Refuses),
            NamesFault::Silence => self.zone.conduct(Conduct::Silent),
            NamesFault::Garbage => self.zone.conduct(Conduct::Garbles),
            NamesFault::ForgedId => self.zone.conduct(Conduct::Forges),
        }
        self.more_lookups(&format!("{} is noticed", fault.name()), seen, |lookups| lookups.failed);
        self.happened(Seat::Names, What::Afflicted(fault.name()), before);
    }

    /// Has the name service answer again, and waits until everybody who asks it has had a good answer.
    pub fn mend_names(&self) {
        let (before, seen) = (self.begun().elapsed(), self.lookups());
        self.zone.set(&self.zone_text()).unwrap_or_else(|fault| panic!("{fault}"));
        self.zone.conduct(Conduct::Answers);
        self.more_lookups("names are answered again", seen, |lookups| lookups.good);
        self.happened(Seat::Names, What::Relieved, before);
    }

    /// Waits until a process of tier 2 is healthy by the checks of every replica of tier 1, and notes that it is over what it had.
    pub fn wait_believed(&self, seat: Seat) {
        let (before, address) = (self.begun().elapsed(), format!("{} healthy", self.address(seat)));
        until(&format!("{seat} is believed to be well"), || {
            let told = |security| self.told(security, "/readyz").is_none_or(|page| page.contains(&address));
            Tier::Security.seats().into_iter().all(told).then_some(())
        });
        self.happened(seat, What::Relieved, before);
    }

    /// Lets time pass on the clock of the fleet: what a misfortune lasts is time by its nature.
    pub fn pass(&self, time: Duration) {
        let end = self.begun().elapsed() + time;
        while let Some(left) = end.checked_sub(self.begun().elapsed()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
    }

    /// What has become of the look-ups of everybody who answers.
    fn lookups(&self) -> BTreeMap<Seat, Lookups> {
        let seats = Tier::Security.seats().into_iter().chain(Tier::Routing.seats());
        seats.filter_map(|seat| Some((seat, Lookups::read(&self.told(seat, "/metrics")?)))).collect()
    }

    /// Waits until everybody who answers has one more of these. Whoever was started meanwhile has counted from nothing.
    fn more_lookups(&self, what: &str, mut seen: BTreeMap<Seat, Lookups>, count: impl Fn(&Lookups) -> u64) {
        until(what, || {
            let now = self.lookups();
            for (seat, lookups) in &now {
                let before = seen.entry(*seat).or_default();
                if count(lookups) < count(before) {
                    *before = Lookups::default();
                }
            }
            now.iter().all(|(seat, lookups)| count(lookups) > count(&seen[seat])).then_some(())
        });
    }
}

/// Look-ups of one process since its start.
#[derive(Clone, Copy, Debug, Default)]
struct Lookups {
    good: u64,
    failed: u64,
}

impl Lookups {
    fn read(metrics: &str) -> Self {
        let mut lookups = Self::default();
        for line in metrics.lines().filter_map(|line| line.strip_prefix("gateway_dns_lookups_total{")) {
            let Some((labels, count)) = line.rsplit_once(' ') else { continue };
            let counted = if labels.contains("result=\"ok\"") { &mut lookups.good } else { &mut lookups.failed };
            *counted += count.parse::<u64>().unwrap_or_default();
        }
        lookups
    }
}
