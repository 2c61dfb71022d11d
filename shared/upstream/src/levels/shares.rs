//! What part of the requests each instance of a level should get, by its weight.
//!
//! In: weights, as SRV gives them (RFC 2782). Out: the place that a random number or a turn falls on. Never: gives an instance nothing at all.

/// What an instance of weight 0 gets when others have a weight: a very small share (RFC 2782), this fraction of weight 1.
const SHARE_OF_ZERO: u64 = 100;

/// The shares of some instances, by their places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    count: usize,
    /// The running sums of the shares; empty when all are equal.
    sums: Vec<u64>,
    /// The step by which turns walk over the shares, so that a heavy instance does not get its share in one burst.
    stride: u64,
}

impl Shares {
    /// The shares of instances with these weights.
    pub(crate) fn of(weights: &[u16]) -> Self {
        let sums = sums(weights);
        let stride = stride(sums.last().copied().unwrap_or(0));
        Self { count: weights.len(), sums, stride }
    }

    /// The share of the instance at `place` against [`Shares::total`]; at least 1.
    pub(crate) fn share(&self, place: usize) -> u64 {
        match self.sums.get(place) {
            Some(sum) => sum - if place == 0 { 0 } else { self.sums.get(place - 1).copied().unwrap_or(0) },
            None => 1,
        }
    }

    /// The sum of all shares.
    pub(crate) fn total(&self) -> u64 {
        self.sums.last().copied().unwrap_or(self.count as u64)
    }

    /// The place that a random number falls on, each in proportion to its share; beyond the last one where there is none.
    pub(crate) fn at_random(&self, random: u64) -> usize {
        let slot = ((u128::from(random) * u128::from(self.total())) >> 64) as u64;
        if self.sums.is_empty() { slot as usize } else { self.place_of(slot) }
    }

    /// The place whose turn it is, each as often as its share in every full round; beyond the last one where there is none.
    pub(crate) fn in_turn(&self, turn: usize) -> usize {
        match self.sums.last() {
            None => turn % self.count.max(1),
            Some(total) => {
                let slot = (turn as u64 % total) as u128 * u128::from(self.stride) % u128::from(*total);
                self.place_of(slot as u64)
            }
        }
    }

    fn place_of(&self, slot: u64) -> usize {
        self.sums.partition_point(|sum| *sum <= slot)
    }
}

/// Running sums of the shares, or nothing when all instances have the same.
fn sums(weights: &[u16]) -> Vec<u64> {
    let Some(first) = weights.first() else { return Vec::new() };
    if weights.iter().all(|weight| weight == first) {
        return Vec::new();
    }
    let zero = weights.contains(&0);
    let mut sum = 0;
    let share = |weight: u16| match (weight, zero) {
        (0, _) => 1,
        (weight, true) => u64::from(weight) * SHARE_OF_ZERO,
        (weight, false) => u64::from(weight),
    };
    let grown = |weight: &u16| {
        sum += share(*weight);
        sum
    };
    weights.iter().map(grown).collect()
}

/// A step near the golden section of `total` that has no factor in common with it, so that `total` steps visit every slot once.
fn stride(total: u64) -> u64 {
    let mut step = (total as f64 * 0.618_033_988_75) as u64;
    while step > 1 && gcd(step, total) != 1 {
        step -= 1;
    }
    step.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_give_every_share_exactly_and_without_bursts() {
        let shares = Shares::of(&[5, 1, 2]);
        let turns: Vec<usize> = (0..8).map(|turn| shares.in_turn(turn)).collect();
        let count = |place| turns.iter().filter(|one| **one == place).count();
        assert_eq!((count(0), count(1), count(2)), (5, 1, 2));
        assert!(turns.windows(4).all(|four| four.iter().any(|one| *one != 0)), "{turns:?}");
        assert_eq!((shares.share(0), shares.share(1), shares.share(2), shares.total()), (5, 1, 2, 8));
    }

    #[test]
    fn weight_zero_gets_little_but_not_nothing() {
        let shares = Shares::of(&[0, 1]);
        let zero = (0..101).filter(|turn| shares.in_turn(*turn) == 0).count();
        assert_eq!(zero, 1);
        let none = Shares::of(&[0, 0, 0]);
        assert_eq!((none.share(1), none.total()), (1, 3), "where nobody has a weight all are equal");
    }

    #[test]
    fn random_numbers_fall_inside_at_both_ends() {
        for weights in [[1, 1], [3, 9], [0, 65_535]] {
            let shares = Shares::of(&weights);
            assert_eq!((shares.at_random(0), shares.at_random(u64::MAX)), (0, 1));
        }
    }
}
