//! What is ordered of a living fleet: another configuration, another executable.

use std::cell::Cell;

use crate::fleet::event::What;
use crate::fleet::seat::{Seat, Tier};
use crate::fleet::{Fleet, scene};
use crate::rig::kernel;
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

    /// Has a process hand over to a new one while neither of the two accepts and somebody waits at the door. `crowd` is called as soon as they stand
    /// still; gives how many connections waited in the kernel's queue before they went on.
    pub fn upgrade(&self, seat: Seat, crowd: impl FnOnce()) -> usize {
        let before = self.begun().elapsed();
        let waiting = Cell::new(0);
        let at_the_switch = || {
            crowd();
            let queue = || Some(kernel::accept_queue(self.address(seat))).filter(|waiting| *waiting > 0);
            waiting.set(until(&format!("somebody waits at {seat}"), queue));
        };
        self.process(seat).upgrade_standing(at_the_switch, || {});
        self.happened(seat, What::Upgraded, before);
        waiting.get()
    }
}
