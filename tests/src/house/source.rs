//! One `.rs` file as the rules see it.
//!
//! In: a path and a text. Out: the paths that the code names (imports and paths written out, also inside macros), its string literals, its
//! structs; each with its line. Refuses: what is not Rust. Never: fooled by comments, strings or `use` groups: the text is parsed.

use crate::house::Finding;
use crate::house::references::collect;

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, `security-gw/src/limits.rs`.
    pub path: String,
    /// Its text begins with `//!`.
    pub has_heading: bool,
    /// The paths that its code names.
    pub references: Vec<Reference>,
    /// Its string literals, without documentation.
    pub literals: Vec<Literal>,
    /// The structs that it defines.
    pub structs: Vec<String>,
}

/// A path that code names, made absolute: `crate::facts::Admitted::new`, `wire::body::Body`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The line, from 1.
    pub line: usize,
    /// Its parts; the first is `crate` for the crate's own modules, the last is `*` for a glob.
    pub parts: Vec<String>,
    /// The name that an import gives to it with `as`.
    pub alias: Option<String>,
}

/// A string or byte string in code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The line, from 1.
    pub line: usize,
    /// What stands in it, bytes that are not UTF-8 replaced.
    pub text: String,
    /// It stands in code for tests alone.
    pub in_test: bool,
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// A finding where the text is not Rust.
    pub fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let file = syn::parse_file(text).map_err(|error| Finding {
            path: path.to_owned(),
            line: error.span().start().line,
            rule: "rust",
            what: format!("this file cannot be parsed: {error}"),
            remedy: "mend it".to_owned(),
        })?;
        let found = collect(&file, &module_of(path), is_test_file(path));
        Ok(Self {
            path: path.to_owned(),
            has_heading: text.starts_with("//!"),
            references: found.references,
            literals: found.literals,
            structs: found.structs,
        })
    }

    pub(crate) fn finding(&self, line: usize, rule: &'static str, what: String, remedy: String) -> Finding {
        Finding { path: self.path.clone(), line, rule, what, remedy }
    }
}

/// The module that a file is: `security-gw/src/config/link.rs` is `config::link`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let mut module: Vec<String> = inside.strip_suffix(".rs").unwrap_or(inside).split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module.len() == 1 && matches!(inside, "lib.rs" | "main.rs") {
        module.pop();
    }
    module
}

/// A file of tests beside the code (`routes_tests.rs`, `routes/tests.rs`) or a test target.
fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/benches/") || path.ends_with("_tests.rs") || path.ends_with("/tests.rs")
}
