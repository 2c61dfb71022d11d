//! Versions stand in the root manifest alone.
//!
//! In: the members' manifests. Out: dependencies that name a version of their own. The form is held too (one dependency a line, or a table of
//! its own), so that lines can be read without a TOML parser.

use crate::house::{Finding, House, Manifest};

/// Members say `x.workspace = true` or give a path.
#[must_use]
pub fn versions(house: &House) -> Vec<Finding> {
    house.manifests.iter().flat_map(check).collect()
}

fn check(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = Section::Other;
    let mut table = 0;
    let (mut table_is_fine, mut has_version) = (false, false);
    let mut lines: Vec<(usize, &str)> =
        manifest.text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).enumerate().collect();
    // A last header closes the last table.
    lines.push((0, "[]"));
    for (index, line) in lines {
        if let Some(header) = line.strip_prefix('[') {
            if section == Section::Dependency && (has_version || !table_is_fine) {
                findings.push(finding(manifest, table));
            }
            section = Section::of(header.trim_end_matches(']'));
            (table, table_is_fine, has_version) = (index + 1, false, false);
            continue;
        }
        let fine = (line.contains("workspace = true") || line.contains("path =")) && !line.contains("version");
        match section {
            Section::Dependencies if line.contains('=') && !fine => findings.push(finding(manifest, index + 1)),
            Section::Dependency => {
                table_is_fine |= fine;
                has_version |= line.starts_with("version");
            }
            Section::Dependencies | Section::Other => {}
        }
    }
    findings
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// `[dependencies]`, `[dev-dependencies]`, `[target.'cfg(unix)'.dependencies]`: a dependency a line.
    Dependencies,
    /// `[dependencies.http]`: one dependency.
    Dependency,
    Other,
}

impl Section {
    fn of(header: &str) -> Self {
        if header.ends_with("dependencies") {
            Self::Dependencies
        } else if header.contains("dependencies.") {
            Self::Dependency
        } else {
            Self::Other
        }
    }
}

fn finding(manifest: &Manifest, line: usize) -> Finding {
    let text = manifest.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    Finding {
        path: manifest.path.clone(),
        line,
        rule: "versions",
        what: format!("\"{text}\" does not take its version from the workspace"),
        remedy: "put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here".to_owned(),
    }
}
