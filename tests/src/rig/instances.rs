//! Scripted instances of services: started, killed and read from a test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use gwctl::stage::instance::Instance;
use tokio::task::AbortHandle;

use crate::rig::stage::Stage;

/// All instances of a rig.
#[derive(Default)]
pub struct Instances {
    all: Mutex<Vec<Running>>,
}

/// One instance.
#[derive(Clone)]
pub struct Running {
    /// Its name, such as `orders-1`.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it says and remembers.
    pub instance: Arc<Instance>,
    end: AbortHandle,
}

impl Instances {
    /// Starts an instance on a free port of the address, or on the port given.
    pub fn start(&self, stage: &Stage, service: &str, name: &str, address: (Ipv4Addr, u16)) -> SocketAddr {
        let (listener, bound) = stage.listen(SocketAddr::from(address));
        let instance = Arc::new(Instance::new(service, name));
        let end = stage.handle().spawn(instance.clone().serve(listener, std::future::pending())).abort_handle();
        self.lock().push(Running { name: name.to_owned(), address: bound, instance, end });
        bound
    }

    /// Ends an instance as `kill -9` does: its sockets are closed by the kernel, whatever was on them.
    pub fn kill(&self, name: &str) {
        self.get(name).end.abort();
    }

    /// An instance by name; the youngest of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Running {
        self.lock().iter().rev().find(|running| running.name == name).cloned().unwrap_or_else(|| panic!("no instance is called {name}"))
    }

    /// The lines of all ledgers of a service, `number method` each.
    #[must_use]
    pub fn ledger(&self, service: &str) -> Vec<String> {
        let all = self.lock();
        all.iter().filter(|running| running.instance.service == service).flat_map(|running| running.instance.ledger.entries()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
