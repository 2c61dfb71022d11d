//! What paths looked like when they were read, so that a later look can tell whether that has changed.
//!
//! In: paths. Out: for each the file behind it (through every symlink, so that one that is swapped counts) and a digest of its content. Refuses:
//! nothing; what is absent or cannot be read looks like that. Never: keeps content, believes a time stamp that is too young, opens what is no file.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::clock::Clock;
use crate::files::open;

/// A file that was changed so shortly before it was read may change again without another time stamp; git calls that "racy".
const RACY_MS: i128 = 2_000;

/// Of a larger file only the beginning and the stat are looked at; no configuration reads one.
const DIGEST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Names of a folder that are looked at.
const NAMES_MAX: usize = 10_000;

/// What one path looked like.
#[derive(Clone, Debug)]
pub struct Sight {
    what: What,
    stat: Option<Stat>,
    taken_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// The content.
    Content([u8; 32]),
    /// The names in a folder that end in a suffix.
    Names(&'static str, [u8; 32]),
    /// A pipe, a device: it cannot be looked at without taking something out of it.
    Other,
    /// Why there is nothing to be seen.
    Nothing(std::io::ErrorKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_older_than(&self, taken_ms: u64) -> bool {
        i128::from(taken_ms) - self.modified_ns.max(self.changed_ns) / 1_000_000 >= RACY_MS
    }
}

// The stat only saves reading; what is the same is the content.
impl PartialEq for Sight {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

impl Eq for Sight {}

impl Sight {
    /// Of a file that was just read: what it was before its first byte, and its bytes.
    pub(crate) fn of(before: &Metadata, bytes: &[u8]) -> Self {
        Self { what: What::Content(sha256(bytes)), stat: Some(Stat::of(before)), taken_ms: now_ms() }
    }

    /// Looks at a file.
    #[must_use]
    pub(crate) fn take(path: &Path) -> Self {
        match look_at_file(path) {
            Ok((stat, what)) => Self { what, stat: Some(stat), taken_ms: now_ms() },
            Err(error) => Self { what: What::Nothing(error.kind()), stat: None, taken_ms: now_ms() },
        }
    }

    /// Looks at the names in a folder that end in `suffix`.
    pub(crate) fn take_names(folder: &Path, suffix: &'static str) -> Self {
        let what = match names_in(folder, suffix, NAMES_MAX) {
            Ok(names) => What::Names(suffix, sha256(names.join("\n").as_bytes())),
            Err(error) => What::Nothing(error.kind()),
        };
        // A listing is not worth a stat.
        Self { what: what.or_names(suffix), stat: None, taken_ms: now_ms() }
    }

    fn again(&self, path: &Path) -> Self {
        if let What::Names(suffix, _) = self.what {
            return Self::take_names(path, suffix);
        }
        let stat = std::fs::metadata(path).map(|metadata| Stat::of(&metadata)).ok();
        if stat.is_some() && stat == self.stat && self.stat.is_some_and(|stat| stat.is_older_than(self.taken_ms)) {
            return self.clone();
        }
        Self::take(path)
    }
}

impl What {
    /// A folder that is gone must be known as a folder when it is back.
    fn or_names(self, suffix: &'static str) -> Self {
        match self {
            Self::Nothing(kind) => Self::Names(suffix, sha256(format!("{kind:?}").as_bytes())),
            other => other,
        }
    }
}

fn look_at_file(path: &Path) -> std::io::Result<(Stat, What)> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok((Stat::of(&metadata), What::Other));
    }
    let file = open(path)?;
    // That of the open file: the name may mean another one by now.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok((Stat::of(&metadata), What::Other));
    }
    let mut context = Context::new(&SHA256);
    let mut file = file.take(DIGEST_BYTES_MAX);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => context.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    let mut content = [0; 32];
    content.copy_from_slice(context.finish().as_ref());
    Ok((Stat::of(&metadata), What::Content(content)))
}

/// The names in a folder that end in `suffix`, sorted, without hidden ones; one more than `names_max` at most.
pub(crate) fn names_in(folder: &Path, suffix: &str, names_max: usize) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && name.ends_with(suffix)) {
            names.push(name.to_owned());
            if names.len() > names_max {
                break;
            }
        }
    }
    names.sort();
    Ok(names)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn now_ms() -> u64 {
    Clock::system().now_ms()
}

