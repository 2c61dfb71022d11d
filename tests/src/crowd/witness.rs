//! Another client, which asks all the while and must be answered as if nobody else were there.
//!
//! In: a rig's front door. Out: how many requests it made. It fails its test when one was not answered with 200 within [`ANSWER_MAX`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;

use crate::rig::Rig;
use crate::rig::client::{Identity, Line, Version};

/// How long any of its requests may take, its connection and handshake included.
pub const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Between an answer and the next request.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The client, on a thread of its own.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<usize, String>>,
}

impl Witness {
    /// Begins to ask for a public page of `orders`, over a new connection each time.
    #[must_use]
    pub fn watch(rig: &Rig) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (door, identity) = (rig.door(), rig.identity());
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || ask(door, &identity, &stop)
        });
        Self { stop, thread }
    }

    /// Makes it ask once more from now on, then ends it; how many requests were answered.
    #[track_caller]
    pub fn end(self) -> usize {
        self.stop.store(true, Ordering::Release);
        let seen = self.thread.join().unwrap_or_else(|_| panic!("the witness panicked"));
        seen.unwrap_or_else(|what| panic!("another client was not served: {what}"))
    }
}

fn ask(door: SocketAddr, identity: &Identity, stop: &AtomicBool) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|fault| fault.to_string())?;
    let mut answered = 0;
    loop {
        let last = stop.load(Ordering::Acquire);
        let begun = Instant::now();
        let version = if answered % 2 == 0 { Version::H1 } else { Version::H2 };
        let status = runtime.block_on(async {
            let mut line = Line::open(door, identity, version).await?;
            let reply = line.exchange(request(door, version)?).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(reply.status)
        });
        let took = begun.elapsed();
        match status {
            Ok(status) if status == 200 && took < ANSWER_MAX => answered += 1,
            Ok(status) => return Err(format!("after {answered} answers: {status} in {took:?}")),
            Err(fault) => return Err(format!("after {answered} answers: {fault} in {took:?}")),
        }
        if last {
            return Ok(answered);
        }
        std::thread::park_timeout(ASK_EVERY);
    }
}

fn request(door: SocketAddr, version: Version) -> Result<Request<Full<Bytes>>, http::Error> {
    let authority = format!("localhost:{}", door.port());
    match version {
        Version::H1 => Request::get("/public/witness").header(header::HOST, authority).body(Full::default()),
        Version::H2 => Request::get(format!("https://{authority}/public/witness")).body(Full::default()),
    }
}
