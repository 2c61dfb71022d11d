//! Attempts at other instances.

/// How often one request is tried, and how many requests are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriesPlan {
    /// The most attempts for one request; at least 1.
    pub attempts_max: u32,
    /// How many requests may be sent again although something of them may have reached an instance.
    pub budget: BudgetPlan,
}

/// What a retry budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetPlan {
    /// Repeats for a hundred requests of the window, 0 to 100.
    pub percent: u32,
    /// Repeats per second beside that, saved up over the window.
    pub per_second_min: u32,
}
