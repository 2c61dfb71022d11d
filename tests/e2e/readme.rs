//! The README stays true: its configurations are lawful, its tests exist, and its commands are those that run.

use std::path::Path;
use std::process::Command;

use tests::rig::Rig;

use crate::BINARIES;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The fenced blocks of one language.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_configurations_of_the_readme_are_lawful() {
    let rig = Rig::two_tier(&BINARIES);
    for name in ["link", "services"] {
        let keys =
            Command::new(BINARIES.gwctl).args(["keys", "new", "--name", name, "--dir"]).arg(rig.folder.path()).output().expect("it runs");
        assert!(keys.status.success(), "{}", String::from_utf8_lossy(&keys.stderr));
    }
    let blocks = blocks(&readme(), "yaml");
    let [tier1, tier2, drop_in] = blocks.as_slice() else { panic!("three configurations, not {}", blocks.len()) };
    std::fs::create_dir(rig.folder.file("routes.d")).expect("a folder");
    rig.folder.write("routes.d/billing.yaml", drop_in);
    rig.folder.write("sticky.secret", "a secret of forty-eight bytes, as openssl makes\n");
    for (binary, block) in [(BINARIES.security, tier1.clone()), (BINARIES.routing, format!("{tier2}drop_ins: routes.d\n"))] {
        rig.folder.write("readme.yaml", &block);
        let output = Command::new(binary).args(["check", "--config"]).arg(rig.folder.file("readme.yaml")).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = readme();
    let table = readme.split("## When something is down").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table");
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.rsplit('|').nth(1)?.trim().strip_prefix('`')?.strip_suffix('`'))
        .filter(|name| !name.contains('/'))
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    let mut sources = String::new();
    gather(&root().join("tests"), &mut sources);
    gather(&root().join("shared"), &mut sources);
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test is called {name}");
    }
}

#[test]
fn the_two_commands_stand_alone_in_their_blocks() {
    let commands = blocks(&readme(), "sh");
    assert_eq!(commands, ["cargo run --release -p gwctl -- demo\n", "cargo test --workspace\n"]);
}

fn gather(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
