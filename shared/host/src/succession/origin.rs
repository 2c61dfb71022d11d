//! How this process was started, so that it can be started again from whatever lies there by then.
//!
//! In: the arguments, working folder and PATH of this process, at boot. Out: the path of its executable as the caller wrote it, so that a link or a
//! file that is exchanged later leads to the new version. Refuses: a path that leads to no program. Never: looks at `/proc/self/exe` later on,
//! which then says "(deleted)".

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::tier::BootError;

/// The own executable, as long as nothing was put in its place.
const OWN: &str = "/proc/self/exe";

/// How this process was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The executable; an absolute path, links and all.
    pub program: PathBuf,
    /// The name it was called by.
    pub name: OsString,
    /// What stood behind that.
    pub arguments: Vec<OsString>,
}

impl Origin {
    /// Reads it from this process. Call it early: the file may be exchanged at any time.
    ///
    /// # Errors
    /// When nothing leads to the executable.
    pub fn of_this_process() -> Result<Self, BootError> {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = candidates(&name, std::env::current_dir().ok().as_deref(), &path);
        let program = candidates.into_iter().find(|candidate| is_same(candidate, Path::new(OWN))).or_else(written_down);
        let program = program.ok_or_else(|| BootError::new("nothing leads to the executable of this process", "start it by its path"))?;
        Ok(Self { program, name, arguments: arguments.collect() })
    }

    /// Whether there is a program to be started. execvp(3) would hand anything else to a shell, line by line.
    ///
    /// # Errors
    /// What is there instead.
    pub(crate) fn assert_program(&self) -> Result<(), BootError> {
        let mut start = Vec::new();
        let read = File::open(&self.program).and_then(|file| file.take(4).read_to_end(&mut start));
        let what = match read {
            Ok(_) if start == b"\x7fELF" || start.starts_with(b"#!") => return Ok(()),
            Ok(_) => format!("{} is no executable", self.program.display()),
            Err(error) => format!("{} cannot be read: {error}", self.program.display()),
        };
        Err(BootError::new(what, "put the executable there that is to follow, in one step (rename), and ask again"))
    }
}

/// Where a program called `name` may lie, best guess first.
fn candidates(name: &OsStr, folder: Option<&Path>, path: &OsStr) -> Vec<PathBuf> {
    let named = Path::new(name);
    let absolute = |place: PathBuf| folder.map(|folder| folder.join(&place)).or_else(|| place.is_absolute().then_some(place));
    if name.as_bytes().contains(&b'/') {
        return absolute(named.to_owned()).into_iter().collect();
    }
    std::env::split_paths(path).map(|folder| folder.join(named)).filter_map(absolute).collect()
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// The kernel's word on where the executable lay, for a name that leads elsewhere.
fn written_down() -> Option<PathBuf> {
    let path = fs::read_link(OWN).ok()?;
    let bytes = path.as_os_str().as_bytes();
    // proc_pid_exe(5): this is added once the file is gone; what was put in its place is what is wanted.
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_finds_its_own_executable() {
        let origin = Origin::of_this_process().unwrap();
        assert!(origin.program.is_absolute() && is_same(&origin.program, Path::new(OWN)), "{origin:?}");
        assert_eq!(origin.arguments, std::env::args_os().skip(1).collect::<Vec<_>>());
        assert_eq!(origin.assert_program(), Ok(()));
        assert!(is_same(&written_down().unwrap(), Path::new(OWN)));
    }

    #[test]
    fn a_name_with_a_slash_stands_in_the_folder_and_one_without_in_path() {
        let folder = Some(Path::new("/srv"));
        let all = |name: &str, folder| candidates(OsStr::new(name), folder, OsStr::new("/usr/bin:bin"));
        assert_eq!(all("./gw", folder), [Path::new("/srv/./gw")]);
        assert_eq!(all("/opt/gw", folder), [Path::new("/opt/gw")]);
        assert_eq!(all("gw", folder), [Path::new("/usr/bin/gw"), Path::new("/srv/bin/gw")]);
        assert_eq!(all("./gw", None), Vec::<PathBuf>::new());
        assert_eq!(all("gw", None), [Path::new("/usr/bin/gw")]);
    }

    #[test]
    fn what_is_no_program_is_told_with_its_path() {
        for (program, word) in [("/etc/hostname", "is no executable"), ("/nonexistent/gw", "cannot be read")] {
            let origin = Origin { program: program.into(), name: program.into(), arguments: vec![] };
            let error = origin.assert_program().unwrap_err();
            assert!(error.what.contains(word) && error.what.contains(program), "{error}");
        }
    }
}
