//! Listening sockets that were open before this process: systemd's, or those of the process before this one.
//!
//! In: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES (sd_listen_fds(3)), and what a predecessor says beside them. Out: for each listener of the plan at most one socket, by name where any name
//! fits, else in order; and the line to a process that hands over to this one. Refuses: a descriptor that is no listening stream socket. Never:
//! guesses by order once one name has fitted or a predecessor named them all, because a leftover could then serve the wrong address.

use std::io;
use std::os::unix::process::parent_id;

use listenfd::ListenFd;

use crate::listen::Listener;
use crate::succession::passed::{Passed, Passing, VARIABLE};
use crate::succession::predecessor::Predecessor;
use crate::tier::BootError;

/// The name under which a process that hands over passes the line to itself; no listener may have it.
pub const PREDECESSOR: &str = "predecessor";

/// Sockets that wait for their listener.
#[derive(Debug, Default)]
pub struct Inherited {
    slots: Vec<Slot>,
    by_name: bool,
    is_succession: bool,
    passing: Passing,
    predecessor: Option<Predecessor>,
}

#[derive(Debug)]
struct Slot {
    name: Option<String>,
    listener: Option<Listener>,
}

impl Inherited {
    /// Nothing was inherited.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the environment passes on. Call it once, early: a descriptor can be taken once.
    ///
    /// # Errors
    /// When a descriptor is no listening stream socket; a predecessor has been told.
    pub fn from_environment() -> Result<Self, BootError> {
        // `listenfd` clears the variables it knows; the names must be read before that.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let passing = Passing::parse(&std::env::var(VARIABLE).unwrap_or_default());
        let mut passed = ListenFd::from_env();
        let mut names = names_of(&names);
        let (mut sockets, mut predecessor, mut broken) = (Vec::new(), None, None);
        for place in 0..passed.len() {
            let name = names.next().flatten().map(str::to_owned);
            let taken = if name.as_deref() == Some(PREDECESSOR) {
                take_predecessor(&mut passed, place, passing.by).map(|line| predecessor = Some(line))
            } else {
                take(&mut passed, place).map(|listener| sockets.push((name.clone(), listener)))
            };
            if let Err(error) = taken {
                let what =
                    format!("inherited descriptor {place} ({}) cannot be listened on: {error}", name.as_deref().unwrap_or("no name"));
                broken.get_or_insert(BootError::new(what, "pass stream sockets that listen: in systemd, ListenStream= with Accept=no"));
            }
        }
        match (broken, predecessor) {
            (None, None) => Ok(Self::of(sockets, &[])),
            (None, Some(predecessor)) => Ok(Self::from_predecessor(sockets, passing, predecessor)),
            (Some(error), None) => Err(error),
            (Some(error), Some(predecessor)) => {
                predecessor.failed(&error);
                Err(error)
            }
        }
    }

    /// Sockets with the names they were passed under, in order, for the listeners called `wanted`.
    #[must_use]
    pub fn of(sockets: Vec<(Option<String>, Listener)>, wanted: &[&str]) -> Self {
        let slots = sockets.into_iter().map(|(name, listener)| Slot { name, listener: Some(listener) }).collect();
        Self { slots, ..Self::default() }.wanted(wanted)
    }

    /// Sockets of a process that hands over to this one, what it says of them, and the line to it.
    #[must_use]
    pub fn from_predecessor(sockets: Vec<(Option<String>, Listener)>, passing: Passing, predecessor: Predecessor) -> Self {
        Self { is_succession: true, passing, predecessor: Some(predecessor), ..Self::of(sockets, &[]) }
    }

    /// The names of all listeners, by which it is decided whether names or places count.
    #[must_use]
    pub fn wanted(mut self, wanted: &[&str]) -> Self {
        let fits = |slot: &Slot| slot.name.as_deref().is_some_and(|name| wanted.contains(&name));
        self.by_name = self.is_succession || self.slots.iter().any(fits);
        self
    }

