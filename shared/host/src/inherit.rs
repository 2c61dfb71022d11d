//! Listening sockets that were open before this process: systemd's, or those of the process before this one.
//!
//! In: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES (sd_listen_fds(3)). Out: for each listener of the plan at most one socket, by name where any name
//! fits, else in order. Refuses: a descriptor that is no listening stream socket. Never: guesses by order once one name has fitted, because a
//! leftover could then serve the wrong address.

use std::io;

use listenfd::ListenFd;

use crate::listen::Listener;
use crate::tier::BootError;

/// Sockets that wait for their listener.
#[derive(Debug, Default)]
pub struct Inherited {
    slots: Vec<Slot>,
    by_name: bool,
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

    /// What the environment passes on, for the listeners called `wanted`. Call it once, early: a descriptor can be taken once.
    ///
    /// # Errors
    /// When a descriptor is no listening stream socket.
    pub fn from_environment(wanted: &[&str]) -> Result<Self, BootError> {
        // `listenfd` clears the variables it knows; the names must be read before that.
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut names = names_of(&names);
        let mut sockets = Vec::new();
        for place in 0..passed.len() {
            let name = names.next().flatten().map(str::to_owned);
            let listener = take(&mut passed, place).map_err(|error| {
                let what =
                    format!("inherited descriptor {place} ({}) cannot be listened on: {error}", name.as_deref().unwrap_or("no name"));
                BootError::new(what, "pass stream sockets that listen: in systemd, ListenStream= with Accept=no")
            })?;
            sockets.push((name, listener));
        }
        Ok(Self::of(sockets, wanted))
    }

    /// Sockets with the names they were passed under, in order.
    #[must_use]
    pub fn of(sockets: Vec<(Option<String>, Listener)>, wanted: &[&str]) -> Self {
        let by_name = sockets.iter().any(|(name, _)| name.as_deref().is_some_and(|name| wanted.contains(&name)));
        let slots = sockets.into_iter().map(|(name, listener)| Slot { name, listener: Some(listener) }).collect();
        Self { slots, by_name }
    }

    /// The socket of the listener `name`, if one was passed on for it.
    pub fn take(&mut self, name: &str) -> Option<Listener> {
        let fits = |slot: &Slot| slot.listener.is_some() && (!self.by_name || slot.name.as_deref() == Some(name));
        let place = self.slots.iter().position(fits)?;
        self.slots[place].listener.take()
    }

    /// How many sockets nobody took; what waits in their queues is lost when they close.
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
