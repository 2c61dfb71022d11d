//! The parts of the stage as processes of their own.
//!
//! In: the arguments of `gwctl stage …`. Out: a part that serves until SIGTERM. Refuses: what it cannot bind or read, with
//! a line on stderr. Never: outlives the demo that it belongs to, when it is told of one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use settings::clock::Clock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::lock;
use crate::demo::tiers;
use crate::fault::Fault;
use crate::stage::dns_server::DnsServer;
use crate::stage::instance::{Instance, control};
use crate::stage::issuer::Issuer;
use crate::stage::ledger::Ledger;
use crate::stage::token_key::TokenKey;
use crate::stage::zone_file;
use crate::terminal::tell;

/// `gwctl stage …`.
#[derive(Debug, Args)]
pub struct StageArgs {
    /// The lock that the demo holds; when it is let go, this process ends itself.
    #[arg(long, global = true)]
    demo_lock: Option<PathBuf>,
    #[command(subcommand)]
    part: StagePart,
}

#[derive(Debug, Subcommand)]
enum StagePart {
    /// The OpenID issuer.
    Issuer {
        #[arg(long)]
        address: SocketAddr,
        /// Its signing key, PKCS#8 PEM.
        #[arg(long)]
        key: PathBuf,
    },
    /// The DNS server.
    Dns {
        #[arg(long)]
        address: SocketAddr,
        #[arg(long, default_value = "demo.")]
        origin: String,
        /// The zone file; it is watched.
        #[arg(long)]
        zone: PathBuf,
    },
    /// An instance of a service.
    Instance {
        #[arg(long)]
        service: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        address: SocketAddr,
        /// The file of its ledger.
        #[arg(long)]
        ledger: Option<PathBuf>,
        /// A Unix socket for orders: how it is to treat whoever asks it.
        #[arg(long)]
        control: Option<PathBuf>,
    },
    /// Tier 1.
    SecurityGw {
        #[arg(long)]
        config: PathBuf,
    },
    /// Tier 2.
    RoutingGw {
        #[arg(long)]
        config: PathBuf,
    },
}

/// Runs one part to its end.
///
/// # Errors
/// When it cannot start.
pub fn run(args: StageArgs) -> Result<ExitCode, Fault> {
    if let Some(path) = &args.demo_lock {
        lock::end_with(path)?;
    }
    match args.part {
        // The tiers are their own `main`, with their own runtimes and exit codes.
        StagePart::SecurityGw { config } => Ok(tiers::security_gw(&config)),
        StagePart::RoutingGw { config } => Ok(tiers::routing_gw(&config)),
        StagePart::Issuer { address, key } => on_runtime(issuer(address, key)),
        StagePart::Dns { address, origin, zone } => on_runtime(dns(address, origin, zone)),
        StagePart::Instance { service, name, address, ledger, control } => on_runtime(instance(service, name, address, ledger, control)),
    }
}

/// Runs `work` on a runtime of this thread.
///
/// # Errors
/// Those of `work`, and when the machine gives no runtime.
pub fn on_runtime(work: impl Future<Output = Result<(), Fault>>) -> Result<ExitCode, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Fault::machine("start a runtime", &error))?.block_on(work)?;
    Ok(ExitCode::SUCCESS)
}

/// Done at the first SIGTERM, SIGINT or SIGHUP.
///
/// # Errors
/// When the signals cannot be caught.
pub fn asked_to_stop() -> Result<impl Future<Output = ()> + Send + 'static, Fault> {
    let catch = |kind| signal(kind).map_err(|error| Fault::machine("catch signals", &error));
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut hangup = catch(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, _ = hangup.recv() => {} }
    })
}

async fn issuer(address: SocketAddr, key: PathBuf) -> Result<(), Fault> {
    let stop = asked_to_stop()?;
    let pem = std::fs::read_to_string(&key).map_err(|error| Fault::file(&key, &error))?;
    let key = TokenKey::from_pem(&pem).map_err(|error| Fault::file(&key, &error))?;
    let listener = listen(address).await?;
    let issuer = Issuer::new(&format!("http://{address}"), key, Clock::system());
    issuer.serve(listener, stop).await.map_err(|error| Fault::machine("serve", &error))
}

async fn dns(address: SocketAddr, origin: String, path: PathBuf) -> Result<(), Fault> {
    let stop = asked_to_stop()?;
    let zone = zone_file::open(&path, &origin).map_err(|error| Fault::file(&path, &error))?;
    let server = DnsServer::bind(address, zone.clone()).await.map_err(|error| taken(address, &error))?;
    tokio::select! {
        () = server.serve() => {}
        () = zone_file::follow(&path, &zone, |news| tell(news)) => {}
        () = stop => {}
    }
    Ok(())
}

async fn instance(service: String, name: String, address: SocketAddr, path: Option<PathBuf>, orders: Option<PathBuf>) -> Result<(), Fault> {
    let stop = asked_to_stop()?;
    let ledger = match &path {
        Some(path) => Ledger::open(path).map_err(|error| Fault::file(path, &error))?,
        None => Ledger::new(),
    };
    let listener = listen(address).await?;
    let orders = orders.map(|path| control::listen(&path).map_err(|error| Fault::file(&path, &error))).transpose()?;
    let instance = Arc::new(Instance { ledger, ..Instance::new(&service, &name) });
    let served = Arc::clone(&instance).serve(listener, stop);
    match orders {
        Some(orders) => tokio::select! { () = served => {}, () = control::follow(orders, &instance.mood) => {} },
        None => served.await,
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Fault> {
    TcpListener::bind(address).await.map_err(|error| taken(address, &error))
}

fn taken(address: SocketAddr, error: &std::io::Error) -> Fault {
    Fault::new(format!("{address}: {error}"), "end what holds it, or shift every port with --port-offset")
}
