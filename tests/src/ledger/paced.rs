//! What a client sends next and when: the same in every run, different for every client.

use std::time::Duration;

use crate::ledger::entries::Kind;

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) number: String,
    pub(super) kind: Kind,
    pub(super) delay: Duration,
}

/// The `turn`th request of a client: two of five are POSTs, one of four asks the instance to take its time.
pub(super) fn ask(client: &str, turn: u64) -> Ask {
    let drawn = draw(client, turn);
    let kind = if drawn % 5 < 2 { Kind::Post } else { Kind::Get };
    let delay = if (drawn / 5).is_multiple_of(4) { 50 + drawn / 20 % 250 } else { 0 };
    Ask { number: format!("{client}.{turn}"), kind, delay: Duration::from_millis(delay) }
}

/// The rest before it: 60 to 220 ms, so that a debug build on a busy machine stays well.
pub(super) fn rest(client: &str, turn: u64) -> Duration {
    Duration::from_millis(60 + draw(client, !turn) % 160)
}

/// FNV-1a, finished as in SplitMix64: even enough for a mix.
fn draw(client: &str, turn: u64) -> u64 {
    let bytes = client.bytes().chain(turn.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_gets_posts_and_delays_and_no_number_twice() {
        let asks: Vec<_> = (0..1000).map(|turn| ask("h1-1", turn)).collect();
        let posts = asks.iter().filter(|ask| ask.kind == Kind::Post).count();
        let delayed = asks.iter().filter(|ask| !ask.delay.is_zero()).count();
        assert!((300..500).contains(&posts) && (150..350).contains(&delayed), "{posts} {delayed}");
        let numbers: std::collections::BTreeSet<_> = asks.iter().map(|ask| &ask.number).collect();
        assert_eq!(numbers.len(), asks.len());
    }
}
