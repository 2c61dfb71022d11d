//! A tier as a process of its own: started, asked over its admin socket, told to leave, or killed.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::rig::wait::until;

/// A running tier.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    admin: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `binary --config config` and waits until its admin socket says that it is ready.
    #[must_use]
    pub fn start(name: &str, binary: &str, config: &Path, admin: &Path) -> Self {
        let process = Self::spawn(name, binary, config, admin);
        until(&format!("{name} is ready"), || {
            process.assert_alive();
            process.ask("/readyz").filter(|(status, _)| *status == 200)
        });
        process
    }

    /// Starts the process without waiting for anything.
    #[must_use]
    pub fn spawn(name: &str, binary: &str, config: &Path, admin: &Path) -> Self {
        let log = config.with_extension("log");
        let stderr = File::create(&log).unwrap_or_else(|fault| panic!("{}: {fault}", log.display()));
        let child = Command::new(binary).arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.unwrap_or_else(|fault| panic!("{binary}: {fault}"));
        Self { name: name.to_owned(), child: Mutex::new(child), admin: admin.to_owned(), log }
    }

    /// Asks the admin socket; `None` while nobody answers there.
    #[must_use]
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        self.say("GET", path)
    }

    /// Posts nothing to the admin socket and waits for what comes of it.
    #[must_use]
    pub fn post(&self, path: &str) -> (u16, Value) {
        let (status, body) =
            self.say("POST", path).unwrap_or_else(|| panic!("{} does not answer {path}; its log: {}", self.name, self.log()));
        (status, serde_json::from_str(&body).unwrap_or_else(|fault| panic!("{path} is no JSON ({fault}): {body}")))
    }

    /// Has the configuration read again, which must make a new generation; its number.
    #[track_caller]
    pub fn reload(&self) -> u64 {
        let (status, answer) = self.post("/reload");
        assert_eq!((status, answer["outcome"].as_str()), (200, Some("adopted")), "{}: {answer}", self.name);
        answer["generation"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// The generation that serves.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.page("/generation")["generation"].as_u64().unwrap_or_default()
    }

    /// Waits until this generation or a later one serves.
    pub fn wait_generation(&self, number: u64) {
        until(&format!("{} serves by generation {number}", self.name), || (self.generation() >= number).then_some(()));
    }

    fn say(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut socket = UnixStream::connect(&self.admin).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// A JSON page of the admin socket.
    #[must_use]
    pub fn page(&self, path: &str) -> Value {
        let (status, body) = self.ask(path).unwrap_or_else(|| panic!("{} does not answer {path}; its log: {}", self.name, self.log()));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|fault| panic!("{path} is no JSON ({fault}): {body}"))
    }

    /// The address that a listener was really bound to.
    #[must_use]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let page = self.page("/generation");
        let address = page["listeners"][name].as_str().unwrap_or_else(|| panic!("{} has no listener {name}: {page}", self.name));
        address.parse().unwrap_or_else(|fault| panic!("{address}: {fault}"))
    }

    /// The value of one line of `/metrics`, such as `gateway_refusals_total{reason="no-route"}`; 0 where it is absent.
    #[must_use]
    pub fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.ask("/metrics").unwrap_or_else(|| panic!("{} does not answer /metrics", self.name));
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by name: `HUP`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(told.is_ok_and(|status| status.success()), "{} could not be sent {name}", self.name);
    }

    /// How many descriptors and threads the process has.
    #[must_use]
    pub fn descriptors_and_threads(&self) -> (usize, usize) {
        let count = |folder: &str| std::fs::read_dir(format!("/proc/{}/{folder}", self.id())).map_or(0, Iterator::count);
        (count("fd"), count("task"))
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(&self) {
        let _ = self.lock().kill();
        let _ = self.lock().wait();
    }

    /// Waits until the process has ended.
    #[must_use]
    pub fn wait(&self) -> ExitStatus {
        until(&format!("{} ends", self.name), || self.lock().try_wait().ok().flatten())
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.lock().try_wait(), Ok(None))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// Resident memory in bytes, and the most there ever was.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        (line("VmRSS:").unwrap_or_default() * 1024, line("VmHWM:").unwrap_or_default() * 1024)
    }

    /// What the process has said of itself.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn assert_alive(&self) {
        assert!(self.is_alive(), "{} ended before it was ready:\n{}", self.name, self.log());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
