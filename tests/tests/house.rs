//! The house test: the workspace as it lies on disk keeps the rules of the house, and each rule, when it is broken, says so.
//!
//! It is the only enforcer of the architecture. What it prints is `path:line: rule: what; remedy`, a line for each breach.

use std::path::Path;

use expect_test::{Expect, expect};
use tests::house::plan::{Fact, Plan, Tier, plan};
use tests::house::read::read;
use tests::house::source::Source;
use tests::house::{Dependency, Finding, House, Manifest, Package, Resolved, inspect};

#[test]
fn the_house_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    let (house, mut findings) = read(root).expect("the workspace can be read");
    assert!(house.sources.len() > 50, "most files were not found");
    assert!(house.graph.len() > house.packages.len(), "the graph was not resolved");
    findings.extend(inspect(&house, &plan()));
    let told: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    assert!(findings.is_empty(), "\n{told}");
}

/// A small plan, and a house that keeps it.
fn small_plan() -> Plan {
    Plan {
        crates: vec![("contract", vec![]), ("wire", vec!["contract"]), ("gw", vec!["contract", "wire"])],
        exempt_from_admission: vec![],
        pure: ("contract", vec!["http"]),
        banned_packages: vec![("ring", "aws-lc-rs it is")],
        tiers: vec![Tier {
            sources: "gw/src",
            rooms: vec!["assert", "forward"],
            common: vec!["facts"],
            assemblers: vec!["lib", "corridor"],
        }],
        banned_names: vec!["utils"],
        top_level: vec!["Cargo.toml", "gw", "shared"],
        reserved_header: "x-gw-",
        reserved_header_homes: vec!["shared/contract/src/headers.rs"],
        facts: vec![Fact { home: "gw/src/facts.rs", name: "Asserted", constructor: "new", room: "gw/src/assert" }],
    }
}

fn package(name: &str, folder: &str, dependencies: &[&str]) -> Package {
    let dependencies = dependencies.iter().map(|name| Dependency { name: (*name).to_owned(), dev: false }).collect();
    Package { name: name.to_owned(), folder: folder.to_owned(), dependencies }
}

fn resolved(name: &str, own: bool, links: &[usize]) -> Resolved {
    Resolved { name: name.to_owned(), own, links: links.to_vec() }
}

fn manifest(folder: &str, dependencies: &[&str]) -> Manifest {
    let lines: String = dependencies.iter().map(|name| format!("{name}.workspace = true\n")).collect();
    Manifest { path: format!("{folder}/Cargo.toml"), text: format!("[package]\nversion.workspace = true\n\n[dependencies]\n{lines}") }
}

fn file(path: &str, code: &str) -> Source {
    let parsed = Source::parse(path, &format!("//! A file.\n{code}"));
    assert!(parsed.is_ok(), "{code} is not Rust");
    parsed.into_iter().next().unwrap_or_else(|| unreachable!("it was parsed"))
}

fn small_house() -> House {
    House {
        packages: vec![
            package("contract", "shared/contract", &["http"]),
            package("wire", "shared/wire", &["contract", "rustls"]),
            package("gw", "gw", &["contract", "wire"]),
        ],
        graph: vec![
            resolved("contract", true, &[3]),
            resolved("wire", true, &[0, 4]),
            resolved("gw", true, &[0, 1]),
            resolved("http", false, &[]),
            resolved("rustls", false, &[]),
            // In the lock file, switched on by nobody.
            resolved("ring", false, &[]),
        ],
        manifests: vec![
            manifest("shared/contract", &["http"]),
            manifest("shared/wire", &["contract", "rustls"]),
            manifest("gw", &["contract", "wire"]),
        ],
        sources: vec![
            file("shared/contract/src/headers.rs", "pub const TRAIL: &str = \"x-gw-trail\";"),
            file("shared/wire/src/lib.rs", "use contract::headers::TRAIL;"),
            file("gw/src/lib.rs", "pub mod assert;\nuse wire::body;\nfn main() { crate::forward::run(); }"),
            file("gw/src/corridor.rs", "use crate::{assert, forward};"),
            file("gw/src/facts.rs", "pub struct Asserted { a: u8 }\nimpl Asserted { pub(crate) fn new() -> Self { Self { a: 0 } } }"),
            file("gw/src/assert.rs", "use crate::facts::Asserted;\npub fn run() -> Asserted { Asserted::new() }"),
            file(
                "gw/src/forward/mod.rs",
                "mod pick;\nuse self::pick::x;\nuse crate::facts::Asserted;\n// use crate::assert; x-gw-trail\nconst A: &str = \"use crate::assert;\";",
            ),
            file("gw/src/forward/pick.rs", "use super::super::facts;\n#[cfg(test)]\nmod tests { const A: &str = \"x-gw-trail\"; }"),
        ],
        top_level: vec!["Cargo.toml".to_owned(), "gw".to_owned(), "shared".to_owned()],
    }
}

