//! From a file to a plan or to complaints, and the exit codes of the commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what surprises a test must end it")]

mod rig;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use host::address::Address;
use host::config::{AdminConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, ReloadConfig, TrustRootsConfig, UpgradeConfig};
use host::limits_config::LimitsConfig;
use host::plan::{HostPlan, HostSections};
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use telemetry::logs::LogsConfig;
use telemetry::record::config::RecordsConfig;
use telemetry::traces::config::TracesConfig;
use wire::body::Body;
use wire::connection::Connection;

use crate::rig::{Folder, Pem};

/// A file with nothing in it but what is the host's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "bare")]
    name: String,
    #[serde(default)]
    workers: Option<u32>,
    #[serde(default)]
    listen: Vec<ListenConfig>,
    admin: AdminConfig,
    #[serde(default)]
    drain: DrainConfig,
    #[serde(default)]
    upgrade: UpgradeConfig,
    #[serde(default)]
    reload: ReloadConfig,
    #[serde(default)]
    limits: LimitsConfig,
    #[serde(default)]
    logs: LogsConfig,
    #[serde(default)]
    records: RecordsConfig,
    #[serde(default)]
    traces: TracesConfig,
    #[serde(default)]
    dns: DnsConfig,
    #[serde(default)]
    roots: TrustRootsConfig,
    #[serde(default)]
    fetch: FetchConfig,
}

fn bare() -> String {
    "bare".to_owned()
}

struct Bare;

impl Tier for Bare {
    const NAME: &'static str = "bare";
    type Config = Config;
    type Plan = ();
    type Worker = ();

    fn check(config: Config, files: &Files, _: Option<&()>, report: &mut Report) -> Option<Checked<Self>> {
        let Config { name, workers, listen, admin, drain, upgrade, reload, limits, logs, records, traces, dns, roots, fetch } = config;
        let sections =
            HostSections { name, workers, listen, admin, drain, upgrade, reload, limits, logs, records, traces, dns, roots, fetch };
        HostPlan::check(sections, files, report).map(|host| Checked { host, tier: (), aside: Vec::new() })
    }

    async fn start(_: Arc<()>, _: Option<Arc<Self>>, _: Control) -> Result<Arc<Self>, BootError> {
        Ok(Arc::new(Self))
    }

    fn worker(self: &Arc<Self>, _: Seat, _: Option<&Rc<()>>) {}

    fn serve(_: &Rc<()>, _: &Rc<Connection>, _: Request<Incoming>) -> impl Future<Output = Response<Body>> + 'static {
        std::future::ready(Response::new(Body::Empty))
    }

    fn readiness(&self) -> Vec<Health> {
        Vec::new()
    }
}

fn check(text: &str, base: &Path) -> (Option<HostPlan>, Vec<String>) {
    let mut report = Report::new();
    let config = settings::read::read::<Config>("bare.yaml", text, &|_| None, &mut report);
    let plan = config.and_then(|config| Bare::check(config, &Files::of(base), None, &mut report));
    let complaints = report.complaints().iter().map(|one| format!("{}:{} {}: {}; {}", one.line, one.column, one.key, one.what, one.remedy));
    (plan.map(|plan| plan.host), complaints.collect())
}

/// Exactly these complaints: each with its line, its key and a word of its text.
fn complains(text: &str, expected: &[(u32, &str, &str)]) {
    let (_, complaints) = check(text, Path::new("/nonexistent"));
    assert_eq!(complaints.len(), expected.len(), "{complaints:#?}");
    for (complaint, (line, key, word)) in complaints.iter().zip(expected) {
        let lies_there = complaint.starts_with(&format!("{line}:")) && complaint.contains(&format!(" {key}: "));
        assert!(lies_there && complaint.contains(word), "{complaint}\nis not about line {line}, {key}, {word}");
    }
}

