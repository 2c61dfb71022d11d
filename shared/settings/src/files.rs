//! Files that a configuration names.
//!
//! In: a path and a ceiling. Out: the bytes, and the memory of what was read, so that whoever watches knows what to watch. Refuses: what is larger
//! than the ceiling, what is not a file. Never: follows a path that the request path chose; only configuration names files.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use crate::secret::Secret;
use crate::sight::{Sight, Sights, names_in};

/// The most bytes that a configuration document may have.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `path` as meant by a configuration that lies in the folder `base`: relative paths start there, not where the process was started.
#[must_use]
pub fn resolve(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    base.join(path)
}

/// The files of one reading of a configuration: where relative paths start, and what was read.
#[derive(Debug)]
pub struct Files {
    base: PathBuf,
    seen: Arc<Mutex<Sights>>,
    in_use: Arc<[[u8; 32]]>,
}

impl Files {
    /// The files of a configuration that lies in the folder `base`.
    #[must_use]
    pub fn of(base: &Path) -> Self {
        Self { base: base.to_owned(), seen: Arc::default(), in_use: Arc::default() }
    }

    /// The files of the configuration `file`.
    #[must_use]
    pub fn beside(file: &Path) -> Self {
        Self::of(file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// The same files as a part of the configuration means them that lies in a folder of its own; what either reads, both remember.
    #[must_use]
    pub fn within(&self, folder: impl AsRef<Path>) -> Self {
        Self { base: self.resolve(folder), seen: Arc::clone(&self.seen), in_use: Arc::clone(&self.in_use) }
    }

    /// The same files, read while something serves that was made from what has these digests.
    #[must_use]
    pub fn while_in_use(self, digests: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { in_use: digests.into_iter().collect(), ..self }
    }

    /// Whether what serves now was made from this as well, so that to refuse it would take nothing out of use.
    #[must_use]
    pub fn is_in_use(&self, digest: &[u8; 32]) -> bool {
        self.in_use.contains(digest)
    }

    /// Where relative paths start.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// A path as the configuration means it, of something that is not read here: a socket, a log.
    #[must_use]
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        resolve(&self.base, path)
    }

    /// The path of a file that is read by somebody else after this call; it is remembered as it looks now.
    #[must_use]
    pub fn watched(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = self.resolve(path);
        if self.seen().get(&path).is_none() {
            let sight = Sight::take(&path);
            self.seen().keep(path.clone(), sight);
        }
        path
    }

    /// As [`read_file`], and remembered.
    ///
    /// # Errors
    /// As [`read_file`].
    pub fn read(&self, path: impl AsRef<Path>, bytes_max: usize) -> Result<Vec<u8>, String> {
        self.read_where(self.resolve(path), bytes_max, |_| Ok(()))
    }

    /// As [`Files::read_text`] of a file that lies in `folder`, wherever links lead: what is looked at is the file that was opened, so that no link
    /// can be swapped in between.
    ///
    /// # Errors
    /// As [`read_text`], and where the file lies elsewhere, or where it lies cannot be told.
    pub fn read_text_within(&self, path: impl AsRef<Path>, folder: &Path, bytes_max: usize) -> Result<String, String> {
        let path = self.resolve(path);
        let bytes = self.read_where(path.clone(), bytes_max, |file| {
            if lies_in(file, folder) { Ok(()) } else { Err(format!("{} is a link that leads out of its folder", path.display())) }
        })?;
        text(&path, bytes)
    }

    fn read_where(&self, path: PathBuf, bytes_max: usize, is_lawful: impl Fn(&File) -> Result<(), String>) -> Result<Vec<u8>, String> {
        let outcome = read_with(&path, bytes_max, is_lawful);
        let sight = match &outcome {
            Ok((before, bytes)) => Sight::of(before, bytes),
            Err(_) => Sight::take(&path),
        };
        self.seen().keep(path, sight);
        outcome.map(|(_, bytes)| bytes)
    }

    /// As [`read_text`], and remembered.
    ///
    /// # Errors
    /// As [`read_text`].
    pub fn read_text(&self, path: impl AsRef<Path>, bytes_max: usize) -> Result<String, String> {
        let path = path.as_ref();
        self.read(path, bytes_max).and_then(|bytes| text(&self.resolve(path), bytes))
    }

    /// As [`read_secret`], and remembered.
    ///
    /// # Errors
    /// As [`read_secret`].
    pub fn read_secret(&self, path: impl AsRef<Path>, bytes_max: usize) -> Result<Secret<String>, String> {
        self.read_text(path, bytes_max).map(secret)
    }

    /// The names in a folder that end in `suffix`, sorted, without hidden ones; the listing is remembered.
    ///
    /// # Errors
    /// A sentence for the operator with the path in it: there is no such folder, it may not be read, or it holds more than `names_max`.
    pub fn list(&self, folder: impl AsRef<Path>, suffix: &'static str, names_max: usize) -> Result<Vec<String>, String> {
        let folder = self.resolve(folder);
        let sight = Sight::take_names(&folder, suffix);
        self.seen().keep(folder.clone(), sight);
        let names = names_in(&folder, suffix, names_max).map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
        if names.len() > names_max {
            return Err(format!("{} holds more than {names_max} files that end in {suffix}", folder.display()));
        }
        Ok(names)
    }

    /// What the file at `path` looked like, if it was read.
    #[must_use]
    pub fn sight(&self, path: &Path) -> Option<Sight> {
        self.seen().get(path).cloned()
    }

    /// What was read, and what it looked like.
    #[must_use]
    pub fn sights(&self) -> Sights {
        self.seen().clone()
    }

    /// Nothing is done under the lock that could panic half-way.
    fn seen(&self) -> MutexGuard<'_, Sights> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole file, if it has at most `bytes_max` bytes.
///
/// # Errors
/// A sentence for the operator with the path in it: it does not exist, may not be read, is no regular file, or is too large.
pub fn read_file(path: impl AsRef<Path>, bytes_max: usize) -> Result<Vec<u8>, String> {
    read_with(path.as_ref(), bytes_max, |_| Ok(())).map(|(_, bytes)| bytes)
}

/// The file, and its metadata before its first byte was read.
fn read_with(path: &Path, bytes_max: usize, is_lawful: impl Fn(&File) -> Result<(), String>) -> Result<(Metadata, Vec<u8>), String> {
    let tell = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let file = open(path).map_err(tell)?;
    is_lawful(&file)?;
    let before = file.metadata().map_err(tell)?;
    if before.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    // A pipe would be waited for, and gives each byte once; a device may have no end.
    if !before.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    let mut bytes = Vec::new();
    // The length is not asked for beforehand: a /proc file has none, and a growing file would lie.
    let ceiling = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(ceiling).read_to_end(&mut bytes).map_err(tell)?;
    if bytes.len() > bytes_max {
        return Err(format!("{} is larger than {bytes_max} bytes", path.display()));
    }
    Ok((before, bytes))
}

/// Whether an open file lies in this folder, as the kernel has it; not where that cannot be told.
fn lies_in(file: &File, folder: &Path) -> bool {
    let place = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    matches!((place, folder.canonicalize()), (Ok(place), Ok(folder)) if place.starts_with(&folder))
}

/// Opens a file for reading; a pipe without a writer is opened too, and waits for nobody.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Opens a file for reading, for whoever reads it in another way.
///
/// # Errors
/// As [`File::open`], and where it is a pipe, a device or a folder.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    let file = open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("it is no regular file")) }
}

/// The whole file as UTF-8 text, if it has at most `bytes_max` bytes.
///
/// # Errors
/// As [`read_file`], and where the bytes are not UTF-8.
pub fn read_text(path: impl AsRef<Path>, bytes_max: usize) -> Result<String, String> {
    let path = path.as_ref();
    read_file(path, bytes_max).and_then(|bytes| text(path, bytes))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))
}