/// What is found, a line each.
fn told(house: &House, plan: &Plan) -> Vec<String> {
    let findings = inspect(house, plan);
    if findings.is_empty() { vec!["(nothing)".to_owned()] } else { findings.iter().map(ToString::to_string).collect() }
}

/// Breaks the small house and compares all that is found.
#[track_caller]
fn check(break_it: impl FnOnce(&mut House), expected: &Expect) {
    let mut house = small_house();
    break_it(&mut house);
    let told: String = inspect(&house, &small_plan()).iter().map(|finding: &Finding| format!("{finding}\n")).collect();
    expected.assert_eq(&told);
}

/// Adds a dependency to a package and to its manifest.
fn depend(house: &mut House, package: usize, name: &str, dev: bool) {
    house.packages[package].dependencies.push(Dependency { name: name.to_owned(), dev });
    house.manifests[package].text.push_str(&format!("{name}.workspace = true\n"));
}

#[test]
fn the_small_house_keeps_its_rules() {
    check(|_| {}, &expect![[""]]);
}

#[test]
fn a_forbidden_crate_edge_is_found_where_it_stands() {
    check(
        |house| depend(house, 1, "gw", false),
        &expect![[r#"
        shared/wire/Cargo.toml:7: crate edge: "wire" may not know "gw"; it may know contract: move what is needed down, or the need up
    "#]],
    );
    check(
        |house| depend(house, 0, "wire", true),
        &expect![[r#"
        shared/contract/Cargo.toml:6: crate edge: "contract" may not know "wire"; it knows no crate of ours: move what it needs into it, or its need to whoever knows both
    "#]],
    );
    check(
        |house| house.packages.push(package("shop", "shared/shop", &["wire"])),
        &expect![[r#"
            shared/shop/Cargo.toml:1: admission: "shop" lies in shared/ but is used by 0 of 1 tiers and by no shared crate; move it into the tier that uses it
            shared/shop/Cargo.toml:1: crate edge: the crate "shop" is not in the plan; add it to house::plan with the crates that it may know
        "#]],
    );
    check(
        |house| {
            house.packages.remove(1);
        },
        &expect![[r#"
            shared/contract/Cargo.toml:1: admission: "contract" lies in shared/ but is used by 0 of 1 tiers and by no shared crate; move it into the tier that uses it
            tests/src/house/plan.rs:1: plan: the plan names a crate "wire" that is not there; take it out of the plan
        "#]],
    );
}

#[test]
fn a_pure_crate_stays_pure_outside_its_tests() {
    check(
        |house| depend(house, 0, "tokio", false),
        &expect![[r#"
        shared/contract/Cargo.toml:6: purity: "contract" is pure and may not depend on "tokio"; it may depend on http; do the rest in a crate that calls it
    "#]],
    );
    check(|house| depend(house, 0, "proptest", true), &expect![[""]]);
}

#[test]
fn a_shared_crate_that_is_not_shared_is_found() {
    check(
        |house| house.sources[1] = file("shared/wire/src/lib.rs", ""),
        &expect![[r#"
            shared/contract/Cargo.toml:1: admission: "contract" lies in shared/ but is used by 0 of 1 tiers and by no shared crate; move it into the tier that uses it
        "#]],
    );
    let mut plan = small_plan();
    plan.tiers.push(Tier { sources: "gw2/src", rooms: vec![], common: vec![], assemblers: vec![] });
    let told = told(&small_house(), &plan);
    expect![[r#"shared/wire/Cargo.toml:1: admission: "wire" lies in shared/ but is used by 1 of 2 tiers and by no shared crate; move it into the tier that uses it"#]].assert_eq(&told.join("\n"));
}

#[test]
fn a_banned_package_is_found_with_the_way_to_it() {
    check(
        |house| house.graph[4].links.push(5),
        &expect![[r#"
        shared/wire/Cargo.toml:6: ban: "ring" is banned and comes in by wire -> rustls -> ring; aws-lc-rs it is: switch off the feature that brings it, or replace "rustls"
    "#]],
    );
}

#[test]
fn a_room_that_knows_another_is_found_however_it_names_it() {
    let mut forms = String::new();
    for code in [
        "use crate::assert::run;",
        "use crate::{facts::Asserted, assert::{self as a}};",
        "fn f() { crate::assert::run(); }",
        "fn f() { vec![1, crate::assert::run()]; }",
        "fn f() -> super::assert::X { todo() }",
        "mod inner { use super::super::assert; }",
        "#[cfg(test)] mod tests { use crate::assert::run; }",
        "use crate::corridor::corridor;",
        "use crate::*;",
        "use crate::Thing;",
        "fn f() { let crate_assert = \"crate::assert\"; } // crate::assert",
    ] {
        let mut house = small_house();
        house.sources[6] = file("gw/src/forward.rs", code);
        house.sources.remove(7);
        let told = told(&house, &small_plan());
        forms.push_str(&format!("{code}\n    {}\n", told.join("\n    ")));
    }
    expect![[r#"
        use crate::assert::run;
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        use crate::{facts::Asserted, assert::{self as a}};
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        fn f() { crate::assert::run(); }
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        fn f() { vec![1, crate::assert::run()]; }
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        fn f() -> super::assert::X { todo() }
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        mod inner { use super::super::assert; }
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        #[cfg(test)] mod tests { use crate::assert::run; }
            gw/src/forward.rs:2: room edge: the room "forward" knows the room "assert"; take the fact it needs as an argument from the corridor; it may know facts
        use crate::corridor::corridor;
            gw/src/forward.rs:2: room edge: the room "forward" knows "corridor", which puts the rooms together; let it be handed what it needs; it may know facts
        use crate::*;
            gw/src/forward.rs:2: room edge: the room "forward" knows "*", which is in no list; import from the module where the thing lives; it may know facts
        use crate::Thing;
            gw/src/forward.rs:2: room edge: the room "forward" knows "Thing", which is in no list; import from the module where the thing lives; it may know facts
        fn f() { let crate_assert = "crate::assert"; } // crate::assert
            (nothing)
    "#]].assert_eq(&forms);
}

#[test]
fn what_is_common_knows_no_room_and_every_module_has_a_list() {
    check(
        |house| house.sources[4] = file("gw/src/facts.rs", "pub struct Asserted;\npub use crate::assert::run;\nuse crate::corridor;"),
        &expect![[r#"
            gw/src/facts.rs:3: room edge: the common module "facts" knows the room "assert"; what is common knows no room: turn the edge round; it may know facts
            gw/src/facts.rs:4: room edge: the common module "facts" knows "corridor", which puts the rooms together; let it be handed what it needs; it may know facts
        "#]],
    );
    check(
        |house| house.sources.push(file("gw/src/cache.rs", "")),
        &expect![[r#"
        gw/src/cache.rs:1: room edge: the module "cache" is neither a room nor common nor an assembler; add it to one list of its tier in house::plan
    "#]],
    );
    check(
        |house| {
            house.sources.remove(3);
        },
        &expect![[r#"
            tests/src/house/plan.rs:1: plan: the plan of gw/src names a module "corridor" that is not there; take it out of the plan
        "#]],
    );
}

#[test]
fn a_fact_is_made_in_its_room_alone() {
    let mut forms = String::new();
    for code in [
        "use crate::facts::Asserted;\nfn f() { Asserted::new(); }",
        "fn f() { (0..1).map(crate::facts::Asserted::new); }",
        "fn f() { <crate::facts::Asserted>::new(); }",
        "fn f() { vec![Asserted::new()]; }",
        "use crate::facts::Asserted as A;\nfn f() { A::new(); }",
        "type A = crate::facts::Asserted;",
        "fn f() { Other::new(); Asserted::read(); }",
    ] {
        let mut house = small_house();
        house.sources[3] = file("gw/src/corridor.rs", code);
        let told = told(&house, &small_plan());
        forms.push_str(&format!("{code}\n    {}\n", told.join("\n    ")));
    }
    expect![[r#"
        use crate::facts::Asserted;
        fn f() { Asserted::new(); }
            gw/src/corridor.rs:3: fact: "Asserted::new" is named outside gw/src/assert, the room that proves it; let the corridor pass the fact on
        fn f() { (0..1).map(crate::facts::Asserted::new); }
            gw/src/corridor.rs:2: fact: "Asserted::new" is named outside gw/src/assert, the room that proves it; let the corridor pass the fact on
        fn f() { <crate::facts::Asserted>::new(); }
            gw/src/corridor.rs:2: fact: "Asserted::new" is named outside gw/src/assert, the room that proves it; let the corridor pass the fact on
        fn f() { vec![Asserted::new()]; }
            gw/src/corridor.rs:2: fact: "Asserted::new" is named outside gw/src/assert, the room that proves it; let the corridor pass the fact on
        use crate::facts::Asserted as A;
        fn f() { A::new(); }
            gw/src/corridor.rs:2: fact: the fact "Asserted" gets another name; call it by its own, so that its maker can be found
        type A = crate::facts::Asserted;
            gw/src/corridor.rs:2: fact: the fact "Asserted" gets another name; call it by its own, so that its maker can be found
        fn f() { Other::new(); Asserted::read(); }
            (nothing)
    "#]].assert_eq(&forms);
    check(
        |house| house.sources[4] = file("gw/src/facts.rs", ""),
        &expect![[r#"
        tests/src/house/plan.rs:1: plan: the plan names a fact "Asserted" that gw/src/facts.rs does not define; take it out of the plan
    "#]],
    );
}

#[test]
fn files_begin_with_a_heading_and_have_names_that_say_something() {
    check(
        |house| {
            house.sources.push(Source::parse("shared/wire/src/utils.rs", "fn f() {}").expect("this is Rust"));
            house.sources.push(file("shared/wire/src/utils/fetch.rs", ""));
        },
        &expect![[r#"
            shared/wire/src/utils.rs:1: file name: "utils" says nothing about what is in it; name it after the one thing that it holds
            shared/wire/src/utils.rs:1: heading: the file does not begin with "//!"; say what comes in, what goes out, what it refuses, what it never does
            shared/wire/src/utils/fetch.rs:1: file name: "utils" says nothing about what is in it; name it after the one thing that it holds
        "#]],
    );
}

#[test]
fn reserved_headers_are_spelt_in_one_place() {
    check(
        |house| {
            house.sources.push(file(
                "shared/wire/src/door.rs",
                "/// x-gw-trail\nconst A: &str = \"X-GW-Trail\";\nfn f() { format!(\"{}: 1\", b\"x-gw-a\"); }\n#[serde(rename = \"x-gw-b\")]\nstruct S;",
            ));
            house.sources.push(file("shared/wire/src/door/tests.rs", "const A: &str = \"x-gw-trail\";"));
        },
        &expect![[r#"
            shared/wire/src/door.rs:3: reserved header: "X-GW-Trail" spells a reserved header name; import it from contract::headers
            shared/wire/src/door.rs:4: reserved header: "x-gw-a" spells a reserved header name; import it from contract::headers
            shared/wire/src/door.rs:5: reserved header: "x-gw-b" spells a reserved header name; import it from contract::headers
        "#]],
    );
}

#[test]
fn the_top_level_is_fixed() {
    check(
        |house| house.top_level = vec!["Cargo.toml".to_owned(), "docs".to_owned(), "gw".to_owned()],
        &expect![[r#"
        docs:1: top level: this does not belong at the top level; tool configuration goes into dot-files, the rest into one of the folders there
        shared:1: top level: this is missing at the top level; put it back
    "#]],
    );
}

#[test]
fn versions_stand_in_the_root_manifest() {
    let text = r#"[package]
name = "wire"
version.workspace = true

[dependencies]
contract.workspace = true # version = "1"
http = { workspace = true, features = ["x"] }
local = { path = "../local" }
tokio = "1"
rustls = { version = "0.23" }

[dev-dependencies.proptest]
version = "1"

[build-dependencies.cc]
workspace = true

[target.'cfg(unix)'.dependencies]
libc = "0.2"

[dependencies.git]
git = "https://example.org"
"#;
    check(
        |house| house.manifests.push(Manifest { path: "shared/wire/Cargo.toml".to_owned(), text: text.to_owned() }),
        &expect![[r#"
            shared/wire/Cargo.toml:9: versions: "tokio = "1"" does not take its version from the workspace; put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here
            shared/wire/Cargo.toml:10: versions: "rustls = { version = "0.23" }" does not take its version from the workspace; put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here
            shared/wire/Cargo.toml:12: versions: "[dev-dependencies.proptest]" does not take its version from the workspace; put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here
            shared/wire/Cargo.toml:19: versions: "libc = "0.2"" does not take its version from the workspace; put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here
            shared/wire/Cargo.toml:21: versions: "[dependencies.git]" does not take its version from the workspace; put the version under [workspace.dependencies] in the root Cargo.toml and write `name.workspace = true` here
        "#]],
    );
}

#[test]
fn a_file_that_is_not_rust_is_a_finding() {
    let finding = Source::parse("gw/src/x.rs", "//! A file.\nfn (").expect_err("this is not Rust");
    expect!["gw/src/x.rs:2: rust: this file cannot be parsed: cannot parse string into token stream; mend it"]
        .assert_eq(&finding.to_string());
}
