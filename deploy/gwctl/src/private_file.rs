//! Files written whole, and files that nobody else may read.
//!
//! In: a path and bytes. Out: the file in place, by a rename, so that no reader ever sees half of it; where a link leads to it, the file at its end.
//! A file that is replaced stays with its owner and its group. Refuses: a link that leads nowhere, and what the file system refuses.
//! Never: leaves a private key readable by others, not even for a moment.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// What a private file that is replaced may keep of its mode: a tier that reads it by its group goes on doing so, and others never do.
const PRIVATE_MODE_MAX: u32 = 0o640;

/// Writes `bytes` to `path` with mode 0600, or the mode of the file that stood there without what others had: keys, tokens.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o600, Some(PRIVATE_MODE_MAX))
}

/// Writes `bytes` to `path` with mode 0644: certificates, public keys, configuration.
///
/// # Errors
/// What the file system says.
pub fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o644, None)
}

/// `kept` is what may stay of the mode of a former file; `None` where its mode is of no matter.
fn replace(path: &Path, bytes: &[u8], mode: u32, kept: Option<u32>) -> io::Result<()> {
    let (path, former) = match fs::symlink_metadata(path) {
        // The link stays one, and what it leads to is replaced; the owner of a link says nothing.
        Ok(former) if former.is_symlink() => (fs::canonicalize(path)?, Some(fs::metadata(path)?)),
        Ok(former) => (path.to_owned(), Some(former)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let path = path.as_path();
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    // A left-over of a killed process would keep its own mode: it goes first, and `create_new` follows no link.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let owned = former.as_ref().map_or(Ok(()), |former| keep(former, &file, kept));
    let written = owned.and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    match written {
        // Only the folder knows of the new name; without this a machine that fails could come back with the former file.
        Ok(()) => File::open(folder(path))?.sync_all(),
        Err(error) => {
            // What nobody asked for must not stay; the first error says more than a second one.
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// A file that is replaced stays its owner's and its group's: a tier could not read the key that root wrote in its place.
fn keep(former: &Metadata, file: &File, kept: Option<u32>) -> io::Result<()> {
    let ours = file.metadata()?;
    if (former.uid(), former.gid()) != (ours.uid(), ours.gid()) {
        fchown(file, Some(former.uid()), Some(former.gid()))?;
    }
    // Only now, so that no group but the former one ever gets in.
    kept.map_or(Ok(()), |kept| file.set_permissions(Permissions::from_mode((former.mode() & kept) | 0o400)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("gwctl-private-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_private_file_keeps_its_group_and_never_opens_to_others() {
        let dir = dir("mode");
        let path = dir.join("key");
        write_private(&path, b"first").unwrap();
        assert_eq!(mode(&path), 0o600);
        for (former, next) in [(0o600, 0o600), (0o640, 0o640), (0o644, 0o640), (0o666, 0o640), (0o777, 0o640), (0o400, 0o400), (0, 0o400)] {
            fs::set_permissions(&path, Permissions::from_mode(former)).unwrap();
            write_private(&path, b"new").unwrap();
            assert_eq!(mode(&path), next, "{former:o}");
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let dir = dir("link");
        let (path, target) = (dir.join("key"), dir.join("data"));
        symlink("data", &path).unwrap();
        assert_eq!(write_private(&path, b"lost").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(&target, b"old").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        write_private(&path, b"new").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!((fs::read(&target).unwrap(), mode(&target)), (b"new".to_vec(), 0o640));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }
}
