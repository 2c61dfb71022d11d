//! A whole process in a thread: real sockets, real workers, and a tier of a few lines that answers by path.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod client;
pub(crate) mod tiny;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::boot::{Boot, Places, live};
use host::config::{
    AdminConfig, CertificateConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, ReloadConfig, TlsConfig, TlsVersion,
    TrustRootsConfig, UnixConfig, UpgradeConfig,
};
use host::drain::Departure;
use host::inherit::Inherited;
use host::limits_config::LimitsConfig;
use host::load::Loader;
use host::notify::Notifier;
use host::orders::{Order, Orders};
use host::plan::{HostPlan, HostSections};
use host::tier::BootError;
use serde_json::Value;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;
use telemetry::logs::LogsConfig;
use telemetry::record::Kind;
use telemetry::record::config::{RecordsConfig, SinkConfig, TargetConfig};
use telemetry::traces::config::TracesConfig;

use crate::rig::client::Client;
use crate::rig::tiny::{Gate, Tiny, TinyPlan};

/// Nothing in these tests should take so long.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// What a test wants of the process.
pub(crate) struct Wish {
    pub(crate) workers: u32,
    pub(crate) tls: Option<Pem>,
    pub(crate) limits: LimitsConfig,
    pub(crate) drain: DrainConfig,
    pub(crate) inherited: Inherited,
    /// Listen on a Unix socket, for these users.
    pub(crate) uids: Option<Vec<u32>>,
    /// The service manager.
    pub(crate) notifier: Notifier,
    /// How often files are looked at.
    pub(crate) watch: Option<Span>,
    /// It lacks what a process before it may have.
    pub(crate) lacks: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            workers: 1,
            tls: None,
            limits: LimitsConfig::default(),
            drain: DrainConfig { wait: Span::secs(0), deadline: Span::secs(10) },
            inherited: Inherited::none(),
            uids: None,
            notifier: Notifier::none(),
            watch: ReloadConfig::default().watch,
            lacks: false,
        }
    }
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    /// The same as it is told: `unix:PATH` for a Unix socket.
    pub(crate) place: String,
    pub(crate) admin: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    /// What the process is to be, as its file would say.
    pub(crate) plan: Arc<Mutex<(HostPlan, TinyPlan)>>,
    pub(crate) orders: tokio::sync::mpsc::Sender<Order>,
    thread: JoinHandle<Result<Departure, BootError>>,
    folder: Folder,
}

