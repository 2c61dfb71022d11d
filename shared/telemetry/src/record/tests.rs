//! The books of the record sinks balance, whatever the sinks do.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use settings::report::Report;

use super::buffer::{BUFFER_BYTES_MAX, RECORD_BYTES_MAX};
use super::config::RecordsConfig;
use super::plan::{RecordsPlan, SinkPlan, Target, WhenFull};
use super::{Kind, Records, Sink};
use crate::json::Line;
use crate::metrics::Metrics;

/// Long enough for any healthy machine; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn plan(to: Target) -> SinkPlan {
    SinkPlan { to, kinds: Kind::ALL.to_vec(), when_full: WhenFull::DropNewest, flush: Duration::from_millis(200), queue_bytes_max: 8 << 20 }
}

/// A sink that hands each write to the test, and waits for the test to take it.
struct Wire(SyncSender<Vec<u8>>);

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wired(plan: &SinkPlan, metrics: &Metrics) -> (Records, Receiver<Vec<u8>>) {
    let (sender, receiver) = sync_channel(0);
    (Records::over(vec![Sink::start(plan, Wire(sender), metrics).unwrap()]), receiver)
}

fn number(n: u64) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        let mut line = Line::open(out);
        line.u64("n", n);
        line.close();
    }
}

fn numbers(text: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap()).collect()
}

