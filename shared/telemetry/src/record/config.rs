//! The section `records` of a configuration, as written.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::files;
use settings::report::Report;
use settings::units::{Size, Span};

use crate::record::Kind;
use crate::record::plan::{RecordsPlan, SinkPlan, Target, WhenFull};

/// Limits of `flush`: below, buffers are all switches and no lines; above, a reader waits too long.
const FLUSH_MS: std::ops::RangeInclusive<u128> = 10..=60_000;
/// The queue takes at least a few workers' buffers, and never more than a quarter of a gigabyte.
const QUEUE_BYTES: std::ops::RangeInclusive<u64> = 256 * 1024..=256 * 1024 * 1024;

/// Where records go. Without this section all kinds go to stdout; an empty list of sinks keeps none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordsConfig {
    /// Each sink gets every record whose kind it takes.
    pub sinks: Vec<SinkConfig>,
}

/// One place where records go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// `stdout`, or `{ file: PATH }`; the path is relative to the configuration's folder.
    pub to: TargetConfig,
    /// The kinds of records that this sink takes: `request`, `connection`, `stream`, `checkpoint`. Default: all.
    #[serde(default = "all_kinds")]
    pub kinds: Vec<Kind>,
    /// What is lost when the sink takes records slower than they are made: `drop_newest` (default) or `drop_oldest`.
    #[serde(default)]
    pub when_full: WhenFull,
    /// The longest time that a record stays in the process while the sink keeps up. Default: 200ms.
    #[serde(default = "flush_default")]
    pub flush: Span,
    /// How many bytes may wait for the sink. Default: 8MiB.
    #[serde(default = "queue_default")]
    pub queue_bytes_max: Size,
}

/// The place of a sink, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetConfig {
    /// The process's standard output.
    Stdout,
    /// A file that is appended to, and made if it is missing (its folder is not).
    File(String),
}

impl Default for RecordsConfig {
    fn default() -> Self {
        let all = SinkConfig {
            to: TargetConfig::Stdout,
            kinds: all_kinds(),
            when_full: WhenFull::default(),
            flush: flush_default(),
            queue_bytes_max: queue_default(),
        };
        Self { sinks: vec![all] }
    }
}

fn all_kinds() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

fn flush_default() -> Span {
    Span::millis(200)
}

fn queue_default() -> Size {
    Size::kib(8 * 1024)
}

impl RecordsConfig {
    /// What is meant. `key` is where the section stands (`records`), `base` the configuration's folder. Nothing is
    /// opened: the folder of a file need not exist where a configuration is only checked.
    pub fn check(&self, key: &str, base: &Path, report: &mut Report) -> RecordsPlan {
        let mut plan = RecordsPlan { sinks: Vec::new() };
        for (place, sink) in self.sinks.iter().enumerate() {
            let key = format!("{key}.sinks[{place}]");
            let sink = sink.check(&key, base, report);
            if plan.sinks.iter().any(|other| other.to.is_place_of(&sink.to)) {
                report.complain(
                    &format!("{key}.to"),
                    format!("{} is a sink already, and lines of two writers would mix", sink.to),
                    "give one sink all the kinds, or each its own file",
                );
            }
            plan.sinks.push(sink);
        }
        plan
    }
}

impl SinkConfig {
    fn check(&self, key: &str, base: &Path, report: &mut Report) -> SinkPlan {
        if self.kinds.is_empty() {
            report.complain_of_absence(
                &format!("{key}.kinds"),
                "a sink that takes no kind gets nothing",
                "name kinds, or leave the key out for all",
            );
        }
        if !FLUSH_MS.contains(&self.flush.get().as_millis()) {
            report.complain(&format!("{key}.flush"), "the flush interval is out of range", "choose 10ms to 60s");
        }
        if !QUEUE_BYTES.contains(&self.queue_bytes_max.get()) {
            report.complain(&format!("{key}.queue_bytes_max"), "the queue's size is out of range", "choose 256KiB to 256MiB");
        }
        let to = match &self.to {
            TargetConfig::Stdout => Target::Stdout,
            TargetConfig::File(path) => {
                if path.is_empty() {
                    report.complain(&format!("{key}.to.file"), "the path is empty", "name a file, such as access.log");
                }
                Target::File { path: files::resolve(base, path), written: path.clone() }
            }
        };
        SinkPlan {
            to,
            kinds: self.kinds.clone(),
            when_full: self.when_full,
            flush: self.flush.get(),
            queue_bytes_max: usize::try_from(self.queue_bytes_max.get()).unwrap_or(usize::MAX),
        }
    }
}