impl Process {
    pub(crate) fn start(wish: Wish) -> Self {
        let folder = Folder::new();
        let host = plan(&wish, &folder.0);
        let gate = Gate::new();
        gate.lacks.store(wish.lacks, Ordering::Relaxed);
        let (orders, given) = tokio::sync::mpsc::channel(4);
        let (ready, is_ready) = mpsc::sync_channel::<Places>(1);
        let plan = Arc::new(Mutex::new((host, TinyPlan { gate: Arc::clone(&gate), greeting: "hello".to_owned(), broken: None })));
        let file = Arc::clone(&plan);
        let at = folder.0.join("tiny.conf");
        let loader = Loader::<Tiny>::of("tiny", move |former| tiny::load(&file.lock().unwrap(), &at, former));
        let loaded = loader.load(None).unwrap();
        let boot = Boot::<Tiny> { loaded, loader, inherited: wish.inherited, origin: None, notifier: wish.notifier, begun: Instant::now() };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(boot, Orders::on_channel(given), move |places| ready.send(places.clone()).unwrap()))
        });
        let places = is_ready.recv_timeout(LONG).expect("the process becomes ready");
        let place = places.listeners[0].1.clone();
        let address = place.parse().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { address, place, admin: places.admin.parse().unwrap(), gate, plan, orders, thread, folder }
    }

    /// What it reads as its configuration.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.0.join("tiny.conf")
    }

    /// A connection to the listener.
    pub(crate) fn connect(&self) -> Client {
        Client::to(self.address)
    }

    /// One page of the admin door: status and body.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        Client::to(self.admin).get(path).expect("the admin door answers")
    }

    /// Asks the admin door for a reload: status and body.
    pub(crate) fn reload(&self) -> (u16, Value) {
        let (status, body) = Client::to(self.admin).post("/reload", "").expect("the admin door answers");
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Asks it to leave, as SIGTERM does.
    pub(crate) fn ask_to_leave(&self) {
        self.orders.try_send(Order::Leave("asked")).unwrap();
    }

    /// Waits for its end; the records it wrote.
    pub(crate) fn end(self) -> (Departure, Vec<Value>) {
        let departure = self.thread.join().unwrap().unwrap();
        let text = std::fs::read_to_string(self.folder.0.join("events.log")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (departure, records)
    }

    /// Asks it to leave and waits for its end.
    pub(crate) fn stop(self) -> (Departure, Vec<Value>) {
        self.ask_to_leave();
        self.end()
    }

    /// Waits until a page of the admin door says what is expected.
    pub(crate) fn wait_until(&self, path: &str, expected: impl Fn(u16, &str) -> bool) {
        let started = Instant::now();
        loop {
            let (status, body) = self.admin(path);
            if expected(status, &body) {
                return;
            }
            assert!(started.elapsed() < LONG, "{path} still says {status} {body}");
            std::thread::yield_now();
        }
    }
}

fn plan(wish: &Wish, folder: &Path) -> HostPlan {
    let tls = wish.tls.as_ref().map(|pem| {
        std::fs::write(folder.join("server.pem"), &pem.chain).unwrap();
        std::fs::write(folder.join("server.key"), &pem.key).unwrap();
        TlsConfig {
            certificates: vec![CertificateConfig { chain: "server.pem".into(), key: "server.key".into() }],
            clients: None,
            minimum: TlsVersion::default(),
            any_authority: false,
        }
    });
    let sections = HostSections {
        name: "tiny".to_owned(),
        workers: Some(wish.workers),
        listen: vec![ListenConfig {
            name: "main".to_owned(),
            address: if wish.uids.is_some() { "unix:main.sock" } else { "127.0.0.1:0" }.to_owned(),
            allow_plaintext: tls.is_none(),
            tls,
            unix: wish.uids.clone().map(|uids| UnixConfig { mode: "0600".to_owned(), uids }),
            redirect_to: None,
            hsts: None,
            proxy_protocol: None,
            publish_keys: false,
        }],
        admin: AdminConfig { address: "127.0.0.1:0".to_owned(), unix: None },
        drain: wish.drain,
        upgrade: UpgradeConfig::default(),
        reload: ReloadConfig { watch: wish.watch },
        limits: wish.limits,
        logs: LogsConfig::default(),
        records: records(),
        traces: TracesConfig::default(),
        dns: DnsConfig { servers: vec!["127.0.0.1:53".to_owned()] },
        roots: TrustRootsConfig::default(),
        fetch: FetchConfig::default(),
    };
    let mut report = Report::new();
    let plan = HostPlan::check(sections, &Files::of(folder), &mut report);
    plan.unwrap_or_else(|| panic!("{}", report.print()))
}

fn records() -> RecordsConfig {
    let sink = SinkConfig {
        to: TargetConfig::File("events.log".to_owned()),
        kinds: vec![Kind::Connection],
        when_full: Default::default(),
        flush: Span::millis(50),
        queue_bytes_max: settings::units::Size::mib(1),
    };
    RecordsConfig { sinks: vec![sink] }
}

/// A certificate for `localhost` that signs itself.
#[derive(Clone)]
pub(crate) struct Pem {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) der: rustls::pki_types::CertificateDer<'static>,
}

impl Pem {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self { chain: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }
}

/// A folder of this test's own.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let path = std::env::temp_dir().join(format!("host-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The values of one field over all records.
pub(crate) fn field<'r>(records: &'r [Value], name: &str) -> Vec<&'r str> {
    records.iter().filter_map(|record| record[name].as_str()).collect()
}

/// How many different connections the records tell of.
pub(crate) fn connections(records: &[Value]) -> usize {
    records.iter().filter_map(|record| record["gateway.connection"].as_u64()).collect::<HashSet<_>>().len()
}

/// Something that several threads gather.
pub(crate) fn gathered<T: Send + 'static>(number: usize, make: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let make = Arc::new(make);
    let all = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..number)
        .map(|index| {
            let (make, all) = (Arc::clone(&make), Arc::clone(&all));
            std::thread::spawn(move || {
                let made = make(index);
                all.lock().unwrap().push(made);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    std::mem::take(&mut *all.lock().unwrap())
}