/// One value of the books, as an operator sees it.
fn metric(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).trim().parse().unwrap()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("telemetry-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> (PathBuf, Target) {
        let path = self.0.join(name);
        (path.clone(), Target::File { path, written: name.to_owned() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_healthy_sink_loses_nothing() {
    const WORKERS: u64 = 4;
    const EACH: u64 = 25_000;
    let (folder, metrics) = (Folder::new("healthy"), Metrics::new());
    let (path, to) = folder.file("access.log");
    let records = Records::open(&RecordsPlan { sinks: vec![plan(to)] }, &metrics).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let buffer = records.buffer();
            scope.spawn(move || (0..EACH).for_each(|n| buffer.write(Kind::Request, number(worker * EACH + n))));
        }
    });
    assert_eq!(records.flush(PATIENCE), 0);
    let mut found = numbers(&std::fs::read(path).unwrap());
    found.sort_unstable();
    assert!(found.into_iter().eq(0..WORKERS * EACH));
    assert_eq!(metric(&metrics, r#"gateway_records_made_total{sink="access.log"}"#), WORKERS * EACH);
    assert_eq!(metric(&metrics, r#"gateway_records_written_total{sink="access.log"}"#), WORKERS * EACH);
    for reason in ["queue_full", "write_failed", "too_long"] {
        assert_eq!(metric(&metrics, &format!(r#"gateway_records_lost_total{{sink="access.log",reason="{reason}"}}"#)), 0);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_records_and_nothing_else() {
    let metrics = Metrics::new();
    let to = Target::File { path: "/dev/full".into(), written: "full".to_owned() };
    let records = Records::open(&RecordsPlan { sinks: vec![plan(to)] }, &metrics).unwrap();
    let buffer = records.buffer();
    for n in 0..10_000 {
        buffer.write(Kind::Request, number(n));
    }
    buffer.flush();
    assert_eq!(records.flush(PATIENCE), 0, "what is lost is settled too");
    assert_eq!(metric(&metrics, r#"gateway_records_made_total{sink="full"}"#), 10_000);
    assert_eq!(metric(&metrics, r#"gateway_records_written_total{sink="full"}"#), 0);
    assert_eq!(metric(&metrics, r#"gateway_records_lost_total{sink="full",reason="write_failed"}"#), 10_000);
}

/// Writes 30 records, each handed over by itself, to a sink whose queue takes ten. The writer holds the first one
/// meanwhile. Answers what the sink got.
fn overfill(when_full: WhenFull) -> Vec<u64> {
    let metrics = Metrics::new();
    let line = b"{\"n\":10}\n".len();
    let (records, sink) = wired(&SinkPlan { when_full, queue_bytes_max: 10 * line, ..plan(Target::Stdout) }, &metrics);
    let buffer = records.buffer();
    let write = |n| {
        buffer.write(Kind::Request, number(n));
        buffer.flush();
    };
    write(10);
    // The writer has taken the first record out of the queue when the queue is seen empty.
    let until = Instant::now() + PATIENCE;
    while !records.sinks[0].queue.is_empty() {
        assert!(Instant::now() < until, "the writer does not take the first record");
        std::thread::yield_now();
    }
    (11..40).for_each(write);
    assert_eq!(records.flush(Duration::from_millis(1)), 11, "the writer is held up");
    let mut got = Vec::new();
    while got.len() < 11 {
        got.extend(numbers(&sink.recv_timeout(PATIENCE).unwrap()));
    }
    assert_eq!(records.flush(PATIENCE), 0);
    assert_eq!(metric(&metrics, r#"gateway_records_made_total{sink="stdout"}"#), 30);
    assert_eq!(metric(&metrics, r#"gateway_records_written_total{sink="stdout"}"#), 11);
    assert_eq!(metric(&metrics, r#"gateway_records_lost_total{sink="stdout",reason="queue_full"}"#), 19);
    got
}

#[test]
fn a_full_queue_loses_the_newest() {
    assert!(overfill(WhenFull::DropNewest).into_iter().eq(10..=20));
}

#[test]
fn a_full_queue_loses_the_oldest() {
    assert!(overfill(WhenFull::DropOldest).into_iter().eq([10].into_iter().chain(30..40)));
}

#[test]
fn an_idle_workers_record_goes_out_within_the_interval() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&SinkPlan { flush: Duration::from_millis(20), ..plan(Target::Stdout) }, &metrics);
    let buffer = records.buffer();
    assert_eq!(records.tick_every(), Duration::from_millis(10));
    buffer.write(Kind::Request, number(7));
    let until = Instant::now() + PATIENCE;
    let got = loop {
        assert!(Instant::now() < until, "the record is never handed over");
        buffer.tick();
        if let Ok(got) = sink.recv_timeout(records.tick_every()) {
            break got;
        }
    };
    assert_eq!(numbers(&got), [7]);
}

#[test]
fn a_tick_before_its_time_hands_nothing_over() {
    let metrics = Metrics::new();
    let (records, _sink) = wired(&SinkPlan { flush: Duration::from_secs(60), ..plan(Target::Stdout) }, &metrics);
    let buffer = records.buffer();
    buffer.write(Kind::Request, number(7));
    buffer.tick();
    assert_eq!(metric(&metrics, r#"gateway_records_made_total{sink="stdout"}"#), 0);
}

#[test]
fn a_full_buffer_is_handed_over_without_a_tick() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&plan(Target::Stdout), &metrics);
    let buffer = records.buffer();
    let mut bytes = 0;
    while bytes < BUFFER_BYTES_MAX {
        buffer.write(Kind::Request, number(1));
        bytes += b"{\"n\":1}\n".len();
    }
    assert_eq!(sink.recv_timeout(PATIENCE).unwrap().len(), bytes);
}

#[test]
fn each_sink_gets_its_kinds_and_unwanted_lines_are_not_made() {
    let (folder, metrics) = (Folder::new("kinds"), Metrics::new());
    let ((access, to_access), (events, to_events)) = (folder.file("access.log"), folder.file("events.log"));
    let access_plan = SinkPlan { kinds: vec![Kind::Request], ..plan(to_access) };
    let events_plan = SinkPlan { kinds: vec![Kind::Connection, Kind::Request], ..plan(to_events) };
    let records = Records::open(&RecordsPlan { sinks: vec![access_plan, events_plan] }, &metrics).unwrap();
    let buffer = records.buffer();
    buffer.write(Kind::Request, number(1));
    buffer.write(Kind::Connection, number(2));
    assert!(!buffer.takes(Kind::Stream));
    buffer.write(Kind::Stream, |_| panic!("nobody takes it"));
    drop(buffer);
    assert_eq!(records.flush(PATIENCE), 0);
    assert_eq!(numbers(&std::fs::read(access).unwrap()), [1]);
    assert_eq!(numbers(&std::fs::read(events).unwrap()), [1, 2]);
}

#[test]
fn a_panic_in_the_making_leaves_no_half_line() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&plan(Target::Stdout), &metrics);
    let buffer = records.buffer();
    let half = |out: &mut Vec<u8>| {
        out.extend_from_slice(b"{\"n\":");
        panic!("in the middle of a line");
    };
    assert!(catch_unwind(AssertUnwindSafe(|| buffer.write(Kind::Request, half))).is_err());
    buffer.write(Kind::Request, number(3));
    drop(buffer);
    assert_eq!(numbers(&sink.recv_timeout(PATIENCE).unwrap()), [3]);
}

#[test]
fn a_record_made_while_another_is_made_is_kept_too() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&plan(Target::Stdout), &metrics);
    let buffer = records.buffer();
    buffer.write(Kind::Request, |out| {
        buffer.write(Kind::Request, number(1));
        number(2)(out);
    });
    buffer.flush();
    assert_eq!(numbers(&sink.recv_timeout(PATIENCE).unwrap()), [1, 2]);
}

#[test]
fn a_record_beyond_the_ceiling_is_counted_and_not_kept() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&plan(Target::Stdout), &metrics);
    let buffer = records.buffer();
    buffer.write(Kind::Request, |out| out.resize(RECORD_BYTES_MAX, b' '));
    buffer.write(Kind::Request, number(4));
    drop(buffer);
    assert_eq!(numbers(&sink.recv_timeout(PATIENCE).unwrap()), [4]);
    assert_eq!(metric(&metrics, r#"gateway_records_lost_total{sink="stdout",reason="too_long"}"#), 1);
    assert_eq!(metric(&metrics, r#"gateway_records_made_total{sink="stdout"}"#), 2);
}

#[test]
fn the_writer_ends_with_the_last_handle_after_the_last_line() {
    let metrics = Metrics::new();
    let (records, sink) = wired(&plan(Target::Stdout), &metrics);
    let buffer = records.buffer();
    drop(records);
    buffer.write(Kind::Request, number(5));
    drop(buffer);
    assert_eq!(numbers(&sink.recv_timeout(PATIENCE).unwrap()), [5]);
    assert_eq!(sink.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "the writer's thread has ended");
}

#[test]
fn two_processes_that_append_to_one_file_spoil_no_line() {
    const EACH: u64 = 20_000;
    let folder = Folder::new("two");
    let (path, target) = folder.file("both.log");
    // As while an upgrade lasts: two writers, each with a descriptor of its own.
    std::thread::scope(|scope| {
        for process in 0..2 {
            let target = target.clone();
            scope.spawn(move || {
                let records = Records::open(&RecordsPlan { sinks: vec![plan(target)] }, &Metrics::new()).unwrap();
                let buffer = records.buffer();
                for n in 0..EACH {
                    buffer.write(Kind::Request, number(process * EACH + n));
                }
                buffer.flush();
                assert_eq!(records.flush(PATIENCE), 0);
            });
        }
    });
    let mut found = numbers(&std::fs::read(path).unwrap());
    found.sort_unstable();
    assert!(found.into_iter().eq(0..2 * EACH));
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = Folder::new("missing");
    let (_, to) = folder.file("no/such/folder.log");
    let fault = Records::open(&RecordsPlan { sinks: vec![plan(to)] }, &Metrics::new()).unwrap_err();
    assert_eq!(fault.sink, "no/such/folder.log");
    assert_eq!(fault.cause.kind(), io::ErrorKind::NotFound);
}

#[test]
#[cfg(unix)]
fn a_new_file_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let (path, to) = folder.file("access.log");
    drop(Records::open(&RecordsPlan { sinks: vec![plan(to)] }, &Metrics::new()).unwrap());
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o137, 0);
}

#[derive(serde::Deserialize)]
struct Whole {
    records: RecordsConfig,
}

fn check(text: &str, complaints: &Expect) -> RecordsPlan {
    let mut report = Report::new();
    let whole: Option<Whole> = settings::read::read("x.yaml", text, &|_| None, &mut report);
    let plan = whole.map(|whole| whole.records.check("records", Path::new("base"), &mut report));
    complaints.assert_eq(&report.print());
    plan.unwrap_or(RecordsPlan { sinks: Vec::new() })
}

#[test]
fn the_section_is_read_with_its_defaults() {
    let text = "records: { sinks: [ { to: { file: access.log }, kinds: [request] }, { to: stdout, when_full: drop_oldest, flush: 1s } ] }";
    let plan = check(text, &expect![[""]]);
    let access = Target::File { path: Path::new("base").join("access.log"), written: "access.log".to_owned() };
    let access = SinkPlan { kinds: vec![Kind::Request], ..super::tests::plan(access) };
    let stdout = SinkPlan { when_full: WhenFull::DropOldest, flush: Duration::from_secs(1), ..super::tests::plan(Target::Stdout) };
    assert_eq!(plan.sinks, [access, stdout]);
    assert_eq!(check("records: {}", &expect![[""]]).sinks, [super::tests::plan(Target::Stdout)]);
    assert_eq!(check("records: { sinks: [] }", &expect![[""]]).sinks, []);
}

#[test]
fn mistakes_in_the_section_are_complained_of_together() {
    let text = "records:\n  sinks:\n    - { to: stdout, kinds: [], flush: 1ms }\n    - { to: stdout, queue_bytes_max: 1KiB }\n    - { to: { file: '' } }\n    - { to: { file: a } }\n    - { to: { file: ./a } }\n";
    check(
        text,
        &expect![[r#"
        x.yaml:3:28 records.sinks[0].kinds: a sink that takes no kind gets nothing; name kinds, or leave the key out for all
        x.yaml:3:39 records.sinks[0].flush: the flush interval is out of range; choose 10ms to 60s
        x.yaml:4:13 records.sinks[1].to: stdout is a sink already, and lines of two writers would mix; give one sink all the kinds, or each its own file
        x.yaml:4:38 records.sinks[1].queue_bytes_max: the queue's size is out of range; choose 256KiB to 256MiB
        x.yaml:5:21 records.sinks[2].to.file: the path is empty; name a file, such as access.log
        x.yaml:7:13 records.sinks[4].to: ./a is a sink already, and lines of two writers would mix; give one sink all the kinds, or each its own file
    "#]],
    );
}