/// What many paths looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sights(BTreeMap<PathBuf, Sight>);

impl Sights {
    /// The first look at a path is the one that counts: what follows from it was made by it.
    pub(crate) fn keep(&mut self, path: PathBuf, sight: Sight) {
        self.0.entry(path).or_insert(sight);
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Sight> {
        self.0.get(path)
    }

    /// Looks at the same paths again. It reads files: call it where blocking is allowed.
    #[must_use]
    pub fn again(&self) -> Self {
        Self(self.0.iter().map(|(path, sight)| (path.clone(), sight.again(path))).collect())
    }

    /// The first path that does not look like it did in `before`.
    #[must_use]
    pub fn first_change<'a>(&'a self, before: &Self) -> Option<&'a Path> {
        self.0.iter().find(|(path, sight)| before.0.get(*path) != Some(*sight)).map(|(path, _)| path.as_path())
    }

    /// Whether every path that does not look like it did in `before` looks like it did a `moment` ago.
    #[must_use]
    pub fn is_at_rest(&self, before: &Self, moment: &Self) -> bool {
        self.0.iter().all(|(path, sight)| before.0.get(path) == Some(sight) || moment.0.get(path) == Some(sight))
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        others.0.into_iter().for_each(|(path, sight)| self.keep(path, sight));
        self
    }

    /// How many paths these are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("settings-sight-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn of(path: &Path) -> Sights {
        let mut sights = Sights::default();
        sights.keep(path.to_owned(), Sight::take(path));
        sights
    }

    #[test]
    fn content_counts_and_time_stamps_do_not() {
        let folder = Folder::new("content");
        let path = folder.0.join("a");
        std::fs::write(&path, "one").unwrap();
        let first = of(&path);
        std::fs::write(&path, "one").unwrap();
        assert_eq!(first.again(), first, "written again with the same content");
        std::fs::write(&path, "two").unwrap();
        let second = first.again();
        assert_eq!(second.first_change(&first), Some(path.as_path()), "as long as before, and perhaps in the same tick of the clock");
        std::fs::write(folder.0.join("b"), "six").unwrap();
        std::fs::rename(folder.0.join("b"), &path).unwrap();
        let third = second.again();
        assert_ne!(third, second, "renamed over");
        std::fs::remove_file(&path).unwrap();
        assert_ne!(third.again(), third, "gone");
    }

    #[test]
    fn a_folder_that_is_swapped_behind_a_link_is_seen() {
        let folder = Folder::new("swap");
        for (name, text) in [("..1", "one"), ("..2", "two")] {
            std::fs::create_dir(folder.0.join(name)).unwrap();
            std::fs::write(folder.0.join(name).join("key"), text).unwrap();
        }
        let data = folder.0.join("..data");
        std::os::unix::fs::symlink("..1", &data).unwrap();
        std::os::unix::fs::symlink("..data/key", folder.0.join("key")).unwrap();
        let first = of(&folder.0.join("key"));
        std::os::unix::fs::symlink("..2", folder.0.join("..new")).unwrap();
        std::fs::rename(folder.0.join("..new"), &data).unwrap();
        assert_ne!(first.again(), first);
    }

    #[test]
    fn a_folder_is_its_visible_names_of_one_suffix() {
        let folder = Folder::new("names");
        let take = || Sight::take_names(&folder.0, ".yaml");
        let empty = take();
        std::fs::write(folder.0.join(".hidden.yaml"), "").unwrap();
        std::fs::write(folder.0.join("a.yaml.swp"), "").unwrap();
        assert_eq!(take(), empty);
        std::fs::write(folder.0.join("a.yaml"), "").unwrap();
        let one = take();
        assert_ne!(one, empty);
        std::fs::remove_dir_all(&folder.0).unwrap();
        let gone = one.again(&folder.0);
        assert_ne!(gone, one);
        std::fs::create_dir(&folder.0).unwrap();
        assert_eq!(gone.again(&folder.0), empty, "it is known as a folder when it is back");
    }
}
