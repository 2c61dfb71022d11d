//! Never lose a request to a newer configuration: what is hot, what triggers a reload, and what a broken file changes (nothing).

use std::fs;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use gwctl::stage::certificates::Purpose;
use gwctl::stage::link_key::LinkKey;
use http::Request;
use http_body_util::Full;
use tests::rig::Rig;
use tests::rig::client::{Line, Version, handshake};
use tests::rig::process::Process;
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

/// A scene in which nothing is reloaded unless the test asks for it.
fn quiet() -> Scene {
    Scene::default().security("drain:", "reload: { watch: null }\ndrain:").routing("drain:", "reload: { watch: null }\ndrain:")
}

/// A scene in which files are looked at often.
fn watching() -> Scene {
    Scene::default().security("drain:", "reload: { watch: 20ms }\ndrain:").routing("drain:", "reload: { watch: 20ms }\ndrain:")
}

fn read(rig: &Rig, file: &str) -> String {
    fs::read_to_string(rig.folder.file(file)).unwrap_or_else(|fault| panic!("{file}: {fault}"))
}

/// Replaces a piece of a file, which must be there.
#[track_caller]
fn edit(rig: &Rig, file: &str, from: &str, to: &str) {
    let text = read(rig, file);
    assert!(text.contains(from), "{file} has no {from}");
    rig.folder.write(file, &text.replace(from, to));
}

/// A connection that lasts, and the requests on it.
struct Lasting {
    runtime: tokio::runtime::Runtime,
    line: Line,
}

impl Lasting {
    fn open(rig: &Rig, version: Version) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let identity = rig.identity();
        let line = runtime.block_on(Line::open(rig.door(), &identity, version)).expect("a connection");
        Self { runtime, line }
    }

    fn go(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.runtime.block_on(self.line.exchange(request)).expect("an answer")
    }
}

/// The leaf that the front door shows.
fn leaf(rig: &Rig) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let identity = rig.identity();
    let stream = runtime.block_on(handshake(rig.door(), &identity, &[b"http/1.1"])).expect("a handshake");
    stream.get_ref().1.peer_certificates().and_then(<[_]>::first).expect("a leaf").to_vec()
}

fn write_leaf(rig: &Rig, purpose: Purpose, dns: &str, name: &str) {
    rig.certificates.leaf(purpose, dns).write(rig.folder.path(), name).expect("written");
}

#[test]
fn routes_rules_services_limits_and_certificates_change_under_connections_that_last() {
    let rig = quiet().raise(&BINARIES);
    let editor = rig.editor();
    let mut h1 = Lasting::open(&rig, Version::H1);
    let mut h2 = Lasting::open(&rig, Version::H2);
    let mut both = |line: &str, expected: &str| {
        h1.go(rig.knock(line).with(&editor).request()).check(expected);
        h2.go(rig.knock(line).with(&editor).h2().request()).check(expected);
    };
    both("GET /orders/1", "200 orders");
    both("GET /late/1", "404 no-route");

    // A route and the service behind it, at tier 2.
    edit(&rig, "routing.yaml", "routes:\n", "routes:\n  - { name: late, path: \"/late/\", service: late, require: {} }\n");
    let late = rig.instances.start(rig.stage(), "late", "late-1", (std::net::Ipv4Addr::LOCALHOST, 0));
    edit(&rig, "routing.yaml", "services:\n", &format!("services:\n  late: {{ discover: {{ kind: static, addresses: [\"{late}\"] }} }}\n"));
    assert_eq!(rig.routing.reload(), 2);
    both("GET /late/1", "200 late");
    both("GET /orders/1", "200 orders");

    // A policy.
    edit(&rig, "routing.yaml", "require: { scopes: [\"orders:read\"] }", "require: { scopes: [\"orders:audit\"] }");
    assert_eq!(rig.routing.reload(), 3);
    both("GET /orders/1", "403 not-permitted");

    // A rule and a limit, at tier 1.
    edit(&rig, "security.yaml", "{ path: \"/\", authenticate: require, issuers: [demo] }", "{ path: \"/orders/\", authenticate: require }");
    edit(&rig, "security.yaml", "drain:", "limits: { body_bytes_max: 10B }\ndrain:");
    assert_eq!(rig.security.reload(), 2);
    both("GET /late/1", "403 no-rule");
    let big = rig.knock("POST /orders/1").with(&editor).body("more than ten bytes");
    big.check("413 body-too-large");

    // A certificate: for new connections the new one, and those that are open go on.
    let before = leaf(&rig);
    write_leaf(&rig, Purpose::Server, "localhost", "server");
    assert_eq!(rig.security.reload(), 3);
    assert_ne!(leaf(&rig), before);
    both("GET /orders/1", "403 not-permitted");
    assert_eq!(rig.security.metric("gateway_config_generation"), 3.0);
    assert_eq!(rig.security.metric("gateway_config_reloads_total{outcome=\"adopted\"}"), 2.0);
    assert_eq!(rig.security.post("/reload").1["outcome"], "unchanged");
    assert!(rig.security.log().contains("asked to reload at the admin door"), "{}", rig.security.log());
    assert!(rig.security.log().contains(&format!("pid {}", std::process::id())), "the log names the peer");
}

