//! `gwctl demo`: prepare, start, tell, wait, end.
//!
//! In: a folder and a port offset. Out: a running demo until SIGTERM or Ctrl-C, then exit status 0. Refuses: a folder in
//! which a demo runs, a port that is taken. Never: leaves a process behind.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;

use settings::clock::Clock;

use crate::demo::lock::DemoLock;
use crate::demo::part::{PARTS, Part};
use crate::demo::pids::Pids;
use crate::demo::place::Place;
use crate::demo::ports::Ports;
use crate::demo::prepare::prepare;
use crate::demo::readiness::await_ready;
use crate::demo::spawn::spawn;
use crate::demo::supervise::Household;
use crate::fault::Fault;
use crate::stage::process::{asked_to_stop, on_runtime};
use crate::terminal::{say, tell};

/// Runs a demo in `dir`, every port shifted by `offset`, to its end.
///
/// # Errors
/// When a part cannot start; then none is left running.
pub fn run(dir: &Path, offset: u16) -> Result<ExitCode, Fault> {
    on_runtime(demo(dir, offset))
}

async fn demo(dir: &Path, offset: u16) -> Result<(), Fault> {
    let stop = asked_to_stop()?;
    tokio::pin!(stop);
    let ports = Ports::shifted(offset).ok_or_else(|| Fault::new(format!("--port-offset {offset} is too great"), "see --help"))?;
    let place = Place::made(dir)?;
    let _lock = DemoLock::take(&place)?;
    all_free(ports)?;
    prepare(&place, ports, &Clock::system())?;
    let mut household = Household::new(Pids::of(&place), ports);
    let lived = tokio::select! {
        lived = live(&mut household, &place, ports, dir) => lived,
        () = &mut stop => Ok(()),
    };
    // A second Ctrl-C does not wait for requests under way.
    household.end_all(asked_to_stop()?).await?;
    lived
}

/// Starts everything and then watches over it; comes back only when something cannot be done.
async fn live(household: &mut Household, place: &Place, ports: Ports, dir: &Path) -> Result<(), Fault> {
    for part in PARTS {
        let Some(address) = part.addresses(ports).first().copied() else { continue };
        let mut spawned = spawn(part, address, place)?;
        let ready = await_ready(part, address, &mut spawned.child, place).await;
        household.add(part, spawned);
        ready?;
    }
    greet(ports, dir);
    loop {
        match household.next_death().await? {
            (Some(part), news) => tell(format_args!("{news}; start it again with: gwctl demo start {part} --dir {}", dir.display())),
            (None, news) => tell(news),
        }
    }
}

fn greet(ports: Ports, dir: &Path) {
    let (dir, port, plain) = (dir.display(), ports.security_gw().port(), ports.redirect().port());
    let curl = format!("curl --cacert {dir}/ca.pem");
    let bearer = |name| format!("-H \"Authorization: Bearer $(cat {dir}/{name}.jwt)\"");
    let (editor, reader) = (bearer("editor"), bearer("reader"));
    say("Try, in another terminal:");
    say(format_args!("  {curl} {editor} https://localhost:{port}/orders/1            # 200 from one of three instances"));
    say(format_args!("  {curl} {reader} -X POST https://localhost:{port}/orders/1    # 403: reader may not write"));
    say(format_args!("  {curl} -i https://localhost:{port}/orders/1    # 401: nobody in particular"));
    say(format_args!("  {curl} {editor} https://localhost:{port}/users/7    # 200 from a service found by A records"));
    say(format_args!("  curl -i http://localhost:{plain}/orders/1    # redirected to https"));
    say(format_args!("Then look at {dir}/access.log, edit {dir}/zone, or kill a part: gwctl demo kill orders-1 --dir {dir}"));
    say(format_args!("demo ready: https://localhost:{port}"));
}

/// Every port must be free before anything is written or started.
fn all_free(ports: Ports) -> Result<(), Fault> {
    for part in PARTS {
        for address in part.addresses(ports) {
            is_free(part, address)?;
        }
    }
    Ok(())
}

/// Whether `part` could listen on `address` now.
///
/// # Errors
/// With the remedy, when it could not.
pub fn is_free(part: Part, address: SocketAddr) -> Result<(), Fault> {
    let bound = TcpListener::bind(address).map(drop);
    let bound = if part == Part::Dns { bound.and_then(|()| UdpSocket::bind(address).map(drop)) } else { bound };
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Fault::new(
            format!("port {} on {} ({part}) is taken", address.port(), address.ip()),
            "end what holds it, or shift every port of the demo: gwctl demo --port-offset 1000",
        ),
        ErrorKind::AddrNotAvailable => {
            let ip = address.ip();
            Fault::new(
                format!("{ip} ({part}) is no address of this machine"),
                format!("add it to the loopback interface (macOS: sudo ifconfig lo0 alias {ip})"),
            )
        }
        _ => Fault::new(format!("{address} ({part}): {error}"), "choose other ports with --port-offset"),
    })
}
