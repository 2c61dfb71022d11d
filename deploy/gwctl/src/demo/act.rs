//! `gwctl demo kill` and `gwctl demo start`: failure and repair on a running demo.
//!
//! In: the name of a part. Out: that part killed, or running and ready. Refuses: names of nothing, a demo that does not
//! run, a part that runs already. Never: ends the demo itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use crate::demo::lock;
use crate::demo::part::{PARTS, Part};
use crate::demo::pids::{self, Pids};
use crate::demo::place::Place;
use crate::demo::ports::Ports;
use crate::demo::readiness::await_ready;
use crate::demo::run::is_free;
use crate::demo::spawn::spawn;
use crate::fault::Fault;
use crate::stage::process::on_runtime;
use crate::terminal::{say, tell};

/// Kills the part `name` of the demo in `dir` at once, as `kill -9` does.
///
/// # Errors
/// When no such part runs.
pub fn kill(dir: &Path, name: &str) -> Result<ExitCode, Fault> {
    let (place, part) = running(dir, name)?;
    let all = Pids::of(&place);
    let pid = all.of_part(part)?.ok_or_else(|| Fault::new(format!("{part} is not running"), format!("see {}", place.pids().display())))?;
    // The line goes first: the demo sees a death without a line as one that was wanted.
    all.remove(part, pid)?;
    pids::kill(pid);
    tell(format_args!("{part} (pid {pid}) killed"));
    Ok(ExitCode::SUCCESS)
}

/// Starts the part `name` of the demo in `dir` on the ports it had. The zone lines of an instance that a fresh demo does
/// not have go to stdout alone, so that `>> target/demo/zone` adds them.
///
/// # Errors
/// When it runs already, or cannot be made ready.
pub fn start(dir: &Path, name: &str) -> Result<ExitCode, Fault> {
    let (place, part) = running(dir, name)?;
    if let Some(pid) = Pids::of(&place).of_part(part)?.filter(|pid| pids::is_alive(*pid)) {
        return Err(Fault::new(format!("{part} is running as pid {pid}"), format!("kill it first: gwctl demo kill {part}")));
    }
    let ports = place.ports()?;
    let address = address_for(part, ports)?;
    on_runtime(async {
        let mut spawned = spawn(part, address, &place)?;
        let pid = spawned.pid;
        if let Err(fault) = await_ready(part, address, &mut spawned.child, &place).await {
            Pids::of(&place).remove(part, pid)?;
            pids::kill(pid);
            return Err(fault);
        }
        tell(format_args!("{part} (pid {pid}) is ready on {address}"));
        if !PARTS.contains(&part) {
            part.zone_lines(address).into_iter().for_each(say);
        }
        Ok(())
    })
}

fn running(dir: &Path, name: &str) -> Result<(Place, Part), Fault> {
    let known: Vec<_> = PARTS.iter().map(ToString::to_string).collect();
    let part: Part = name
        .parse()
        .map_err(|error| Fault::new(format!("{error}"), format!("use one of {}, or a new instance as orders-4", known.join(", "))))?;
    let place = Place::existing(dir)?;
    if !lock::is_running(&place)? {
        return Err(Fault::new(
            format!("no demo is running in {}", place.dir().display()),
            "start it: gwctl demo, or name its folder with --dir",
        ));
    }
    Ok((place, part))
}

/// The part's own address; for a new instance of orders whose usual port is taken, any free one: its SRV record names it.
fn address_for(part: Part, ports: Ports) -> Result<SocketAddr, Fault> {
    let own = part.addresses(ports);
    let Some(first) = own.first().copied() else { return Err(Fault::new(format!("{part} has no address"), "use another name")) };
    let taken = own.iter().find_map(|address| is_free(part, *address).err());
    match (taken, part) {
        (None, _) => Ok(first),
        (Some(_), Part::Orders(_)) if !PARTS.contains(&part) => {
            let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            any.map_err(|error| Fault::machine("find a free port", &error))
        }
        (Some(fault), _) => Err(fault),
    }
}
