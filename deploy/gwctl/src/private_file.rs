//! Files written whole, and files that nobody else may read.
//!
//! In: a path and bytes. Out: the file in place, by a rename, so that no reader ever sees half of it. Refuses: nothing
//! beyond what the file system refuses. Never: leaves a private key readable by others, not even for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Writes `bytes` to `path` with mode 0600: keys, tokens.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o600)
}

/// Writes `bytes` to `path` with mode 0644: certificates, public keys, configuration.
///
/// # Errors
/// What the file system says.
pub fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, 0o644)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    // A left-over of a killed process would keep its own mode: it goes first, and `create_new` follows no link.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let written = keep_owner(path, &file).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
    match written {
        Ok(()) => fs::rename(&beside, path),
        Err(error) => {
            // What nobody asked for must not stay; the first error says more than a second one.
            let _ = fs::remove_file(&beside);
            Err(error)
        }
    }
}

/// A file that is replaced stays its owner's: a tier could not read the key that root wrote in its place.
fn keep_owner(path: &Path, file: &File) -> io::Result<()> {
    let Ok(former) = fs::symlink_metadata(path) else { return Ok(()) };
    let ours = file.metadata()?;
    if (former.uid(), former.gid()) == (ours.uid(), ours.gid()) {
        return Ok(());
    }
    fchown(file, Some(former.uid()), Some(former.gid()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_replaces_an_open_one_with_its_own_mode() {
        let dir = std::env::temp_dir().join(format!("gwctl-private-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        write_public(&path, b"old").unwrap();
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&dir).unwrap();
    }
}