#[test]
fn a_whole_file_becomes_a_plan() {
    let folder = Folder::new();
    let pem = Pem::new();
    std::fs::write(folder.0.join("server.pem"), &pem.chain).unwrap();
    std::fs::write(folder.0.join("server.key"), &pem.key).unwrap();
    let text = r#"
workers: 3
listen:
  - { name: https, address: "127.0.0.1:8443", tls: { certificates: [ { chain: server.pem, key: server.key } ], minimum: 1.3, clients: { ca: server.pem, peers: ["dns:security-gw.demo"] } } }
  - { name: redirect, address: "[::1]:8080", redirect_to: "https://localhost:8443/" }
  - { name: link, address: "unix:link.sock", unix: { mode: "0620", uids: [1000] } }
admin: { address: "127.0.0.1:9901" }
drain: { wait: 0s, deadline: 45s }
limits: { idle: 2m, head_bytes_max: 16KiB, connections_max: 500 }
dns: { servers: ["127.0.0.1:9553"] }
roots: { ca_file: server.pem }
"#;
    let (plan, complaints) = check(text, &folder.0);
    assert!(complaints.is_empty(), "{complaints:#?}");
    let plan = plan.unwrap();
    assert_eq!(plan.workers, 3);
    assert_eq!(plan.drain.deadline, Duration::from_secs(45));
    assert_eq!((plan.limits.idle, plan.limits.head_bytes_max, plan.limits.connections_max), (Duration::from_secs(120), 16 * 1024, 500));
    let [https, redirect, link] = plan.listeners.as_slice() else { panic!("three listeners") };
    assert!(https.tls.as_ref().unwrap().serves("localhost"));
    assert_eq!(redirect.redirect_to.as_deref(), Some("https://localhost:8443"));
    assert_eq!(link.address, Address::Unix(folder.0.join("link.sock")));
    assert_eq!((link.mode, link.uids.as_slice()), (0o620, [1000].as_slice()));
    assert!(plan.listeners.iter().all(|listener| !listener.is_plaintext()));
}

#[test]
fn every_mistake_is_told_at_once() {
    complains(
        r#"
workers: 0
listen:
  - { name: https, address: "127.0.0.1:8443" }
  - { name: "bad name", address: "localhost:1", redirect_to: "https://x/path" }
  - { name: link, address: "unix:link.sock" }
  - { name: nobody, address: "unix:b.sock", unix: { mode: "9", uids: [65534] } }
  - { name: mixed, address: "127.0.0.1:2", allow_plaintext: true, unix: { uids: [1] } }
admin: { address: "0.0.0.0:9901" }
limits: { connections_max: 0, head_bytes_max: 2MiB }
roots: { ca_file: absent.pem }
"#,
        &[
            (2, "workers", "0 workers"),
            (4, "listen[0]", "without TLS"),
            (5, "listen[1].name", "bad name"),
            (5, "listen[1].address", "localhost:1"),
            (5, "listen[1].redirect_to", "no origin"),
            (6, "listen[2].unix", "who may connect"),
            (7, "listen[3].unix.mode", "octal"),
            (7, "listen[3].unix.uids", "proves nobody"),
            (8, "listen[4].unix", "no user ids"),
            (9, "admin.address", "other hosts"),
            (10, "limits.connections_max", "let nothing through"),
            (10, "limits.head_bytes_max", "attack"),
            (11, "roots.ca_file", "absent.pem"),
        ],
    );
}

#[test]
fn a_name_stands_in_traces_and_assertions() {
    for name in ["\"\"", "two words", "\u{e9}t\u{e9}"] {
        let text = format!(
            "name: {name}\nadmin: {{ address: \"127.0.0.1:0\" }}\nlisten: [ {{ name: a, address: \"127.0.0.1:0\", allow_plaintext: true }} ]\n"
        );
        complains(&text, &[(1, "name", "cannot be empty or hold spaces")]);
    }
}

