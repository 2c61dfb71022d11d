//! A thread with a runtime of its own, on which issuer, DNS server and instances run beside the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::mpsc;
use std::thread::JoinHandle;

use gwctl::stage::issuer::Issuer;
use gwctl::stage::token_key::TokenKey;
use settings::clock::Clock;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::rig::quiet::Loud;

/// The thread; it ends when this is dropped.
pub struct Stage {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _loud: Loud,
}

impl Stage {
    /// Starts the thread, once no test that must be alone is under way.
    #[must_use]
    pub fn start() -> Self {
        let loud = Loud::wait();
        let (tell, told) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap_or_else(|fault| panic!("{fault}"));
            let _ = tell.send(runtime.handle().clone());
            let _ = runtime.block_on(stopped);
        });
        let handle = told.recv().unwrap_or_else(|fault| panic!("{fault}"));
        Self { handle, stop: Some(stop), thread: Some(thread), _loud: loud }
    }

    /// Where futures can be spawned.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a future on the stage and waits for what it gives.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (tell, told) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            let _ = tell.send(work.await);
        });
        told.recv().unwrap_or_else(|fault| panic!("the work on the stage panicked: {fault}"))
    }

    /// A listener on an address, usable on the stage.
    #[must_use]
    pub fn listen(&self, address: SocketAddr) -> (TcpListener, SocketAddr) {
        let listener = StdListener::bind(address).unwrap_or_else(|fault| panic!("{address}: {fault}"));
        listener.set_nonblocking(true).unwrap_or_else(|fault| panic!("{fault}"));
        let bound = listener.local_addr().unwrap_or_else(|fault| panic!("{fault}"));
        let _inside = self.handle.enter();
        (TcpListener::from_std(listener).unwrap_or_else(|fault| panic!("{fault}")), bound)
    }

    /// An issuer on a free port of loopback, with a key of its own.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        let (listener, address) = self.listen((Ipv4Addr::LOCALHOST, 0).into());
        let key = TokenKey::new().unwrap_or_else(|fault| panic!("{fault}"));
        let issuer = Issuer::new(&format!("http://{address}"), key, Clock::system());
        self.handle.spawn({
            let issuer = issuer.clone();
            async move {
                let _ = issuer.serve(listener, std::future::pending()).await;
            }
        });
        issuer
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
