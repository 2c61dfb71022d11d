//! A process by its id, told apart from a later one that was given the same id.

use std::fs;
use std::process::Command;

/// A process of this rig; it may have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid {
    /// Its id.
    pub id: u32,
    /// When it was started, in ticks since the machine was; two processes of one id differ in it.
    started: u64,
}

impl Pid {
    /// The process that has the id now.
    #[must_use]
    pub fn of(id: u32) -> Option<Self> {
        let started = Stat::of(id)?.started;
        Some(Self { id, started })
    }

    /// Whether it runs: one that has ended and that nobody has asked about does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::of(self.id).is_some_and(|stat| stat.started == self.started && !stat.is_over())
    }

    /// Sends a signal, such as `TERM`. Nothing happens when it has ended.
    pub fn signal(&self, name: &str) {
        if self.is_alive() {
            let told = Command::new("kill").arg(format!("-{name}")).arg(self.id.to_string()).status();
            assert!(told.is_ok_and(|status| status.success()) || !self.is_alive(), "process {} cannot be sent {name}", self.id);
        }
    }

    /// Whether SIGSTOP has taken effect.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        Stat::of(self.id).is_some_and(|stat| stat.started == self.started && stat.state == 'T')
    }

    /// The processes that it has started and that were not waited for; also those that have ended.
    #[must_use]
    pub fn children(&self) -> Vec<Self> {
        let all = fs::read_dir("/proc").unwrap_or_else(|fault| panic!("/proc: {fault}"));
        let ids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(|id| Stat::of(*id).is_some_and(|stat| stat.parent == self.id)).filter_map(Self::of).collect()
    }

    /// How many descriptors it has open.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id)).map_or(0, Iterator::count)
    }
}

/// What proc_pid_stat(5) says.
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl Stat {
    fn of(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name in parentheses may hold anything, so counting begins behind it.
        let mut fields = text.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // Field 22 of all, of which the third was the first one here.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}
