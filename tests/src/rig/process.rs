//! A tier as a process of its own: started, asked over its admin socket, upgraded, told to leave, or killed. After an upgrade it is the successor
//! that this stands for; whoever came before is not forgotten until it has ended.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::rig::pid::Pid;
use crate::rig::wait::until;

/// A running tier.
pub struct Process {
    name: String,
    child: Mutex<Child>,
    /// Those that took over, one after the other.
    successors: Mutex<Vec<Pid>>,
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
        Self::run(name, Command::new(binary).arg("--config").arg(config), &config.with_extension("log"), admin)
    }

    /// Runs any command as a process of the rig. What it says goes behind what its predecessor has said in `log`.
    #[must_use]
    pub fn run(name: &str, command: &mut Command, log: &Path, admin: &Path) -> Self {
        let stderr = OpenOptions::new().append(true).create(true).open(log).unwrap_or_else(|fault| panic!("{}: {fault}", log.display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.unwrap_or_else(|fault| panic!("{:?}: {fault}", command.get_program()));
        Self { name: name.to_owned(), child: Mutex::new(child), successors: Mutex::default(), admin: admin.to_owned(), log: log.to_owned() }
    }

    /// Asks the admin socket; `None` while nobody answers there.
    #[must_use]
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        self.say("GET", path, ANSWER_MAX)
    }

    /// Posts nothing to the admin socket and waits for what comes of it.
    #[must_use]
    pub fn post(&self, path: &str) -> (u16, Value) {
        let (status, body) =
            self.say("POST", path, ORDER_MAX).unwrap_or_else(|| panic!("{} does not answer {path}; its log: {}", self.name, self.log()));
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

    fn say(&self, method: &str, path: &str, within: Duration) -> Option<(u16, String)> {
        let mut socket = UnixStream::connect(&self.admin).ok()?;
        socket.set_read_timeout(Some(within)).ok()?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// Upgrades the process to whatever lies in its place now, and gives the id of the one that serves then.
    pub fn upgrade(&self) -> u32 {
        let (status, answer) = self.post("/upgrade");
        assert_eq!(status, 200, "{}: {answer}; its log: {}", self.name, self.log());
        let id = answer["pid"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{answer}"));
        self.follow();
        assert_eq!(self.id(), id, "who answers at the admin door is who was said to");
        id
    }

    /// Upgrades the process by SIGUSR2. Both stand still (SIGSTOP) while `at_the_switch` runs: the successor does not serve yet, and whoever served
    /// accepts nothing. Then the successor goes on alone until it serves, while `before_the_former_goes_on` runs. Gives the id of the successor.
    pub fn upgrade_standing(&self, at_the_switch: impl FnOnce(), before_the_former_goes_on: impl FnOnce()) -> u32 {
        for _ in 0..TRIES_MAX {
            let former = self.pid();
            self.signal("USR2");
            let successor = until("a successor is started", || former.children().pop());
            successor.signal("STOP");
            former.signal("STOP");
            until("both stand still", || (successor.stands_still() && former.stands_still()).then_some(()));
            // It says that it serves in the same breath in which it begins to; then this was too late, and the next turn may be in time.
            if self.says_ready(successor) {
                former.signal("CONT");
                successor.signal("CONT");
                self.follow();
                continue;
            }
            at_the_switch();
            successor.signal("CONT");
            before_the_former_goes_on();
            former.signal("CONT");
            self.follow();
            assert_eq!(self.id(), successor.id);
            return successor.id;
        }
        panic!("{} was never caught between the start of a successor and its first connection", self.name)
    }

    /// Whether a process that stands still has begun to serve before: its log says so with its id.
    fn says_ready(&self, process: Pid) -> bool {
        self.log().contains(&format!("\"pid\":{}", process.id))
    }

    /// Waits until somebody else than before answers at the admin door, and stands for that one from then on.
    pub fn follow(&self) {
        let former = self.id();
        let successor = until(&format!("{} has a successor", self.name), || {
            let (_, body) = self.ask("/generation").filter(|(status, _)| *status == 200)?;
            let page: Value = serde_json::from_str(&body).ok()?;
            let id = u32::try_from(page["pid"].as_u64()?).ok().filter(|id| *id != former)?;
            Pid::of(id)
        });
        self.successors().push(successor);
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

    /// How many descriptors and threads the process has.
    #[must_use]
    pub fn descriptors_and_threads(&self) -> (usize, usize) {
        let count = |folder: &str| std::fs::read_dir(format!("/proc/{}/{folder}", self.id())).map_or(0, Iterator::count);
        (count("fd"), count("task"))
    }

    /// Sends a signal, such as `USR2`, to the one that serves.
    pub fn signal(&self, name: &str) {
        self.pid().signal(name);
    }

    /// Ends the process as `kill -9` does, and whoever came before it or was to come after it.
    pub fn kill(&self) {
        for process in self.all() {
            process.signal("KILL");
        }
        let _ = self.lock().wait();
    }

    /// Waits until the process has ended. How a successor ended is told to the machine's first process, and not to us: it counts as success.
    #[must_use]
    pub fn wait(&self) -> ExitStatus {
        let last = self.successors().last().copied();
        match last {
            Some(successor) => until(&format!("{} ends", self.name), || (!successor.is_alive()).then(ExitStatus::default)),
            None => self.wait_for_first(),
        }
    }

    /// Waits until the process that was started first has ended, whoever serves by then.
    #[must_use]
    pub fn wait_for_first(&self) -> ExitStatus {
        until(&format!("the first {} ends", self.name), || self.lock().try_wait().ok().flatten())
    }

    /// Waits until nobody but the one that serves is left.
    pub fn wait_for_former(&self) {
        let serves = self.pid();
        let _ = self.lock().try_wait();
        until(&format!("every former {} ends", self.name), || {
            let _ = self.lock().try_wait();
            self.all().iter().all(|process| *process == serves || !process.is_alive()).then_some(())
        });
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let last = self.successors().last().copied();
        last.map_or_else(|| matches!(self.lock().try_wait(), Ok(None)), |last| last.is_alive())
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        let last = self.successors().last().copied();
        last.map_or_else(|| self.lock().id(), |last| last.id)
    }

    /// The process that serves.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::of(self.id()).unwrap_or_else(|| panic!("{} has ended:\n{}", self.name, self.log()))
    }

    /// Every process that was started here or by one of these, by its id.
    fn all(&self) -> Vec<Pid> {
        let mut all: Vec<Pid> = self.successors().clone();
        // Its number is its own until it is waited for.
        if matches!(self.lock().try_wait(), Ok(None)) {
            all.extend(Pid::of(self.lock().id()));
        }
        let children: Vec<Pid> = all.iter().filter(|process| process.is_alive()).flat_map(Pid::children).collect();
        all.extend(children.into_iter().filter(|child| !self.successors().contains(child)));
        all
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

    /// Fails the test, with what the process has said, when it has ended.
    pub fn assert_alive(&self) {
        assert!(self.is_alive(), "{} ended before it was ready:\n{}", self.name, self.log());
    }

    fn successors(&self) -> std::sync::MutexGuard<'_, Vec<Pid>> {
        self.successors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a page may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long an order may take: a successor gets 30 seconds to become ready.
const ORDER_MAX: Duration = Duration::from_secs(60);

/// How often a successor may be faster than the one who wants to stop it.
const TRIES_MAX: usize = 5;

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed may not have followed whoever serves by now.
        if let Some((200, body)) = self.ask("/generation")
            && let Ok(page) = serde_json::from_str::<Value>(&body)
            && let Some(serves) = page["pid"].as_u64().and_then(|id| u32::try_from(id).ok()).and_then(Pid::of)
        {
            self.successors().push(serves);
        }
        self.kill();
    }
}
