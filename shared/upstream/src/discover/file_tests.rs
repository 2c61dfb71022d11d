//! Lists in files: what is lawful, what is told, and what a change does while the service runs.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use settings::clock::Clock;
use settings::units::Span;
use telemetry::metrics::Metrics;
use wire::resolver::families::Family;
use wire::tasks::Tasks;

use super::*;
use crate::config::ServiceConfig;
use crate::config::discover::DiscoverConfig;
use crate::discover::generation::Why;
use crate::lookup::{Addresses, Lookup, Targets};
use crate::service::Service;

const LONG: Duration = Duration::from_secs(20);

struct NoNames;

impl Lookup for NoNames {
    async fn addresses(&self, _: &str) -> Result<Addresses, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
    async fn addresses_in(&self, name: &str, _: Family) -> Result<Addresses, LookupFault> {
        self.addresses(name).await
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

/// A folder of its own, and a service whose instances a file in it lists.
struct Bench {
    folder: PathBuf,
    service: Arc<Service>,
    metrics: Metrics,
}

impl Bench {
    fn start(name: &str, fill: impl FnOnce(&Path)) -> Self {
        let folder = std::env::temp_dir().join(format!("upstream-file-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("folder");
        fill(&folder);
        let mut config = ServiceConfig::new(DiscoverConfig::File { path: "orders.yaml".into() });
        config.ttl.min = Span::millis(100);
        let plan = config.check("services.orders", &Files::of(&folder), &mut Report::new()).expect("plan");
        let (tasks, metrics) = (Tasks::on(tokio::runtime::Handle::current()), Metrics::new());
        let service = Service::start(plan, &Arc::new(NoNames), &tasks, &Clock::system(), &metrics);
        Self { folder, service, metrics }
    }

    fn names(&self) -> Vec<String> {
        self.service.endpoints().endpoints().iter().map(|endpoint| endpoint.name().to_owned()).collect()
    }

    /// Swaps the file for another one, as careful writers do.
    fn put(&self, text: &str) {
        std::fs::write(self.folder.join(".new"), text).expect("written");
        std::fs::rename(self.folder.join(".new"), self.folder.join("orders.yaml")).expect("renamed");
    }

    async fn generation(&self, number: u64) {
        assert!(self.service.wait_generation(number, LONG).await, "generation {number} never came");
    }

    async fn failure(&self, code: Option<&str>) {
        let told = async {
            while self.service.snapshot().failure.map(|failure| failure.code) != code {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, told).await.unwrap_or_else(|_| panic!("never told: {code:?}"));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn yaml_and_json_are_read_and_mistakes_are_told_with_their_place() {
    let good = list("orders.yaml", "- 10.0.0.1:80\n- { address: \"[::1]:81\", weight: 3, priority: 10 }\n").expect("yaml");
    assert_eq!(good, list("orders.json", r#"["10.0.0.1:80", {"address": "[::1]:81", "weight": 3, "priority": 10}]"#).expect("json"));
    let told: Vec<_> = good.iter().map(|one| (one.address.to_string(), one.weight, one.priority)).collect();
    assert_eq!(told, [("10.0.0.1:80".to_owned(), 1, 0), ("[::1]:81".to_owned(), 3, 10)]);
    assert_eq!(list("orders.yaml", "[]"), Ok(Vec::new()), "nothing is a list too");
    for (text, said) in [
        ("- orders-1:80\n", r#"orders.yaml:1:3 [0]: "orders-1:80" is no address; write IP:PORT"#),
        ("- 10.0.0.1:80\n- 10.0.0.1:80\n", "orders.yaml:2:3 [1]: 10.0.0.1:80 is listed twice; list each instance once"),
        ("- { address: \"10.0.0.1:0\" }\n", r#"orders.yaml:1:14 [0].address: "10.0.0.1:0" is no address"#),
        ("- { address: \"10.0.0.1:1\", wieght: 3 }\n", "orders.yaml:1:28 [0].wieght: "),
        ("- { address: \"10.0.0.1:1\", weight: 65536 }\n", "orders.yaml:1:36 [0].weight: "),
        ("- { address: \"${HOME}:1\" }\n", "orders.yaml:1:14 [0].address: "),
        ("instances: []\n", "orders.yaml:1:1"),
        ("- [", "orders.yaml:"),
        ("", "orders.yaml:1:1"),
    ] {
        let (fault, complaints) = list("orders.yaml", text).expect_err(text);
        assert_eq!((fault, complaints.len()), (MALFORMED, 1), "{text}: {complaints:?}");
        assert!(complaints[0].starts_with(said), "{text}: {complaints:?}");
    }
}

#[tokio::test]
async fn every_way_of_changing_a_file_is_seen_and_a_broken_one_changes_nothing() {
    let bench =
        Bench::start("changes", |folder| std::fs::write(folder.join("orders.yaml"), "- 10.0.0.1:80\n- 10.0.0.2:80\n").expect("written"));
    bench.generation(1).await;
    assert_eq!(bench.names(), ["10.0.0.1:80", "10.0.0.2:80"]);
    let first = bench.service.endpoints();
    bench.put("- 10.0.0.2:80\n- 10.0.0.3:80\n");
    bench.generation(2).await;
    assert_eq!(bench.names(), ["10.0.0.2:80", "10.0.0.3:80"], "what somebody has written down is meant: nobody is held");
    assert!(first.endpoints()[0].is_gone());

    for (text, code) in [("- 10.0.0.2:80\n- nonsense\n", "malformed"), ("[]", "no-records")] {
        bench.put(text);
        bench.failure(Some(code)).await;
        assert_eq!(bench.names().len(), 2, "{code}");
    }
    std::fs::remove_file(bench.folder.join("orders.yaml")).expect("removed");
    bench.failure(Some("unreadable")).await;
    assert_eq!(bench.names().len(), 2);

    // A folder that is swapped behind a link, as Kubernetes does.
    for (name, text) in [("..1", "[\"10.0.0.4:80\"]"), ("..2", "[\"10.0.0.5:80\"]")] {
        std::fs::create_dir(bench.folder.join(name)).expect("folder");
        std::fs::write(bench.folder.join(name).join("orders.yaml"), text).expect("written");
    }
    symlink("..1", bench.folder.join("..data")).expect("link");
    symlink("..data/orders.yaml", bench.folder.join("orders.yaml")).expect("link");
    bench.generation(3).await;
    bench.failure(None).await;
    assert_eq!(bench.names(), ["10.0.0.4:80"]);
    symlink("..2", bench.folder.join("..new")).expect("link");
    std::fs::rename(bench.folder.join("..new"), bench.folder.join("..data")).expect("renamed");
    bench.generation(4).await;
    assert_eq!(bench.names(), ["10.0.0.5:80"]);
    let newest = bench.service.history().generations[0].clone();
    assert_eq!(
        (newest.why, newest.added.first.clone(), newest.removed.first.clone()),
        (Why::File, vec!["10.0.0.5:80".to_owned()], vec!["10.0.0.4:80".to_owned()])
    );
    let text = bench.metrics.encode();
    for (result, count) in [("malformed", 1), ("unreadable", 1), ("no-records", 1)] {
        let line = format!("gateway_dns_lookups_total{{service=\"orders\",result=\"{result}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_shorter_time_between_two_looks_holds_at_once() {
    let folder = std::env::temp_dir().join(format!("upstream-file-shorter-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("orders.yaml"), "- 10.0.0.1:80\n").expect("written");
    let config = ServiceConfig::new(DiscoverConfig::File { path: "orders.yaml".into() });
    let mut plan = config.check("services.orders", &Files::of(&folder), &mut Report::new()).expect("plan");
    plan.ttl.min = Duration::from_secs(86_400);
    let (tasks, metrics, names) = (Tasks::on(tokio::runtime::Handle::current()), Metrics::new(), Arc::new(NoNames));
    let former = Service::start(plan.clone(), &names, &tasks, &Clock::system(), &metrics);
    assert!(former.wait_generation(1, LONG).await);
    // It rests until tomorrow.
    tokio::task::yield_now().await;
    plan.ttl.min = Duration::from_millis(100);
    let service = Service::after(Some(&former), plan, &names, &tasks, &Clock::system(), &metrics);
    std::fs::write(folder.join(".new"), "- 10.0.0.2:80\n").expect("written");
    std::fs::rename(folder.join(".new"), folder.join("orders.yaml")).expect("renamed");
    let seen = service.wait_generation(2, LONG).await;
    std::fs::remove_dir_all(&folder).expect("removed");
    assert!(seen, "the former time still runs");
}

#[tokio::test]
async fn a_file_that_comes_later_is_read() {
    let bench = Bench::start("later", |_| {});
    bench.failure(Some("unreadable")).await;
    assert_eq!(bench.service.endpoints().generation(), 0);
    bench.put("- 10.0.0.1:80\n");
    bench.generation(1).await;
    assert_eq!(bench.names(), ["10.0.0.1:80"]);
}

#[test]
fn a_file_beyond_the_ceiling_is_not_read() {
    let folder = std::env::temp_dir().join(format!("upstream-file-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("large"), vec![b' '; FILE_BYTES_MAX + 1]).expect("written");
    let (listed, _) = read(&Place { path: folder.join("large"), within: None });
    std::fs::remove_dir_all(&folder).expect("removed");
    let (fault, complaints) = listed.expect_err("it is too large");
    assert!(fault == UNREADABLE && complaints[0].contains("is larger than"), "{complaints:?}");
}

#[test]
fn a_file_of_a_drop_in_is_not_read_where_a_link_leads_out_of_its_folder() {
    let folder = std::env::temp_dir().join(format!("upstream-file-outside-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("team")).expect("folder");
    std::fs::write(folder.join("secret"), "a secret\n").expect("written");
    symlink("../secret", folder.join("team/orders.yaml")).expect("link");
    let place = |within: Option<&str>| Place { path: folder.join("team/orders.yaml"), within: within.map(|name| folder.join(name)) };
    let (outside, _) = read(&place(Some("team")));
    let (inside, _) = read(&place(Some("")));
    std::fs::remove_dir_all(&folder).expect("removed");
    let (fault, complaints) = outside.expect_err("it leads out");
    assert!(fault == UNREADABLE && complaints.len() == 1 && !complaints[0].contains("a secret"), "{complaints:?}");
    assert_eq!(inside.expect_err("it is no list").0, MALFORMED);
}
