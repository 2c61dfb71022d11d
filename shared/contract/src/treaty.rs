//! Which treaties understand each other, and what that asks of everything that crosses the link.
//!
//! In: the number that the other tier speaks under. Out: whether this tier may believe it. Refuses whatever is further away than one. Never:
//! negotiates: each side writes its own treaty, and reads its neighbours'.
//!
//! # The rule
//! A deploy changes one tier before the other, in either order, so a tier reads what was written under `TREATY - 1`, [`TREATY`] and `TREATY + 1`.
//! - *Members that it does not know are ignored*, in the assertion, in the caller and in the Trail. A new member may therefore add to what is
//!   known, and never restrict: "believe this only if" needs two treaties, one in which tier 2 learns the member and one in which tier 1 writes it.
//! - *Members that it misses have a stated meaning.* In the caller: `scopes` none, `claims` none, `expires_at` no end of its own (the assertion's
//!   end holds). In the Trail: `attempts` 0, all others "not told". So what is missing gives less, never more. `iss`, `aud`, `iat`, `exp`,
//!   `treaty`, `caller`, `subject`, `issuer` and `proof` are never left out by any treaty; without one of them the assertion is malformed.
//! - *Words that it does not know* are refused where a decision hangs on them (`proof`: the assertion is malformed) and skipped where a record
//!   does (`reason` in the Trail). Switch a new kind of proof on when both tiers know it.
//! - *The Trail carries no number.* A tier 2 that is further away has refused the assertion, and what its Trail says of that refusal is for a
//!   record alone.
//! - *What tier 1 saw* (`x-gw-seen`, [`crate::seen`]) restricts, and so follows the rule of two treaties: where it is missing, tier 1 does not
//!   know it, and the request passes; where it is there, it must be what tier 2 reads, or the request is refused (`split-view`). A tier 2 that
//!   does not know it scrubs it. What goes into the digest is never changed under this name.
//! - A name or a form is never given a second meaning; it gets a new name.

use crate::TREATY;

/// Whether what was written under the treaty `theirs` is understood here: it is this one, the one before, or the one after.
#[must_use]
pub const fn is_adjacent(theirs: u64) -> bool {
    // Widening, which `const` has no other word for.
    theirs.abs_diff(TREATY as u64) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::Trail;

    // The golden texts here and in `assertion::treaty_tests` speak of the neighbours of treaty 1; a new treaty writes its own.
    const _: () = assert!(TREATY == 1);

    #[test]
    fn a_neighbour_is_understood_and_nobody_further_away() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(is_adjacent), [true, true, true, false, false]);
    }

    #[test]
    fn a_trail_of_a_neighbour_is_read() {
        let whole = Trail {
            route: Some("read-orders".into()),
            decision: Some("d1".into()),
            service: Some("orders".into()),
            instance: Some("10.0.0.1:80".into()),
            generation: Some(4),
            attempts: 1,
            queue_us: Some(20),
            upstream_us: Some(1500),
            reason: None,
        };
        // The former one knew no decisions and no queue, and wrote no number of attempts where there was one.
        let former = "route=read-orders;service=orders;instance=10.0.0.1:80;generation=4;upstream_us=1500";
        let expected = Trail { decision: None, queue_us: None, attempts: 0, ..whole.clone() };
        assert_eq!(Trail::parse(former.as_bytes()), Some(expected));
        let same = "route=read-orders;decision=d1;service=orders;instance=10.0.0.1:80;generation=4;attempts=1;queue_us=20;upstream_us=1500";
        assert_eq!(whole.encode(), same);
        assert_eq!(Trail::parse(same.as_bytes()), Some(whole.clone()));
        let next = format!("zone=eu-1;{same};policy=p%207;hedged=;reason=policy-unreachable");
        assert_eq!(Trail::parse(next.as_bytes()), Some(whole));
        // Further away the assertion was refused; the Trail of that refusal is still no malformation.
        assert_eq!(Trail::parse(b"verdict=no;tries=0"), Some(Trail::default()));
    }
}
