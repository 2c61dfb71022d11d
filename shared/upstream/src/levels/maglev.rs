//! Which instance a key belongs to: the look-up table of Maglev (Eisenbud et al., NSDI 2016, §3.4), with shares.
//!
//! In: the instances of a level by the hashes of their addresses, and their shares. Out: one place for each of 65,537 slots, each instance in
//! proportion to its share. When one instance of n comes or goes, about 1/n of the slots change hands; the same addresses make the same table in
//! every replica. Never: built per request.

use crate::stable_hash::mixed;

/// The slots of a table; a prime, so that every step visits all of them.
pub(crate) const SLOTS: usize = 65_537;

/// A table of places, of which there are at most [`crate::endpoints::ENDPOINTS_MAX`].
#[derive(Debug)]
pub(crate) struct Maglev {
    slots: Box<[u16]>,
}

/// An instance that claims slots in an order of its own.
struct Claimant {
    next: u64,
    step: u64,
    share: u64,
    /// What its rounds times its share must reach before it may claim again.
    due: u64,
}

impl Maglev {
    /// The table of the instances with these hashes and shares; `None` when there are none.
    pub(crate) fn build(instances: &[(u64, u64)]) -> Option<Self> {
        const FREE: u16 = u16::MAX;
        let heaviest = instances.iter().map(|(_, share)| *share).max()?;
        let mut claimants: Vec<Claimant> = instances
            .iter()
            .map(|(hash, share)| Claimant {
                next: mixed(hash ^ 0x6f66_6673_6574) % SLOTS as u64,
                step: mixed(hash ^ 0x736b_6970) % (SLOTS as u64 - 1) + 1,
                share: *share,
                due: 0,
            })
            .collect();
        let mut slots = vec![FREE; SLOTS].into_boxed_slice();
        let mut left = SLOTS;
        for round in 1_u64.. {
            for (place, claimant) in claimants.iter_mut().enumerate() {
                if round.saturating_mul(claimant.share) < claimant.due {
                    continue;
                }
                claimant.due += heaviest;
                while slots.get(claimant.next as usize).is_some_and(|slot| *slot != FREE) {
                    claimant.advance();
                }
                if let Some(slot) = slots.get_mut(claimant.next as usize) {
                    *slot = u16::try_from(place).unwrap_or(0);
                }
                claimant.advance();
                left -= 1;
                if left == 0 {
                    return Some(Self { slots });
                }
            }
        }
        None
    }

    /// The place at which `key` belongs; with `step` above 0 where it goes when the places before are not to be had.
    pub(crate) fn place(&self, key: u64, step: usize) -> usize {
        // The high bits choose the slot; what follows a slot in the table belongs to others in no order, so that the load of one that is full is
        // spread over all.
        let first = ((u128::from(key) * SLOTS as u128) >> 64) as usize;
        self.slots.get((first + step) % SLOTS).copied().unwrap_or(0).into()
    }
}

impl Claimant {
    fn advance(&mut self) {
        self.next = (self.next + self.step) % SLOTS as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stable_hash::hash_of;

    fn instances(count: usize) -> Vec<(u64, u64)> {
        (0..count).map(|number| (hash_of(format!("10.0.{}.{}:8080", number / 250, number % 250).as_bytes()), 1)).collect()
    }

    fn table(instances: &[(u64, u64)]) -> Maglev {
        Maglev::build(instances).expect("instances make a table")
    }

    fn counts(table: &Maglev, places: usize) -> Vec<usize> {
        let mut counts = vec![0; places];
        table.slots.iter().for_each(|place| counts[usize::from(*place)] += 1);
        counts
    }

    #[test]
    fn every_instance_gets_its_share_of_the_slots() {
        for count in [1, 2, 3, 10, 100, 1_000] {
            let counts = counts(&table(&instances(count)), count);
            let even = SLOTS / count;
            assert!(counts.iter().all(|slots| (even..=even + 1).contains(slots)), "{count}");
        }
        let mut weighted = instances(3);
        for (one, share) in weighted.iter_mut().zip([10, 30, 60]) {
            one.1 = share;
        }
        for (slots, share) in counts(&table(&weighted), 3).into_iter().zip([0.1, 0.3, 0.6]) {
            assert!((slots as f64 / SLOTS as f64 - share).abs() < 0.001, "{slots} slots for {share}");
        }
        assert!(Maglev::build(&[]).is_none());
    }

    #[test]
    fn the_same_instances_make_the_same_table_in_every_replica() {
        assert_eq!(table(&instances(7)).slots, table(&instances(7)).slots);
    }

    #[test]
    fn one_instance_more_or_less_moves_about_its_own_share_of_the_keys() {
        for count in [2, 5, 10, 50, 200] {
            let all = instances(count + 1);
            for gone in [0, count / 2, count] {
                let mut fewer = all.clone();
                let leaver = fewer.remove(gone);
                let (with, without) = (table(&all), table(&fewer));
                let moved = (0..100_000_u64).filter(|number| {
                    let key = mixed(*number);
                    all[with.place(key, 0)] != fewer[without.place(key, 0)]
                });
                let mut of_leaver = 0;
                let moved = moved.inspect(|number| of_leaver += usize::from(all[with.place(mixed(*number), 0)] == leaver)).count();
                let share = 100_000 / (count + 1);
                // Those of the instance itself, which have to move, and few beside them.
                assert!(of_leaver.abs_diff(share) <= share / 5 + 100, "{of_leaver} keys of {gone} of {count}");
                assert!(moved <= share + share / 5 + 2_500, "{moved} keys move with {gone} of {count}, {share} are its share");
            }
        }
    }
}