    /// The line to the process that hands over to this one; it is given out once.
    pub fn predecessor(&mut self) -> Option<Predecessor> {
        self.predecessor.take()
    }

    /// Whether a process of our own kind has passed these on, which empties and closes the queues that we leave to it.
    #[must_use]
    pub fn is_succession(&self) -> bool {
        self.is_succession
    }

    /// What a predecessor said of the socket called `name`.
    pub(crate) fn passed(&self, name: &str) -> Option<&Passed> {
        self.passing.sockets.get(name)
    }

    /// The socket of the listener `name`, if one was passed on for it.
    pub fn take(&mut self, name: &str) -> Option<Listener> {
        let fits = |slot: &Slot| slot.listener.is_some() && (!self.by_name || slot.name.as_deref() == Some(name));
        let place = self.slots.iter().position(fits)?;
        self.slots[place].listener.take()
    }

    /// How many sockets nobody took; what waits in their queues is lost when they close, unless somebody else has them too.
    #[must_use]
    pub fn left(&self) -> usize {
        self.slots.iter().filter(|slot| slot.listener.is_some()).count()
    }
}

/// The names by position: an empty one still stands for its descriptor, and those behind it must not move up.
fn names_of(variable: &str) -> impl Iterator<Item = Option<&str>> {
    variable.split(':').map(|name| Some(name).filter(|name| !name.is_empty()))
}

fn take(passed: &mut ListenFd, place: usize) -> io::Result<Listener> {
    let listener = match passed.take_tcp_listener(place) {
        Ok(Some(listener)) => Listener::Tcp(listener),
        Ok(None) => return Err(io::ErrorKind::NotFound.into()),
        Err(_) => passed.take_unix_listener(place)?.map(Listener::Unix).ok_or(io::ErrorKind::NotFound)?,
    };
    listener.adopt()
}

fn take_predecessor(passed: &mut ListenFd, place: usize, pid: u32) -> io::Result<Predecessor> {
    let socket = passed.take_unix_datagram(place)?.ok_or(io::ErrorKind::NotFound)?;
    socket.set_nonblocking(true)?;
    Ok(Predecessor::at(socket, if pid == 0 { parent_id() } else { pid }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    fn socket() -> (Listener, String) {
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 0).unwrap();
        let address = listener.address();
        (listener, address)
    }

    #[test]
    fn a_name_that_fits_decides_and_leftovers_stay_unused() {
        let ((a, _), (b, at_b)) = (socket(), socket());
        let mut inherited = Inherited::of(vec![(Some("old".into()), a), (Some("https".into()), b)], &["https", "redirect"]);
        assert_eq!(inherited.take("https").unwrap().address(), at_b);
        assert!(inherited.take("redirect").is_none(), "`old` is not given to a listener of another name");
        assert_eq!(inherited.left(), 1);
    }

    #[test]
    fn a_predecessor_names_everything_and_what_it_has_more_serves_nobody() {
        let (a, _) = socket();
        let succession = Inherited { is_succession: true, ..Inherited::of(vec![(Some("old".into()), a)], &[]) };
        let mut inherited = succession.wanted(&["https", "admin"]);
        assert!(inherited.take("https").is_none() && inherited.take("admin").is_none());
        assert_eq!(inherited.left(), 1);
    }

    #[test]
    fn an_empty_name_keeps_its_place() {
        let names: Vec<_> = names_of("https::admin:").collect();
        assert_eq!(names, [Some("https"), None, Some("admin"), None]);
        assert_eq!(names_of("").collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn without_a_name_that_fits_the_order_decides() {
        let ((a, at_a), (b, at_b)) = (socket(), socket());
        let mut inherited = Inherited::of(vec![(Some("gateway.socket".into()), a), (None, b)], &["https", "redirect"]);
        assert_eq!(inherited.take("https").unwrap().address(), at_a);
        assert_eq!(inherited.take("redirect").unwrap().address(), at_b);
        assert!(inherited.take("admin").is_none());
    }
}
