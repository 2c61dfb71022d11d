//! The sockets of a process at its start: those that it was passed, and those that it binds itself.
//!
//! In: the plan and what was inherited. Out: one socket for each listener and the admin door, and what a successor must know of each. Refuses: an
//! address that cannot be bound, a passed socket that reaches further than the plan. Never: leaves a socket of the service manager to nobody, for
//! connections would wait in its queue for ever; changes the mode of its file, which is the manager's to say.

use std::sync::Arc;

use crate::address::Address;
use crate::inherit::Inherited;
use crate::listen::Listener;
use crate::plan::HostPlan;
use crate::succession::passed::Passed;
use crate::tier::BootError;

/// The name of the admin door among listeners.
pub(crate) const ADMIN: &str = "admin";

/// The sockets of a process.
pub(crate) struct Bound {
    /// In the order of the plan.
    pub(crate) listeners: Vec<Socket>,
    /// The operator's door.
    pub(crate) admin: Socket,
}

/// One socket.
pub(crate) struct Socket {
    /// The name of its listener.
    pub(crate) name: Arc<str>,
    /// What accepts.
    pub(crate) listener: Listener,
    /// What a successor is told of it.
    pub(crate) passed: Passed,
    /// Of a socket that a predecessor had bound: the mode that its file must have once it is ours.
    mode: Option<u32>,
    /// It was passed on to this process.
    is_taken: bool,
}

impl Bound {
    /// All sockets, the admin door last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Socket> {
        self.listeners.iter().chain([&self.admin])
    }

    /// The names of those that were passed on.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.all().filter(|socket| socket.is_taken).map(|socket| socket.name.to_string()).collect()
    }

    /// Gives the files of sockets that a predecessor had bound the modes of this plan. Call it last of all that can fail: until then the
    /// predecessor may have to go on with them.
    ///
    /// # Errors
    /// A file belongs to somebody else, or is gone.
    pub(crate) fn set_modes(&self) -> Result<(), BootError> {
        self.all().filter_map(|socket| Some((socket, socket.mode?))).try_for_each(|(socket, mode)| socket.listener.set_mode(mode))
    }
}

/// Binds everything, or says what cannot be bound.
pub(crate) fn bind(host: &HostPlan, inherited: Inherited) -> Result<Bound, BootError> {
    let names: Vec<&str> = host.listeners.iter().map(|plan| &*plan.name).chain([ADMIN]).collect();
    let mut inherited = inherited.wanted(&names);
    let mut listeners = Vec::with_capacity(host.listeners.len());
    for plan in &host.listeners {
        listeners.push(one(&mut inherited, &plan.name, &plan.address, plan.mode)?);
    }
    let admin = one(&mut inherited, &Arc::from(ADMIN), &host.admin.address, host.admin.mode)?;
    if inherited.left() > 0 {
        if inherited.is_succession() {
            tracing::info!(sockets = inherited.left(), "sockets that no listener is named after are left to the process before this one");
        } else {
            tracing::warn!(
                sockets = inherited.left(),
                "inherited sockets that no listener is named after are closed, with what waits in their queues"
            );
        }
    }
    Ok(Bound { listeners, admin })
}

fn one(inherited: &mut Inherited, name: &Arc<str>, address: &Address, mode: u32) -> Result<Socket, BootError> {
    let socket = |listener, is_managers, is_taken| {
        let passed = Passed { address: address.to_string(), is_managers };
        Socket { name: Arc::clone(name), listener, passed, mode: (is_taken && !is_managers).then_some(mode), is_taken }
    };
    let anew = || Listener::bind(address, mode).map(|listener| socket(listener, false, false));
    let Some(listener) = inherited.take(name) else { return anew() };
    let is_managers = if inherited.is_succession() {
        let passed = inherited.passed(name);
        let is_managers = passed.is_some_and(|passed| passed.is_managers);
        let is_as_meant = passed.is_some_and(|passed| passed.address == address.to_string()) || listener.stands_at(address);
        if !is_managers && !is_as_meant {
            // The predecessor empties and closes its queue by itself.
            return anew();
        }
        is_managers
    } else {
        true
    };
    listener.in_place_of(name, address).map(|listener| socket(listener, is_managers, true))
}
