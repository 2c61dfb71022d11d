//! The file `pids`: which processes of the demo are meant to live.
//!
//! In: names and process ids. Out: lines `NAME PID`. A process that ends while its line stands here has died by itself;
//! one that is killed on purpose loses its line first. Never: two writers at once.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::demo::part::Part;
use crate::demo::place::Place;
use crate::fault::Fault;
use crate::private_file::write_public;

/// The file `pids` of one demo.
#[derive(Clone, Debug)]
pub struct Pids {
    path: PathBuf,
}

impl Pids {
    /// The file of the demo in `place`.
    #[must_use]
    pub fn of(place: &Place) -> Self {
        Self { path: place.pids() }
    }

    /// Empties the file, for a fresh demo.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear(&self) -> Result<(), Fault> {
        self.change(Vec::clear)
    }

    /// Everything that is meant to live.
    ///
    /// # Errors
    /// What the file system says.
    pub fn all(&self) -> Result<Vec<(Part, Pid)>, Fault> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().filter_map(line).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Fault::file(&self.path, &error)),
        }
    }

    /// The process of `part`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn of_part(&self, part: Part) -> Result<Option<Pid>, Fault> {
        Ok(self.all()?.into_iter().find(|(other, _)| *other == part).map(|(_, pid)| pid))
    }

    /// Writes down that `part` is `pid` now.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&self, part: Part, pid: Pid) -> Result<(), Fault> {
        self.change(|lines| {
            lines.retain(|(other, _)| *other != part);
            lines.push((part, pid));
        })
    }

    /// Takes the line of `part` out, when it still says `pid`. True when it did.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(&self, part: Part, pid: Pid) -> Result<bool, Fault> {
        let mut found = false;
        self.change(|lines| {
            let before = lines.len();
            lines.retain(|line| *line != (part, pid));
            found = lines.len() < before;
        })?;
        Ok(found)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(Part, Pid)>)) -> Result<(), Fault> {
        let fault = |error| Fault::file(&self.path, &error);
        let lock = File::create(self.path.with_extension("lock")).map_err(fault)?;
        lock.lock().map_err(fault)?;
        let mut lines = self.all()?;
        change(&mut lines);
        let text: String = lines.iter().map(|(part, pid)| format!("{part} {pid}\n")).collect();
        write_public(&self.path, text.as_bytes()).map_err(fault)
    }
}

fn line(text: &str) -> Option<(Part, Pid)> {
    let (name, pid) = text.split_once(' ')?;
    Some((name.parse().ok()?, Pid::from_raw(pid.trim().parse().ok()?)?))
}

/// Whether the process still runs. One that has ended, but that its parent has not asked about, does not.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    let ended = || {
        // `PID (NAME) STATE …`, where the name itself may hold parentheses; other systems have no such file.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(stat.rsplit_once(')')?.1.trim_start().starts_with(['Z', 'X']))
    };
    test_kill_process(pid).is_ok() && !ended().unwrap_or(false)
}

/// Asks a process to end. Nothing happens when it has.
pub fn terminate(pid: Pid) {
    let _gone = kill_process(pid, Signal::TERM);
}

/// Ends a process at once (kill -9). Nothing happens when it has ended.
pub fn kill(pid: Pid) {
    let _gone = kill_process(pid, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_and_go_by_name_and_pid() {
        let dir = std::env::temp_dir().join(format!("gwctl-pids-{}", std::process::id()));
        let place = Place::made(&dir).unwrap();
        let pids = Pids::of(&place);
        let pid = |n| Pid::from_raw(n).unwrap();
        pids.clear().unwrap();
        pids.add(Part::Dns, pid(10)).unwrap();
        pids.add(Part::Orders(1), pid(11)).unwrap();
        pids.add(Part::Dns, pid(12)).unwrap();
        assert_eq!(fs::read_to_string(place.pids()).unwrap(), "orders-1 11\ndns 12\n");
        assert!(!pids.remove(Part::Dns, pid(10)).unwrap(), "that process has been replaced");
        assert!(pids.remove(Part::Dns, pid(12)).unwrap());
        assert_eq!(pids.of_part(Part::Dns).unwrap(), None);
        assert_eq!(pids.of_part(Part::Orders(1)).unwrap(), Some(pid(11)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn an_ended_process_is_not_alive_before_its_parent_asks() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--list")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        assert!(is_alive(rustix::process::getpid()));
        kill(pid);
        std::io::copy(&mut child.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
        while is_alive(pid) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_alive(pid));
    }
}
