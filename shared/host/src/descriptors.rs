//! How many clients the limit of open files leaves room for.
//!
//! In: `connections_max`, the limit of this process. Out: the ceiling of connections that keeps descriptors free for what answers them, for DNS, logs
//! and the operator's door; a warning where that is fewer than asked for; the one descriptor that is kept for the operator's door. Never: raises the
//! limit above what the system allows (the hard limit).

use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plan_limits::{ANY_PER_ADDRESS, LimitsPlan};

/// A client connection and the one that answers it.
const PER_CONNECTION: usize = 2;

/// Listeners, logs, runtimes, libraries, DNS, the operator's door; where so many are not allowed, half of what is.
const BESIDE: usize = 64;

/// Raises the soft limit to the hard one: the soft one is low for the sake of programs that use select(2), and this is none.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// As many clients as are asked for, or as the limit of open files leaves room for.
pub(crate) fn clients_max(connections_max: usize) -> usize {
    connections_max.min(room(limit()))
}

/// Warns where the limit is in the way, with the number to raise it to.
pub(crate) fn warn_if_few(connections_max: usize) {
    let clients_max = clients_max(connections_max);
    if clients_max < connections_max {
        let needed = connections_max.saturating_mul(PER_CONNECTION).saturating_add(BESIDE);
        tracing::warn!(
            limit = limit(),
            needed,
            connections_max,
            clients_max,
            "few open files are allowed, so that fewer connections are; raise the limit (ulimit -n, LimitNOFILE=) or lower connections_max"
        );
    }
}

/// Warns where one address may have every place, so that its ceiling keeps nobody out.
pub(crate) fn warn_if_one_may_fill(limits: &LimitsPlan) {
    let (per_address, clients_max) = (limits.connections_per_address_max, clients_max(limits.connections_max));
    if one_may_fill(per_address, clients_max) {
        tracing::warn!(
            connections_per_address_max = per_address,
            clients_max,
            "one client address may have every connection that there is room for; lower connections_per_address_max, or raise connections_max and the limit of open files"
        );
    }
}

fn one_may_fill(per_address: u32, clients_max: usize) -> bool {
    per_address != ANY_PER_ADDRESS && usize::try_from(per_address).is_ok_and(|per_address| per_address >= clients_max)
}

/// The soft limit of open files; `None` where there is none.
fn limit() -> Option<usize> {
    getrlimit(Resource::Nofile).current.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn room(limit: Option<usize>) -> usize {
    limit.map_or(usize::MAX, |limit| ((limit - BESIDE.min(limit / 2)) / PER_CONNECTION).max(1))
}

/// A descriptor that is kept so that one can be given up: whoever must be let in when none is left gives it up and accepts.
#[derive(Debug, Default)]
pub(crate) struct Reserve(Option<OwnedFd>);

impl Reserve {
    /// Takes one, unless it has one or none is left.
    pub(crate) fn fill(&mut self) {
        if self.0.is_none() {
            self.0 = std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
        }
    }

    /// Gives it up; `false` when it had none.
    pub(crate) fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_room_for_the_rest() {
        for (limit, clients) in
            [(Some(1), 1), (Some(64), 16), (Some(128), 32), (Some(1024), 480), (Some(20_064), 10_000), (None, usize::MAX)]
        {
            assert_eq!(room(limit), clients, "{limit:?}");
        }
        assert_eq!(clients_max(1), 1);
    }

    #[test]
    fn an_address_that_may_fill_the_process_is_told_unless_any_may() {
        let told =
            [(1024, 10_000), (1024, 1025), (1024, 1024), (1024, 480), (ANY_PER_ADDRESS, 480)].map(|(own, all)| one_may_fill(own, all));
        assert_eq!(told, [false, false, true, true, false]);
    }

    #[test]
    fn a_reserve_is_given_up_once() {
        let mut reserve = Reserve::default();
        assert!(!reserve.give_up());
        reserve.fill();
        reserve.fill();
        assert!(reserve.give_up() && !reserve.give_up());
    }
}
