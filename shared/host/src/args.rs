//! What the command line asks for.
//!
//! In: the arguments behind the program's name. Out: an [`Order`]. Refuses: whatever is not in the usage text, naming it. Never: reads the
//! environment or a file.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the program is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Serve.
    Run(PathBuf),
    /// Tell all that is wrong with a file.
    Check(PathBuf),
    /// Print the JSON Schema of the file.
    Schema,
    /// Ask a running process whether it is ready.
    Health(PathBuf),
    /// Print the usage text.
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments.
///
/// # Errors
/// One sentence about what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Order, String> {
    let mut args = args.into_iter();
    let mut command: Option<String> = None;
    let mut file: Option<PathBuf> = None;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        let given = match text.split_once('=') {
            Some(("--config", path)) => path.into(),
            _ if text == "--config" => args.next().ok_or("--config needs a file")?,
            _ if text == "--help" || text == "-h" => return Ok(Order::Help),
            _ if text == "--version" || text == "-V" => return Ok(Order::Version),
            _ if text.starts_with('-') => return Err(format!("{text:?} is not known")),
            _ if command.is_some() => return Err(format!("{text:?} is one word too many")),
            _ => {
                command = Some(text.into_owned());
                continue;
            }
        };
        if file.replace(given.into()).is_some() {
            return Err("--config stands twice".to_owned());
        }
    }
    let config = || file.clone().ok_or("--config FILE is missing".to_owned());
    match command.as_deref() {
        None => config().map(Order::Run),
        Some("check") => config().map(Order::Check),
        Some("health") => config().map(Order::Health),
        Some("schema") if file.is_none() => Ok(Order::Schema),
        Some("schema") => Err("schema takes no file".to_owned()),
        Some(other) => Err(format!("{other:?} is no command")),
    }
}

/// The usage text.
#[must_use]
pub fn usage(program: &str) -> String {
    format!(
        "{program} --config FILE          serve
{program} check --config FILE    tell all that is wrong with FILE
{program} schema                 print the JSON Schema of FILE
{program} health --config FILE   ask the process that serves by FILE whether it is ready
{program} --version

Exit codes: 0 well; 1 not ready, or could not start; 64 wrong usage; 78 wrong configuration.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Order, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_lawful_line_is_understood() {
        assert_eq!(read("--config a.yaml"), Ok(Order::Run("a.yaml".into())));
        assert_eq!(read("--config=a.yaml"), Ok(Order::Run("a.yaml".into())));
        assert_eq!(read("check --config a.yaml"), Ok(Order::Check("a.yaml".into())));
        assert_eq!(read("--config a.yaml health"), Ok(Order::Health("a.yaml".into())));
        assert_eq!(read("schema"), Ok(Order::Schema));
        assert_eq!(read("check --help"), Ok(Order::Help));
        assert_eq!(read("-V"), Ok(Order::Version));
    }

    #[test]
    fn everything_else_is_refused_with_its_name() {
        for (line, word) in [
            ("", "--config"),
            ("check", "--config"),
            ("--config", "needs a file"),
            ("--config a --config b", "twice"),
            ("serve --config a", "\"serve\""),
            ("check now --config a", "\"now\""),
            ("--verbose", "\"--verbose\""),
            ("schema --config a", "no file"),
        ] {
            let fault = read(line).unwrap_err();
            assert!(fault.contains(word), "{line}: {fault}");
        }
    }
}
