//! Files that a configuration names.
//!
//! In: a path and a ceiling. Out: the bytes. Refuses: what is larger than the ceiling, what is not a file. Never: follows a path that the
//! request path chose; only configuration names files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// The most bytes that a configuration document may have.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `path` as meant by a configuration that lies in the folder `base`: relative paths start there, not where the process was started.
#[must_use]
pub fn resolve(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    base.join(path)
}

/// The whole file, if it has at most `bytes_max` bytes.
///
/// # Errors
/// A sentence for the operator with the path in it: it does not exist, may not be read, is a folder, or is too large.
pub fn read_file(path: impl AsRef<Path>, bytes_max: usize) -> Result<Vec<u8>, String> {
    let path = path.as_ref();
    let tell = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let file = File::open(path).map_err(tell)?;
    if file.metadata().map_err(tell)?.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    let mut bytes = Vec::new();
    // The length is not asked for beforehand: a pipe or a /proc file has none, and a growing file would lie.
    let ceiling = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(ceiling).read_to_end(&mut bytes).map_err(tell)?;
    if bytes.len() > bytes_max {
        return Err(format!("{} is larger than {bytes_max} bytes", path.display()));
    }
    Ok(bytes)
}

/// The whole file as UTF-8 text, if it has at most `bytes_max` bytes.
///
/// # Errors
/// As [`read_file`], and where the bytes are not UTF-8.
pub fn read_text(path: impl AsRef<Path>, bytes_max: usize) -> Result<String, String> {
    let path = path.as_ref();
    String::from_utf8(read_file(path, bytes_max)?).map_err(|_| format!("{} is not UTF-8 text", path.display()))
}

/// The whole file as a secret, without the line break that editors put at its end.
///
/// # Errors
/// As [`read_text`].
pub fn read_secret(path: impl AsRef<Path>, bytes_max: usize) -> Result<Secret<String>, String> {
    let mut text = read_text(path, bytes_max)?;
    let kept = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(kept);
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{read_file, read_secret, read_text, resolve};

    #[test]
    fn relative_paths_start_at_the_folder_of_the_configuration() {
        assert_eq!(resolve(Path::new("/etc/gw"), "ca.pem"), Path::new("/etc/gw/ca.pem"));
        assert_eq!(resolve(Path::new("/etc/gw"), "/run/ca.pem"), Path::new("/run/ca.pem"));
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
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