#[test]
fn a_request_in_flight_finishes_by_the_generation_that_it_began_with() {
    let rig = quiet().raise(&BINARIES);
    let editor = rig.editor();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| Lasting::open(&rig, Version::H1).go(rig.knock("GET /users/1?delay_ms=1500").with(&editor).request()));
        until("it is under way", || (rig.routing.metric("gateway_requests_in_flight") >= 1.0).then_some(()));
        edit(&rig, "routing.yaml", "  - { name: read-users", "  - { name: read-nobody");
        edit(&rig, "routing.yaml", "path: \"/users/{id}\"", "path: \"/nobody/{id}\"");
        rig.routing.reload();
        edit(
            &rig,
            "security.yaml",
            "{ path: \"/\", authenticate: require, issuers: [demo] }",
            "{ path: \"/nobody/\", authenticate: require }",
        );
        rig.security.reload();
        rig.knock("GET /users/1").with(&editor).check("403 no-rule");
        rig.knock("GET /nobody/1").with(&editor).check("200 users");
        slow.join().expect("the client").check("200 users");
    });
}

#[test]
fn every_trigger_reloads() {
    let rig = watching().raise(&BINARIES);
    let editor = rig.editor();
    let path = |from: &str, to: &str| read(&rig, "routing.yaml").replace(&format!("path: \"/{from}/\""), &format!("path: \"/{to}/\""));
    rig.knock("GET /public/1").check("200 orders");

    // A file that is renamed over it, as editors and configuration management do.
    rig.folder.write("new", &path("public", "renamed"));
    fs::rename(rig.folder.file("new"), rig.folder.file("routing.yaml")).expect("renamed");
    rig.routing.wait_generation(2);
    rig.knock("GET /renamed/1").with(&editor).check("200 orders");

    // A link whose folder is swapped, as Kubernetes does.
    for (folder, to) in [("..1", "renamed"), ("..2", "swapped")] {
        fs::create_dir(rig.folder.file(folder)).expect("a folder");
        rig.folder.write(&format!("{folder}/routing.yaml"), &path("renamed", to));
    }
    symlink("..1", rig.folder.file("..data")).expect("a link");
    symlink("..data/routing.yaml", rig.folder.file("link")).expect("a link");
    fs::rename(rig.folder.file("link"), rig.folder.file("routing.yaml")).expect("renamed");
    symlink("..2", rig.folder.file("..new")).expect("a link");
    fs::rename(rig.folder.file("..new"), rig.folder.file("..data")).expect("renamed");
    rig.routing.wait_generation(3);
    rig.knock("GET /swapped/1").with(&editor).check("200 orders");
    assert!(rig.routing.log().contains("routing.yaml has changed"), "{}", rig.routing.log());

    let rig = quiet().raise(&BINARIES);
    let path = |from: &str, to: &str| edit(&rig, "routing.yaml", &format!("path: \"/{from}/\""), &format!("path: \"/{to}/\""));
    path("public", "signalled");
    rig.routing.signal("HUP");
    rig.routing.wait_generation(2);
    rig.knock("GET /signalled/1").with(&rig.editor()).check("200 orders");
    path("signalled", "posted");
    assert_eq!(rig.routing.reload(), 3);
    rig.knock("GET /posted/1").with(&rig.editor()).check("200 orders");
}

/// A file to break, and what must be told of it.
struct Break<'a> {
    file: &'a str,
    /// What takes the place of its whole text; `None` removes it.
    text: Option<String>,
    /// Pieces of the complaint: place and key, what, remedy.
    told: [&'a str; 3],
}

