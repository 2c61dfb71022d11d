//! Starting one part of the demo as a process of its own.
//!
//! In: the part. Out: the process, whose output goes to `NAME.log`, written down in `pids`. Never: in the process group
//! of the terminal: Ctrl-C reaches the demo alone, which then ends its parts in the right order.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::Stdio;

use rustix::process::Pid;
use tokio::process::{Child, Command};

use crate::demo::part::Part;
use crate::demo::pids::Pids;
use crate::demo::place::Place;
use crate::fault::Fault;

/// A process and its id, which a [`Child`] forgets once it has ended.
pub struct Spawned {
    /// The process.
    pub child: Child,
    /// Its id.
    pub pid: Pid,
}

/// Starts `part`, listening (an instance) on `address`. It does not wait until the part is ready.
///
/// # Errors
/// When the process cannot be made.
pub fn spawn(part: Part, address: SocketAddr, place: &Place) -> Result<Spawned, Fault> {
    let path = place.log(part);
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(|error| Fault::file(&path, &error))?;
    let also = log.try_clone().map_err(|error| Fault::file(&path, &error))?;
    let failed = |why: &dyn std::fmt::Display| Fault::machine(&format!("start {part}"), why);
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    command.args(part.arguments(place, address)).stdin(Stdio::null()).stdout(log).stderr(also).process_group(0);
    let child = command.spawn().map_err(|error| failed(&error))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let pid = id.ok_or_else(|| failed(&"it has no process id"))?;
    Pids::of(place).add(part, pid)?;
    Ok(Spawned { child, pid })
}
