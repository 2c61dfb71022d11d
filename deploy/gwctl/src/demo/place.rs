//! The folder of a demo, and every file in it.
//!
//! In: the folder's path. Out: paths, absolute, so that processes with another working directory agree. Never: a file
//! outside the folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::demo::part::Part;
use crate::demo::ports::Ports;
use crate::fault::Fault;

/// The folder of a demo.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The folder at `dir`, made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn made(dir: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(dir).map_err(|error| Fault::file(dir, &error))?;
        Self::existing(dir)
    }

    /// The folder at `dir`, which must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn existing(dir: &Path) -> Result<Self, Fault> {
        let dir = fs::canonicalize(dir)
            .map_err(|error| Fault::new(format!("{}: {error}", dir.display()), "start the demo first, or name its folder with --dir"))?;
        Ok(Self { dir })
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tier 1's configuration.
    #[must_use]
    pub fn security_yaml(&self) -> PathBuf {
        self.dir.join("security-gw.yaml")
    }

    /// Tier 2's configuration.
    #[must_use]
    pub fn routing_yaml(&self) -> PathBuf {
        self.dir.join("routing-gw.yaml")
    }

    /// The certificate of the demo's authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The key with which the issuer signs.
    #[must_use]
    pub fn issuer_key(&self) -> PathBuf {
        self.dir.join("issuer.key")
    }

    /// The key with which tier 1 signs assertions.
    #[must_use]
    pub fn link_key(&self) -> PathBuf {
        self.dir.join("link-signing.pem")
    }

    /// The key set with which tier 2 verifies them.
    #[must_use]
    pub fn link_jwks(&self) -> PathBuf {
        self.dir.join("link.jwks.json")
    }

    /// The zone file.
    #[must_use]
    pub fn zone(&self) -> PathBuf {
        self.dir.join("zone")
    }

    /// The running processes, `NAME PID` a line.
    #[must_use]
    pub fn pids(&self) -> PathBuf {
        self.dir.join("pids")
    }

    /// The lock that says a demo is running here.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("demo.lock")
    }

    /// One line per request.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.dir.join("access.log")
    }

    /// One line per other event of tier 1.
    #[must_use]
    pub fn events_log(&self) -> PathBuf {
        self.dir.join("events.log")
    }

    /// One line per event that tier 2 sees on its own connections.
    #[must_use]
    pub fn routing_events_log(&self) -> PathBuf {
        self.dir.join("routing-gw-events.log")
    }

    /// A token, as `editor.jwt`.
    #[must_use]
    pub fn token(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.jwt"))
    }

    /// What a process says on its stdout and stderr.
    #[must_use]
    pub fn log(&self, part: Part) -> PathBuf {
        self.dir.join(format!("{part}.log"))
    }

    /// What an instance has done.
    #[must_use]
    pub fn ledger(&self, part: Part) -> PathBuf {
        self.dir.join(format!("{part}.ledger"))
    }

    /// Writes down the ports of this demo, for the commands that come later.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remember(&self, ports: Ports) -> Result<(), Fault> {
        let path = self.dir.join("port-offset");
        fs::write(&path, format!("{}\n", ports.offset())).map_err(|error| Fault::file(&path, &error))
    }

    /// The ports that were written down.
    ///
    /// # Errors
    /// When no demo has run here.
    pub fn ports(&self) -> Result<Ports, Fault> {
        let read = fs::read_to_string(self.dir.join("port-offset")).ok();
        let ports = read.and_then(|text| text.trim().parse().ok()).and_then(Ports::shifted);
        ports.ok_or_else(|| {
            Fault::new(format!("no demo has run in {}", self.dir.display()), "start it: gwctl demo, or name its folder with --dir")
        })
    }
}
