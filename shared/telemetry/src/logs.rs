//! Diagnostics of the process itself, on stderr: what is said to whoever runs it, not about requests.
//!
//! In: the section `logs`. Out: one line per event, JSON or text. Never: reads the environment (a forgotten variable
//! must not change what is logged), colours, or fails because somebody has set up logging before.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::report::Report;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

/// The section `logs`, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`; also by part: `info,upstream=debug`. Default: info.
    pub level: String,
    /// The form of a line. Default: json.
    pub format: Format,
}

/// The form of a line of diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For human eyes.
    Text,
}

/// The section `logs` as meant.
#[derive(Clone, Debug, PartialEq)]
pub struct LogsPlan {
    filter: Targets,
    format: Format,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::default() }
    }
}

impl Default for LogsPlan {
    fn default() -> Self {
        Self { filter: Targets::new().with_default(LevelFilter::INFO), format: Format::default() }
    }
}

impl LogsConfig {
    /// What is meant. `key` is where the section stands (`logs`).
    pub fn check(&self, key: &str, report: &mut Report) -> LogsPlan {
        match filter(&self.level) {
            Ok(filter) => LogsPlan { filter, format: self.format },
            Err(wrong) => {
                report.complain(
                    &format!("{key}.level"),
                    format!("{wrong:?} is neither a level nor a part with its level"),
                    "write one of error, warn, info, debug, trace, off, or by part: info,upstream=debug",
                );
                LogsPlan::default()
            }
        }
    }
}

/// Sends the diagnostics of the whole process to stderr from now on. Answers whether it did: only the first call of a
/// process does, whoever made it.
pub fn init(plan: &LogsPlan) -> bool {
    // A closed stderr must not turn a line of log into a panic of the worker that wrote it.
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    let chosen = registry().with(plan.filter.clone());
    match plan.format {
        Format::Json => chosen.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init().is_ok(),
        Format::Text => chosen.with(lines).try_init().is_ok(),
    }
}

/// Reads `info,upstream=debug`; the fault is the part that is not understood. The library's own readers take a lone
/// `inof` for the name of a part and then log nothing but that.
fn filter(written: &str) -> Result<Targets, &str> {
    written.split(',').map(str::trim).try_fold(Targets::new(), |filter, part| match part.split_once('=') {
        None => Ok(filter.with_default(level(part).ok_or(part)?)),
        Some((name, text)) => {
            let name = name.trim();
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte));
            let level = level(text.trim()).filter(|_| is_name).ok_or(part)?;
            // Crates are written with hyphens and speak under names with underscores.
            Ok(filter.with_target(name.replace('-', "_"), level))
        }
    })
}

fn level(text: &str) -> Option<LevelFilter> {
    match text {
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use settings::report::Report;
    use tracing::Level;

    use crate::logs::{Format, LogsConfig, LogsPlan, filter, init};

    #[test]
    fn a_second_call_changes_nothing_and_does_not_fail() {
        let off = LogsConfig { level: "off".to_owned(), format: Format::Json };
        assert!(init(&off.check("logs", &mut Report::new())));
        assert!(!init(&LogsPlan { format: Format::Text, ..LogsPlan::default() }));
    }

    #[test]
    fn a_part_has_its_own_level() {
        let filter = filter("info, security-gw=trace,upstream=off").unwrap();
        assert!(filter.would_enable("wire::tls", &Level::INFO) && !filter.would_enable("wire::tls", &Level::DEBUG));
        assert!(filter.would_enable("security_gw::corridor", &Level::TRACE));
        assert!(!filter.would_enable("upstream", &Level::ERROR));
    }

    #[test]
    fn what_is_not_a_level_is_complained_of() {
        for wrong in ["", "inof", "INFO", "3", "info,", "info,upstream=loud", "=info", "up stream=info", "[span]=info"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        let mut report = Report::new();
        LogsConfig { level: "info,upstream=loud".to_owned(), format: Format::Json }.check("logs", &mut report);
        let expected = expect![[r#"
            :1:1 logs.level: "upstream=loud" is neither a level nor a part with its level; write one of error, warn, info, debug, trace, off, or by part: info,upstream=debug
        "#]];
        expected.assert_eq(&report.print());
    }

    #[test]
    fn the_section_is_read_with_its_defaults() {
        let written: LogsConfig = serde_json::from_str(r#"{"format":"text"}"#).unwrap();
        assert_eq!(written, LogsConfig { level: "info".to_owned(), format: Format::Text });
        assert!(serde_json::from_str::<LogsConfig>(r#"{"levle":"debug"}"#).is_err());
    }
}
