//! Waiting for something to be so, with a bound: never for time to pass.

use std::time::{Duration, Instant};

/// How long a test waits for what should come at once on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something, and fails the test when there is nothing after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}");
        std::thread::park_timeout(LOOK_EVERY);
    }
}