/// Breaks each file in turn: nothing changes but what is said. Mended, it makes a generation.
fn break_each(rig: &Rig, tier: &Process, breaks: Vec<Break<'_>>) {
    for Break { file, text, told } in breaks {
        let good = read(rig, file);
        let generation = tier.generation();
        match &text {
            Some(text) => rig.folder.write(file, text),
            None => fs::remove_file(rig.folder.file(file)).expect("removed"),
        }
        let (status, answer) = tier.post("/reload");
        assert_eq!((status, answer["generation"].as_u64()), (422, Some(generation)), "{file}: {answer}");
        let complaint = answer["complaints"][0].as_str().expect("a complaint").to_owned();
        assert!(told.iter().all(|piece| complaint.contains(piece)), "{file}: {complaint}\nshould say {told:?}");
        assert!(complaint.contains(".yaml:"), "{complaint} names the configuration's own line");
        let ready = tier.ask("/readyz").expect("a page");
        assert!(
            ready.0 == 200 && ready.1.contains(&format!("generation {generation} serves, for the last reload was refused")),
            "{ready:?}"
        );
        assert_eq!(tier.metric("gateway_config_reload_failed"), 1.0);
        let quoted = serde_json::to_string(&complaint).expect("text");
        assert!(tier.log().contains(&quoted), "{complaint} stands in the log:\n{}", tier.log());
        rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
        // Put right, and a little different, so that it is another generation.
        rig.folder.write(file, &format!("{good}\n"));
        assert_eq!(tier.reload(), generation + 1, "{file} is put right");
        assert_eq!(tier.metric("gateway_config_reload_failed"), 0.0);
        rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    }
}

#[test]
fn a_broken_file_at_every_source_of_tier_one_leaves_the_old_generation() {
    let rig = quiet()
        .security("keys: { discovery: true }, allow_http: true", "keys: { jwks_file: issuer.jwks.json }")
        .security("issuer: \"{issuer}\"", "issuer: \"https://issuer.example\"")
        .security("trust:", "roots: { ca_file: roots.pem }\ntrust:")
        .security("rules:\n", "rules:\n  - { path: \"/orders/\", authenticate: anonymous }\n")
        .routing("require: { scopes: [\"orders:read\"] }", "public: true");
    let rig = rig.raise_after(&BINARIES, |folder, ca| {
        let key = gwctl::stage::token_key::TokenKey::new().expect("a key");
        folder.write("issuer.jwks.json", &serde_json::json!({ "keys": [key.jwk()] }).to_string());
        folder.write("roots.pem", ca);
    });
    let yaml = read(&rig, "security.yaml");
    let other = rig.certificates.leaf(Purpose::Server, "localhost");
    let of = |file, text: &str, told| Break { file, text: Some(text.to_owned()), told };
    let gone = |file, told| Break { file, text: None, told };
    break_each(
        &rig,
        &rig.security,
        vec![
            of("security.yaml", &yaml.replace("rules:\n", "rules: [\n"), ["security.yaml:", "", ""]),
            of("security.yaml", &yaml.replace("rules:\n", "rulez: 1\nrules:\n"), ["rulez", "unknown key", "did you mean \"rules\"?"]),
            of("security.yaml", &yaml.replace("wait: 200ms", "wait: soon"), ["drain.wait", "soon", "write"]),
            of(
                "server.pem",
                "nonsense",
                ["listen[0].tls.certificates[0].chain", "server.pem: there is no certificate", "put certificates into it"],
            ),
            of(
                "server.key",
                "nonsense",
                ["listen[0].tls.certificates[0].key", "server.key: there is no private key", "put the unencrypted key"],
            ),
            of("server.key", other.key_pem(), ["listen[0].tls.certificates[0].key", "does not belong to the certificate", "name the key"]),
            gone("ca.pem", ["link.tls.ca", "ca.pem", "check the path"]),
            of(
                "security-gw.pem",
                "nonsense",
                ["link.tls.certificate", "security-gw.pem: there is no certificate", "put certificates into it"],
            ),
            of("security-gw.key", other.key_pem(), ["link.tls.key", "does not belong to the certificate", "name the key"]),
            of("link.pem", "nonsense", ["link.signing_key.file", "link.pem", "gwctl keys new"]),
            of("issuer.jwks.json", "{", ["issuers.demo.keys.jwks_file", "JSON", "name a readable JSON Web Key Set"]),
            gone("issuer.jwks.json", ["issuers.demo.keys.jwks_file", "issuer.jwks.json cannot be read", "name a readable"]),
            of("roots.pem", "nonsense", ["roots.ca_file", "roots.pem: there is no certificate", "put certificates into it"]),
        ],
    );
}

