//! What is ordered of a living fleet: another configuration, another executable.
//!
//! An upgrade is ordered so that connections wait in the kernel's queue at the switch: predecessor and successor are halted until somebody waits there.

use std::path::Path;

use crate::fleet::event::What;
use crate::fleet::seat::{Seat, Tier};
use crate::fleet::{Fleet, scene};
use crate::rig::kernel::{self, Signal};
use crate::rig::wait::until;

impl Fleet {
    /// Writes another configuration for a process, as a rename does it; even and odd variations differ in what both tiers keep warm.
    pub fn configure(&self, seat: Seat, variation: usize) {
        let (name, next) = (format!("{seat}.yaml"), format!("{seat}.next"));
        self.folder().write(&next, &scene::config(seat, self.address(seat), self.surroundings(), variation));
        let renamed = std::fs::rename(self.folder().file(&next), self.folder().file(&name));
        renamed.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }

    /// Has both replicas of a tier take another configuration, and waits until every worker has.
    pub fn reload(&self, tier: Tier, variation: usize) {
        std::thread::scope(|scope| {
            for seat in tier.seats() {
                scope.spawn(move || {
                    self.configure(seat, variation);
                    let before = self.begun().elapsed();
                    // Who watches the file may have been faster, and then nothing is left to adopt.
                    let (status, said) = self.process(seat).post("/reload");
                    assert_eq!(status, 200, "{seat} does not reload: {said}");
                    self.happened(seat, What::Reloaded, before);
                });
            }
        });
    }

    /// Has a process hand over to a new one from the same file. `crowd` is called while nobody accepts; gives how many connections waited in the
    /// kernel's queue just before the two went on.
    pub fn upgrade(&self, seat: Seat, crowd: impl FnOnce()) -> usize {
        let before = self.begun().elapsed();
        let old = self.pid(seat);
        let config = self.folder().file(&format!("{seat}.yaml"));
        kernel::signal(old, Signal::Upgrade);
        let heir = until(&format!("{seat} has a successor"), || kernel::children(old).into_iter().find(|child| is_ours(*child, &config)));
        self.born(heir);
        for pid in [heir, old] {
            kernel::signal(pid, Signal::Halt);
            until(&format!("{pid} is halted"), || (kernel::state(pid) == Some('T')).then_some(()));
        }
        crowd();
        let waiting =
            until(&format!("somebody waits at {seat}"), || Some(kernel::accept_queue(self.address(seat))).filter(|waiting| *waiting > 0));
        kernel::signal(heir, Signal::GoOn);
        kernel::signal(old, Signal::GoOn);
        until(&format!("the successor of {seat} serves"), || {
            let log = || self.process(seat).log();
            assert_ne!(kernel::state(heir).unwrap_or('Z'), 'Z', "the successor of {seat} ended:\n{}", log());
            (self.pid(seat) == heir).then_some(())
        });
        self.happened(seat, What::Upgraded, before);
        waiting
    }

    fn pid(&self, seat: Seat) -> u32 {
        let page = self.process(seat).page("/generation");
        page["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_else(|| panic!("{seat} tells no pid: {page}"))
    }
}

/// Whether a process was started with this file.
pub(super) fn is_ours(pid: u32, config: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_encoded_bytes())
}
