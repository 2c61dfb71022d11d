//! The id of a decision, so that a refused caller and an operator can name the same one.

use std::cell::Cell;
use std::fmt;

/// One decision: unique over replicas and restarts by chance, over one worker by count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionId(u64);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d-{:016x}", self.0)
    }
}

/// Numbers the decisions of one worker.
#[derive(Debug)]
pub struct Decisions {
    next: Cell<u64>,
}

impl Decisions {
    /// Starts at a random place, so that replicas and workers do not meet.
    #[must_use]
    pub fn new(start: u64) -> Self {
        Self { next: Cell::new(start) }
    }

    /// The id of the next decision. The step is odd and large, so that ids do not look like a count of requests.
    pub fn next(&self) -> DecisionId {
        let id = self.next.get();
        self.next.set(id.wrapping_add(0x9e37_79b9_7f4a_7c15));
        DecisionId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_print_in_one_width() {
        let decisions = Decisions::new(0);
        assert_eq!(decisions.next().to_string(), "d-0000000000000000");
        assert_eq!(decisions.next().to_string(), "d-9e3779b97f4a7c15");
    }
}
