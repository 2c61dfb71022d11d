//! What is asked of a living process from outside.
//!
//! In: SIGTERM, SIGINT, SIGHUP, SIGUSR2; in tests a channel. Out: an [`Order`] at a time. Never: acts on one; that is for whoever lives the life. The
//! file watcher and the operator's door have ways of their own to [`crate::reload`] and [`crate::handover`], because they wait for what comes of it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::tier::BootError;

/// Something that a living process is asked to do, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Drain and end; the second time: end at once.
    Leave(&'static str),
    /// Read the configuration again.
    Reload(&'static str),
    /// Start the executable again, and leave once that one serves.
    Upgrade(&'static str),
}

/// Whatever gives orders.
#[derive(Debug)]
pub struct Orders {
    source: Source,
    put_off: Option<Order>,
}

#[derive(Debug)]
enum Source {
    Signals { term: Signal, int: Signal, hup: Signal, usr2: Signal },
    Channel(mpsc::Receiver<Order>),
}

impl Orders {
    /// Takes over SIGTERM, SIGINT, SIGHUP and SIGUSR2. From here on none of them ends the process by itself.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn on_signals() -> Result<Self, BootError> {
        let take = |kind, name| {
            signal(kind)
                .map_err(|error| BootError::new(format!("{name} cannot be handled: {error}"), "look for a sandbox that forbids sigaction"))
        };
        let term = take(SignalKind::terminate(), "SIGTERM")?;
        let int = take(SignalKind::interrupt(), "SIGINT")?;
        let hup = take(SignalKind::hangup(), "SIGHUP")?;
        let usr2 = take(SignalKind::user_defined2(), "SIGUSR2")?;
        Ok(Self { source: Source::Signals { term, int, hup, usr2 }, put_off: None })
    }

    /// Orders that a test gives, or a process that holds several lives.
    #[must_use]
    pub fn on_channel(orders: mpsc::Receiver<Order>) -> Self {
        Self { source: Source::Channel(orders), put_off: None }
    }

    /// Waits for the next order.
    pub async fn next(&mut self) -> Order {
        match self.put_off.take() {
            Some(order) => order,
            None => self.heard().await,
        }
    }

    /// Waits until the process is asked to leave, and tells by what. Whatever else is asked meanwhile is asked once more afterwards.
    pub async fn leave(&mut self) -> &'static str {
        loop {
            match self.heard().await {
                Order::Leave(why) => return why,
                other @ (Order::Reload(_) | Order::Upgrade(_)) => self.put_off = Some(other),
            }
        }
    }

    async fn heard(&mut self) -> Order {
        match &mut self.source {
            Source::Signals { term, int, hup, usr2 } => tokio::select! {
                _ = term.recv() => Order::Leave("SIGTERM"),
                _ = int.recv() => Order::Leave("SIGINT"),
                _ = hup.recv() => Order::Reload("SIGHUP"),
                _ = usr2.recv() => Order::Upgrade("SIGUSR2"),
            },
            Source::Channel(orders) => match orders.recv().await {
                Some(order) => order,
                // Nobody can ask any more; that is no reason to do anything.
                None => std::future::pending().await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_asked_of_a_process_that_starts_is_not_forgotten() {
        let (sender, receiver) = mpsc::channel(4);
        let mut orders = Orders::on_channel(receiver);
        sender.send(Order::Reload("one")).await.unwrap();
        sender.send(Order::Leave("two")).await.unwrap();
        assert_eq!(orders.leave().await, "two");
        assert_eq!(orders.next().await, Order::Reload("one"));
    }
}