#[test]
fn names_and_addresses_are_taken_once() {
    complains(
        "listen:\n  - { name: a, address: \"127.0.0.1:1\", allow_plaintext: true }\n  - { name: a, address: \"127.0.0.1:1\", allow_plaintext: true }\n  - { name: admin, address: \"127.0.0.1:0\", allow_plaintext: true }\nadmin: { address: \"127.0.0.1:0\" }\n",
        &[
            (3, "listen[1].name", "is taken by listen[0]"),
            (3, "listen[1].address", "is bound by listen[0]"),
            (4, "listen[2].name", "is taken by the operator's door"),
        ],
    );
}

#[test]
fn the_operators_door_has_users_on_a_socket_alone() {
    let with = |admin: &str| format!("listen: [ {{ name: a, address: \"127.0.0.1:0\", allow_plaintext: true }} ]\nadmin: {admin}\n");
    complains(&with("{ address: \"127.0.0.1:0\", unix: { uids: [0] } }"), &[(2, "admin.unix", "has no user ids")]);
    complains(&with("{ address: \"unix:admin.sock\", unix: { uids: [] } }"), &[(2, "admin.unix.uids", "no user may connect")]);
}

#[test]
fn clients_that_cannot_be_checked_do_not_become_anybody() {
    let folder = Folder::new();
    let pem = Pem::new();
    std::fs::write(folder.0.join("server.pem"), &pem.chain).unwrap();
    std::fs::write(folder.0.join("server.key"), &pem.key).unwrap();
    for clients in
        ["{ ca: absent.pem, peers: [\"dns:a.demo\"] }", "{ ca: server.pem, peers: [] }", "{ ca: server.pem, peers: [\"a.demo\"] }"]
    {
        let text = format!(
            "listen: [ {{ name: a, address: \"127.0.0.1:1\", tls: {{ certificates: [ {{ chain: server.pem, key: server.key }} ], clients: {clients} }} }} ]\nadmin: {{ address: \"127.0.0.1:0\" }}\n"
        );
        let (plan, complaints) = check(&text, &folder.0);
        assert!(plan.is_none() && complaints.len() == 1, "{clients}: {complaints:#?}");
    }
}

fn run(args: &[&str]) -> ExitCode {
    host::run::<Bare>(std::iter::once("bare").chain(args.iter().copied()).map(OsString::from))
}

#[test]
fn the_commands_end_with_their_codes() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file(
        "good.yaml",
        "listen: [ { name: a, address: \"127.0.0.1:0\", allow_plaintext: true } ]\nadmin: { address: \"unix:nobody.sock\" }\n",
    );
    let bad = file(
        "bad.yaml",
        "listen: [ { name: a, address: \"127.0.0.1:0\", allow_plain: true } ]\nadmin: { address: \"127.0.0.1:0\" }\nworkers: many\n",
    );
    assert_eq!(run(&["check", "--config", &good]), ExitCode::SUCCESS);
    assert_eq!(run(&["schema"]), ExitCode::SUCCESS);
    assert_eq!(run(&["--version"]), ExitCode::SUCCESS);
    assert_eq!(run(&["health", "--config", &good]), ExitCode::from(1), "nobody listens there");
    assert_eq!(run(&["check"]), ExitCode::from(64));
    assert_eq!(run(&["serve", "--config", &good]), ExitCode::from(64));
    assert_eq!(run(&["check", "--config", &bad]), ExitCode::from(78));
    assert_eq!(run(&["--config", &bad]), ExitCode::from(78), "a file with complaints is never served by");
    assert_eq!(run(&["check", "--config", "/nonexistent/bare.yaml"]), ExitCode::from(78));
}

#[test]
fn health_tells_what_a_running_process_says() {
    let process = rig::Process::start(rig::Wish {
        drain: DrainConfig { wait: settings::units::Span::secs(600), ..DrainConfig::default() },
        ..rig::Wish::default()
    });
    let address = Address::Tcp(process.admin);
    assert!(host::health::ask(&address).unwrap().ready);
    process.ask_to_leave();
    process.wait_until("/readyz", |status, _| status == 503);
    let answer = host::health::ask(&address).unwrap();
    assert!(!answer.ready && answer.body.contains("draining"), "{answer:?}");
    process.stop();
}
