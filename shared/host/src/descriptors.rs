//! Whether the process may open as many descriptors as its plan has connections.
//!
//! In: `connections_max`. Out: a warning at start where the limit of open files is lower than what that many clients take. Never: changes the limit.

/// A client connection and the one that answers it.
const PER_CONNECTION: usize = 2;

/// Listeners, logs, runtimes, libraries.
const BESIDE: usize = 64;

/// Warns, with the number to raise the limit to.
pub(crate) fn warn_if_few(connections_max: usize) {
    let needed = connections_max.saturating_mul(PER_CONNECTION).saturating_add(BESIDE);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = soft_limit(&limits).filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            connections_max,
            "few open files are allowed; raise the limit (ulimit -n, LimitNOFILE=) or lower connections_max"
        );
    }
}

/// The soft limit of open files in the form of proc_pid_limits(5); `None` where it is unlimited or not told.
fn soft_limit(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::soft_limit;

    #[test]
    fn the_kernels_table_is_understood() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 1048576              files     \n";
        assert_eq!(soft_limit(table), Some(1024));
        assert_eq!(soft_limit("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(soft_limit(""), None);
        assert!(soft_limit(&std::fs::read_to_string("/proc/self/limits").unwrap()).is_some_and(|limit| limit > 0));
    }
}