#[test]
fn a_broken_file_at_every_source_of_tier_two_leaves_the_old_generation() {
    let rig = quiet().raise(&BINARIES);
    let yaml = read(&rig, "routing.yaml");
    let of = |file, text: &str, told| Break { file, text: Some(text.to_owned()), told };
    let gone = |file, told| Break { file, text: None, told };
    break_each(
        &rig,
        &rig.routing,
        vec![
            of("routing.yaml", &yaml.replace("routes:\n", "routes: {\n"), ["routing.yaml:", "", ""]),
            of(
                "routing.yaml",
                &yaml.replace("public: true", "pubic: true"),
                ["routes[3].pubic", "unknown key", "did you mean \"public\"?"],
            ),
            of(
                "routing.yaml",
                &yaml.replace("service: users, require", "service: usres, require"),
                ["routes[2].service", "usres", "\"users\"?"],
            ),
            of("routing.yaml", &yaml.replace("max: 1s", "max: 1"), ["services.orders.ttl.max", "1", "write"]),
            of("link.jwks.json", "{ broken", ["vouch.jwks", "link.jwks.json", "gwctl keys new"]),
            gone("link.jwks.json", ["vouch.jwks", "link.jwks.json cannot be read", "gwctl keys new"]),
            of("ca.pem", "nonsense", ["listen[0].tls.clients.ca", "ca.pem: there is no certificate", "put certificates into it"]),
            gone("routing-gw.key", ["listen[0].tls.certificates[0].key", "routing-gw.key", "check the path"]),
        ],
    );
    // The file itself, gone: nobody can say a line of it.
    fs::rename(rig.folder.file("routing.yaml"), rig.folder.file("away")).expect("renamed");
    let (status, answer) = rig.routing.post("/reload");
    assert!(status == 422 && answer["complaints"][0].as_str().is_some_and(|told| told.contains("routing.yaml cannot be read")), "{answer}");
    fs::rename(rig.folder.file("away"), rig.folder.file("routing.yaml")).expect("renamed");
    assert_eq!(rig.routing.post("/reload").1["outcome"], "unchanged", "it is what serves");
}

#[test]
fn a_file_that_is_mended_is_taken_by_the_next_look() {
    let rig = watching().raise(&BINARIES);
    let good = read(&rig, "link.jwks.json");
    fs::remove_file(rig.folder.file("link.jwks.json")).expect("removed");
    until("that is told", || (rig.routing.metric("gateway_config_reload_failed") > 0.0).then_some(()));
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    rig.folder.write("link.jwks.json", &good);
    until("all is well", || (rig.routing.metric("gateway_config_reload_failed") < 1.0).then_some(()));
    assert_eq!(rig.routing.generation(), 1, "it is what serves");
    let other = LinkKey::new(Some("link-2")).expect("a key");
    rig.folder.write("link.jwks.json", &other.jwks().expect("keys"));
    rig.routing.wait_generation(2);
    rig.knock("GET /orders/1").with(&rig.editor()).check("403 assertion-key-unknown");
}

