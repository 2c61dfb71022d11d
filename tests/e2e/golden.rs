//! Bad configurations and their exact complaints, word for word, as an operator sees them: each folder of `tests/golden/configuration` is a case.
//!
//! In: a case's `security-gw.yaml` or `routing-gw.yaml` with its side files, and `environment` where it needs variables (one NAME=VALUE a line).
//! Out: what `check` says, which must be what `complaints.txt` holds. After a text was changed on purpose, `GOLDEN=write cargo test -p tests
//! --test e2e golden` writes the files anew: read them as an operator would before they are committed. Where CI is set, writing fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::BINARIES;

/// Fewer are a loss.
const CASES_MIN: usize = 60;

struct Case {
    name: String,
    folder: PathBuf,
}

#[test]
fn bad_configurations_are_told_as_they_always_were() {
    let write = is_writing();
    let mut differing = Vec::new();
    for case in cases() {
        let (code, said) = case.check();
        assert_eq!(code, Some(78), "{}: bad configuration ends with 78 (EX_CONFIG), and this said\n{said}", case.name);
        let known = case.known();
        if known.as_deref() == Some(said.as_str()) {
            continue;
        }
        if write {
            fs::write(case.folder.join("complaints.txt"), &said).expect("written");
        }
        differing.push(format!("{}\n{}", case.name, difference(&known.unwrap_or_default(), &said)));
    }
    let in_ci = std::env::var_os("CI").is_some();
    assert!(!(write && in_ci), "golden files are written by people who read them, not in CI");
    assert!(
        write || differing.is_empty(),
        "{} of the cases differ (- as it was, + as it is); if that is meant: GOLDEN=write\n\n{}",
        differing.len(),
        differing.join("\n")
    );
}

#[test]
fn golden_complaints_are_many_and_whole() {
    // The other test is at the files.
    if is_writing() {
        return;
    }
    let cases = cases();
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    for (number, case) in (1..).zip(&cases) {
        assert!(
            case.name.starts_with(&format!("{number:03}-")),
            "{}: cases are numbered without gaps, and this is the {number}.",
            case.name
        );
        let known = case.known().unwrap_or_else(|| panic!("{}: complaints.txt is missing", case.name));
        let lines: Vec<&str> = known.lines().collect();
        let Some((last, complaints)) = lines.split_last() else { panic!("{}: complaints.txt is empty", case.name) };
        let noun = if complaints.len() == 1 { "complaint" } else { "complaints" };
        assert_eq!(*last, format!("{} {noun} about {}", complaints.len(), case.tier().1), "{}", case.name);
        assert!(!complaints.is_empty(), "{}", case.name);
        for line in complaints {
            assert!(is_complaint(line), "{}: not of the form `file:line:column key: what; remedy`: {line}", case.name);
        }
    }
}

#[test]
fn golden_lines_are_told_from_others() {
    assert!(is_complaint("a.yaml:2:10 workers: found nothing; write a number"));
    assert!(is_complaint("a.yaml:1:1: the document is empty; write one"));
    for wrong in
        ["a.yaml:2 workers: found nothing; write", "a.yaml:2:10 workers: found nothing", "a.yaml:0:1 k: what; remedy", "a:1:1 k; r"]
    {
        assert!(!is_complaint(wrong), "{wrong}");
    }
}

fn is_writing() -> bool {
    std::env::var_os("GOLDEN").is_some_and(|word| word == "write")
}

/// In the order of their numbers.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/configuration");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .expect("the cases")
        .map(|entry| entry.expect("a case"))
        .map(|entry| Case { name: entry.file_name().into_string().expect("a name"), folder: entry.path() })
        .collect();
    let number = |case: &Case| case.name.split('-').next().and_then(|number| number.parse::<usize>().ok());
    cases.sort_by_key(|case| (number(case), case.name.clone()));
    cases
}

impl Case {
    /// The program whose file it is, and the file.
    fn tier(&self) -> (&'static str, &'static str) {
        let tiers = [(BINARIES.security, "security-gw.yaml"), (BINARIES.routing, "routing-gw.yaml")];
        let mut found = tiers.into_iter().filter(|(_, file)| self.folder.join(file).exists());
        match (found.next(), found.next()) {
            (Some(tier), None) => tier,
            // The one case without a file is about just that.
            (None, _) => (BINARIES.security, "security-gw.yaml"),
            (Some(_), Some(_)) => panic!("{}: one file of one tier", self.name),
        }
    }

    /// Runs in the case's folder, so that no path of this machine is said; the environment of this machine is not seen either.
    fn check(&self) -> (Option<i32>, String) {
        let (program, file) = self.tier();
        let variables = fs::read_to_string(self.folder.join("environment")).unwrap_or_default();
        let output = Command::new(program)
            .args(["check", "--config", file])
            .current_dir(&self.folder)
            .env_clear()
            .envs(variables.lines().filter_map(|line| line.split_once('=')))
            .output()
            .expect("it runs");
        let mut said = String::from_utf8(output.stderr).expect("text");
        // Complaints belong on stderr; what stands elsewhere is seen as a difference.
        if !output.stdout.is_empty() {
            said.push_str("stdout: ");
            said.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        (output.status.code(), said)
    }

    fn known(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("complaints.txt")).ok()
    }
}

/// The lines of both, those that only one of them has marked.
fn difference(was: &str, is: &str) -> String {
    let (was, is): (Vec<&str>, Vec<&str>) = (was.lines().collect(), is.lines().collect());
    let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("  - {line}\n"));
    let new = is.iter().filter(|line| !was.contains(line)).map(|line| format!("  + {line}\n"));
    let told: String = gone.chain(new).collect();
    if told.is_empty() { "  the same lines in another order or number\n".to_owned() } else { told }
}

fn is_complaint(line: &str) -> bool {
    let Some((place, said)) = line.split_once(": ") else { return false };
    let place = place.split(' ').next().unwrap_or_default();
    let mut parts = place.rsplitn(3, ':');
    let (column, number, file) = (parts.next(), parts.next(), parts.next());
    let counts = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).is_some_and(|number| number > 0);
    counts(column) && counts(number) && file.is_some_and(|file| file.ends_with(".yaml")) && said.contains("; ") && !said.ends_with("; ")
}
