//! A hash that means the same in every process, build and replica.
//!
//! In: bytes. Out: 64 bits, spread evenly. Never: a secret, and no defence against somebody who looks for collisions; what is built on it has a
//! bound of its own (`pick::consistent_hash`).

/// The hash of `bytes`. It is part of what replicas of different builds agree on: it does not change.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        // A chunk has at most as many bytes.
        padded.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
        hash = mixed(hash ^ u64::from_le_bytes(padded));
    }
    mixed(hash)
}

/// The finish of SplitMix64: every bit of `number` moves half of the bits of the outcome.
pub(crate) fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_changes() {
        let known = [
            ("", 7_960_286_522_194_355_700),
            ("10.0.0.7:8080", 12_451_730_004_869_282_171),
            ("a longer key than one word holds", 16_098_555_897_037_839_320),
        ];
        let said: Vec<(&str, u64)> = known.iter().map(|(text, _)| (*text, hash_of(text.as_bytes()))).collect();
        assert_eq!(said, known);
    }

    #[test]
    fn close_keys_lie_far_apart() {
        let mut buckets = [0_usize; 64];
        for number in 0..64_000 {
            buckets[(hash_of(format!("user-{number}").as_bytes()) >> 58) as usize] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1_150).contains(count)), "{buckets:?}");
    }
}