#[test]
fn what_cannot_change_while_the_process_runs_says_both_values() {
    let rig = quiet().raise(&BINARIES);
    let good = read(&rig, "security.yaml");
    let dns = good.split("servers: [").nth(1).and_then(|rest| rest.split(']').next()).expect("the servers");
    for (from, to, told) in [
        ("workers: 2", "workers: 3", ["workers: the running process has 2, the file says 3", "security.yaml:2:10"]),
        (
            "name: redirect",
            "name: elsewhere",
            ["listen: the running process has the listeners https, redirect, the file says https, elsewhere", ":3"],
        ),
        (
            "{ name: https, address: \"127.0.0.1:0\"",
            "{ name: https, address: \"127.0.0.1:1\"",
            ["listen[0].address: the running process has 127.0.0.1:0, the file says 127.0.0.1:1", ":4:"],
        ),
        (
            "admin: { address: \"unix:s.sock\" }",
            "admin: { address: \"unix:t.sock\" }",
            ["admin.address: the running process has unix:", "t.sock, and"],
        ),
        ("\nlisten:", "\nname: other-gw\nlisten:", ["name: the running process has security-gw, the file says other-gw", "3:7"]),
        (dns, "\"127.0.0.1:53\"", ["dns.servers: the running process has [\"127.0.0.1:", "the file says [\"127.0.0.1:53\"]"]),
        (
            "drain:",
            "logs: { level: debug }\ndrain:",
            ["logs: the running process has its default, the file says {\"level\":\"debug\"}", ""],
        ),
        ("drain:", "traces: { ratio: 0.5 }\ndrain:", ["traces: the running process has its default, the file says {\"ratio\":0.5}", ""]),
        ("file: access.log", "file: other.log", ["records.sinks: the running process has", "other.log"]),
    ] {
        assert!(good.contains(from), "{from}");
        rig.folder.write("security.yaml", &good.replace(from, to));
        let (status, answer) = rig.security.post("/reload");
        let complaint = answer["complaints"][0].as_str().unwrap_or_else(|| panic!("{to}: {answer}"));
        assert_eq!(status, 422, "{to}: {answer}");
        assert!(told.iter().all(|piece| complaint.contains(piece)), "{complaint}\nshould say {told:?}");
        assert!(complaint.contains("restart the process, or run `gwctl upgrade`"), "{complaint}");
        assert_eq!(answer["complaints"].as_array().map(Vec::len), Some(1), "{answer}");
    }
    rig.folder.write("security.yaml", &good);
    assert_eq!(rig.security.post("/reload").1["outcome"], "unchanged");
    assert_eq!(rig.security.generation(), 1);
}

const TEAM: &str = r#"
services:
  billing: { discover: { kind: static, addresses: ["{billing}"] } }
routes:
  - { name: billing, path: "/billing/", service: billing, require: {} }
  - { name: billing-orders, path: "/billing/orders", service: orders, require: {} }
"#;

/// Tier 2 with two drop-ins, `billing.yaml` and `zoo.yaml`.
fn with_teams() -> (Rig, String) {
    let scene = watching().routing("drain:", "drop_ins: routes.d\ndrain:");
    let rig = scene.raise_after(&BINARIES, |folder, _| {
        fs::create_dir(folder.file("routes.d")).expect("a folder");
        folder.write("routes.d/zoo.yaml", "routes: [ { name: zoo, path: \"/zoo/\", service: users, require: {} } ]\n");
        // Neither counts.
        folder.write("routes.d/.hidden.yaml", "nonsense: 1\n");
        folder.write("routes.d/notes.txt", "nonsense\n");
    });
    let billing = rig.instances.start(rig.stage(), "billing", "billing-1", (std::net::Ipv4Addr::LOCALHOST, 0));
    (rig, TEAM.replace("{billing}", &billing.to_string()))
}

fn ready(tier: &Process) -> String {
    let (status, page) = tier.ask("/readyz").expect("a page");
    assert_eq!(status, 200, "{page}");
    page
}

