//! The key ids that an issuer is known not to have, for a while.
//!
//! In: a `kid` that a fresh key set lacks. Out: yes, we asked lately. Bounded in number and in time, since clients choose what stands in it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The most key ids that are remembered for an issuer.
pub(crate) const ABSENT_MAX: usize = 256;

/// How long an absent key id is believed to stay absent; a regular refresh that brings the key makes it known at once.
pub(crate) const ABSENT_FOR: Duration = Duration::from_secs(30);

/// Absent key ids and when each is forgotten.
#[derive(Default)]
pub(crate) struct Absent(HashMap<Box<str>, Instant>);

impl Absent {
    pub(crate) fn has(&self, kid: &str, now: Instant) -> bool {
        self.0.get(kid).is_some_and(|until| now < *until)
    }

    pub(crate) fn add(&mut self, kid: &str, now: Instant) {
        if self.0.len() >= ABSENT_MAX {
            self.0.retain(|_, until| now < *until);
        }
        if self.0.len() >= ABSENT_MAX {
            // A storm of invented ids: forgetting them all costs one more look, which is rate-limited anyway.
            self.0.clear();
        }
        self.0.insert(kid.into(), now + ABSENT_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_in_time_and_never_outgrows_its_ceiling() {
        let mut absent = Absent::default();
        let now = Instant::now();
        absent.add("k", now);
        assert!(absent.has("k", now) && !absent.has("other", now));
        assert!(!absent.has("k", now + ABSENT_FOR));
        for at in 0..10 * ABSENT_MAX {
            absent.add(&format!("k{at}"), now);
            assert!(absent.0.len() <= ABSENT_MAX && absent.has(&format!("k{at}"), now));
        }
    }
}