/// The whole file as a secret, without the line break that editors put at its end.
///
/// # Errors
/// As [`read_text`].
pub fn read_secret(path: impl AsRef<Path>, bytes_max: usize) -> Result<Secret<String>, String> {
    read_text(path, bytes_max).map(secret)
}

fn secret(mut text: String) -> Secret<String> {
    let kept = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(kept);
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Files, lies_in, open, read_file, read_secret, read_text, resolve};

    #[test]
    fn relative_paths_start_at_the_folder_of_the_configuration() {
        assert_eq!(resolve(Path::new("/etc/gw"), "ca.pem"), Path::new("/etc/gw/ca.pem"));
        assert_eq!(resolve(Path::new("/etc/gw"), "/run/ca.pem"), Path::new("/run/ca.pem"));
    }

    #[test]
    fn where_a_file_lies_is_asked_of_the_open_file_and_not_of_its_name() {
        let folder = std::env::temp_dir().join(format!("settings-within-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("in")).unwrap();
        std::fs::write(folder.join("secret"), "a secret").unwrap();
        std::fs::write(folder.join("in/list"), "a list").unwrap();
        let link = folder.join("in/link");
        let point_to = |target: &str| {
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, &link).unwrap();
        };
        point_to("../secret");
        let outside = open(&link).unwrap();
        point_to("list");
        let inside = open(&link).unwrap();
        let within = folder.join("in");
        assert_eq!((lies_in(&outside, &within), lies_in(&inside, &within)), (false, true));
        assert_eq!(Files::of(&folder).read_text_within("in/link", &within, 100).unwrap(), "a list");
        point_to("../secret");
        assert!(Files::of(&folder).read_text_within("in/link", &within, 100).unwrap_err().contains("leads out of its folder"));
        assert!(!lies_in(&inside, &folder.join("absent")));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_ceiling_holds_and_faults_name_the_path() {
        let folder = std::env::temp_dir().join(format!("settings-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret");
        std::fs::write(&path, "12345\n").unwrap();
        assert_eq!(read_file(&path, 6).unwrap(), b"12345\n");
        assert!(read_file(&path, 5).unwrap_err().ends_with("secret is larger than 5 bytes"));
        assert_eq!(read_secret(&path, 6).unwrap().expose(), "12345");
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 6).unwrap_err().ends_with("secret is not UTF-8 text"));
        assert!(read_file(&folder, 6).unwrap_err().ends_with("is a folder"));
        assert!(read_file(folder.join("absent"), 6).unwrap_err().contains("absent cannot be read"));
        assert!(read_file("/dev/zero", 6).unwrap_err().ends_with("/dev/zero is no regular file"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_and_seen_without_waiting() {
        let folder = std::env::temp_dir().join(format!("settings-files-pipe-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let files = Files::of(&folder);
            let said = files.read("pipe", 6).unwrap_err();
            let same = files.sights().again() == files.sights();
            std::fs::remove_dir_all(&folder).unwrap();
            sender.send((said, same)).unwrap();
        });
        let (said, same) = receiver.recv_timeout(std::time::Duration::from_secs(30)).expect("it waits for a writer");
        assert!(said.ends_with("pipe is no regular file"), "{said}");
        assert!(same, "nothing has changed");
    }
}