#[test]
fn a_bad_drop_in_is_set_aside_and_the_rest_loads() {
    let (rig, team) = with_teams();
    let editor = rig.editor();
    let says = |line: &str, expected: &str| drop(rig.knock(line).with(&editor).check(expected));
    let aside = || rig.routing.metric("gateway_config_drop_ins_set_aside");
    says("GET /zoo/1", "200 users");
    rig.folder.write("routes.d/billing.yaml", &team);
    rig.routing.wait_generation(2);
    says("GET /billing/1", "200 billing");
    says("GET /billing/orders", "200 orders");

    // Broken: what served of it goes on, beside everything else that is new.
    rig.folder.write("routes.d/billing.yaml", &team.replace("service: orders", "service: oders"));
    rig.folder.write("routes.d/zoo.yaml", "routes: [ { name: zoo, path: \"/animals/\", service: users, require: {} } ]\n");
    rig.routing.wait_generation(3);
    until("it is an alarm", || (aside() > 0.0).then_some(()));
    until("the other one is taken", || (rig.knock("GET /animals/1").with(&editor).go().says() == "200 users").then_some(()));
    says("GET /billing/1", "200 billing");
    says("GET /billing/orders", "200 orders");
    let page = ready(&rig.routing);
    assert!(page.contains("drop-in billing.yaml") && page.contains("its former version stays in use"), "{page}");
    let complaint = "routes.d/billing.yaml:6:63 routes[1].service: no service is named \\\"oders\\\"; did you mean \\\"orders\\\"?";
    assert!(page.contains(complaint), "{page}");
    assert!(rig.routing.log().contains("a part of the configuration was set aside"), "{}", rig.routing.log());

    // What fits no more is not served: the main file has taken its path.
    edit(&rig, "routing.yaml", "routes:\n", "routes:\n  - { name: taken, path: \"/billing/\", service: users, require: {} }\n");
    until("the main file goes first", || (rig.knock("GET /billing/1").with(&editor).go().says() == "200 users").then_some(()));
    until("that is told", || ready(&rig.routing).contains("its routes are not served").then_some(()));
    says("GET /billing/orders", "200 users");

    // Mended by its team, and by nobody else.
    rig.folder.write("routes.d/billing.yaml", &team.replace("\"/billing/", "\"/bills/"));
    until("all is well", || (aside() < 1.0).then_some(()));
    says("GET /bills/1", "200 billing");
    assert!(!ready(&rig.routing).contains("drop-in"));

    // Taken out, it is gone without an alarm.
    fs::remove_file(rig.folder.file("routes.d/billing.yaml")).expect("removed");
    until("it is gone", || (rig.knock("GET /bills/1").with(&editor).go().says() == "404 no-route").then_some(()));
    assert!(aside() < 1.0);
}

#[test]
fn a_drop_in_takes_nothing_from_others_and_a_start_does_not_fail_for_it() {
    let (rig, team) = with_teams();
    rig.folder.write("routes.d/billing.yaml", &team);
    for (name, text, told) in [
        (
            "c1.yaml",
            "services: { orders: { discover: { kind: static, addresses: [\"127.0.0.1:1\"] } } }",
            "the main file has a service \"orders\" too",
        ),
        (
            "c2.yaml",
            "routes: [ { name: zoo2, path: \"/zoo/\", service: users, require: {}, hosts: [a] }, { name: c2, path: \"/c2\", service: billing, require: {} } ]",
            "no service is named \"billing\"",
        ),
        (
            "c3.yaml",
            "routes: [ { name: billing, path: \"/c3\", service: users, require: {} } ]",
            "billing.yaml has a route \"billing\" too",
        ),
        (
            "c4.yaml",
            "routes: [ { name: c4, path: \"/orders/{number}\", methods: [GET], service: users, public: true } ]",
            "fit \"read-orders\" in the main file too",
        ),
        ("c5.yaml", "routes: [ { name: c5, path: \"/c5\", service: users } ]", "has no policy"),
        ("c6.yaml", "admin: { address: \"0.0.0.0:1\" }", "unknown key \"admin\""),
        ("c7.yaml", "routes: [", "c7.yaml:1:"),
        (
            "c8.yaml",
            "services: { c8: { discover: { kind: dns, name: users.demo, port: 1 }, tls: { ca: absent.pem } } }",
            "routes.d/absent.pem",
        ),
    ] {
        rig.folder.write(&format!("routes.d/{name}"), text);
        let output = std::process::Command::new(BINARIES.routing).args(["check", "--config"]).arg(rig.folder.file("routing.yaml")).output();
        let output = output.expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(78), "{name}: {said}");
        assert!(said.contains(name) && said.contains(told), "{name}: {said}");
        fs::rename(rig.folder.file(&format!("routes.d/{name}")), rig.folder.file(name)).expect("set aside by hand");
    }
    // At a start with one of them the process serves all the rest.
    fs::rename(rig.folder.file("c4.yaml"), rig.folder.file("routes.d/c4.yaml")).expect("put back");
    fs::write(
        rig.folder.file("again.yaml"),
        read(&rig, "routing.yaml").replace("r.sock", "again.sock").replace("routing.events", "again.events"),
    )
    .expect("written");
    let again = Process::start("again", BINARIES.routing, &rig.folder.file("again.yaml"), &rig.folder.file("again.sock"));
    assert_eq!(again.metric("gateway_config_drop_ins_set_aside"), 1.0);
    assert!(ready(&again).contains("drop-in c4.yaml") && again.log().contains("in the main file too"), "{}", again.log());
    // A folder that is no folder is a mistake of the main file.
    fs::rename(rig.folder.file("routes.d"), rig.folder.file("away")).expect("renamed");
    until("that is refused", || {
        let (_, page) = rig.routing.ask("/readyz")?;
        (page.contains("routing.yaml:") && page.contains("drop_ins: ") && page.contains("cannot be listed")).then_some(())
    });
    rig.knock("GET /zoo/1").with(&rig.editor()).check("200 users");
}

/// One configuration or the other: routes, a service and a rule differ, and a certificate.
fn alternate(rig: &Rig, texts: &[(String, String)], leaves: &[(String, String)], turn: usize) {
    let (security, routing) = &texts[turn % 2];
    let (chain, key) = &leaves[turn % 2];
    for (name, text) in [("security.yaml", security), ("routing.yaml", routing), ("server.pem", chain), ("server.key", key)] {
        rig.folder.write(name, text);
    }
    rig.security.reload();
    rig.routing.reload();
}

#[test]
fn a_thousand_reloads_leave_memory_descriptors_and_threads_where_they_were() {
    const RELOADS: usize = 1_000;
    const WARM_UP: usize = 100;
    /// What allocators keep for themselves, and what a few requests in between leave in caches.
    const SLACK_BYTES: u64 = 4 * 1024 * 1024;
    /// Connections that workers keep to the link and to instances: which worker has which is chance.
    const SLACK_DESCRIPTORS: usize = 10;
    /// Threads for blocking work, which end when they have rested.
    const SLACK_THREADS: usize = 2;
    let rig = quiet().raise(&BINARIES);
    let editor = rig.editor();
    let leaf = || {
        let leaf = rig.certificates.leaf(Purpose::Server, "localhost");
        (leaf.chain_pem().to_owned(), leaf.key_pem().to_owned())
    };
    let leaves = [leaf(), leaf()];
    let users = read(&rig, "routing.yaml");
    let port = users.split("name: users.demo, port: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("the port").to_owned();
    let texts = [(read(&rig, "security.yaml"), users.clone()), {
        let security = read(&rig, "security.yaml")
            .replace("- { path: \"/public/\", authenticate: anonymous }", "- { path: \"/open/\", authenticate: anonymous }");
        let routing = users
            .replace("path: \"/public/\"", "path: \"/open/\"")
            .replace("balance: round_robin", "timeouts: { idle: 30s }")
            .replace("services:\n", &format!("services:\n  extra: {{ discover: {{ kind: dns, name: users.demo, port: {port} }} }}\n"))
            .replace("routes:\n", "routes:\n  - { name: extra, path: \"/extra/\", service: extra, require: {} }\n");
        (security, routing)
    }];
    let mut lasting = Lasting::open(&rig, Version::H2);
    let mut go = |turn: usize| {
        alternate(&rig, &texts, &leaves, turn);
        let (open, shut) = if turn.is_multiple_of(2) { ("/public/1", "/open/1") } else { ("/open/1", "/public/1") };
        if turn % 50 < 2 {
            lasting.go(rig.knock(&format!("GET {open}")).with(&editor).h2().request()).check("200 orders");
            lasting.go(rig.knock(&format!("GET {shut}")).with(&editor).h2().request()).check("404 no-route");
            lasting.go(rig.knock("GET /orders/1").with(&editor).h2().request()).check("200 orders");
        }
    };
    (1..=WARM_UP).for_each(&mut go);
    let before = [&rig.security, &rig.routing].map(|tier| (tier.memory().0, tier.descriptors_and_threads()));
    (WARM_UP + 1..=RELOADS).for_each(&mut go);
    for (tier, (memory, (descriptors, threads))) in [&rig.security, &rig.routing].into_iter().zip(before) {
        let what = format!("{descriptors} descriptors and {threads} threads are no more: {:?}", tier.descriptors_and_threads());
        until(&what, || {
            let (now, tasks) = tier.descriptors_and_threads();
            (now <= descriptors + SLACK_DESCRIPTORS && tasks <= threads + SLACK_THREADS).then_some(())
        });
        let now = tier.memory().0;
        assert!(now <= memory + SLACK_BYTES, "{now} bytes after {RELOADS} reloads, {memory} after {WARM_UP}");
        println!("{memory} bytes before, {now} after; {descriptors} descriptors, {threads} threads");
    }
    assert_eq!(rig.security.generation() as usize, RELOADS + 1);
}
