//! The demo of the README, on shifted ports: it starts, serves, lets parts be killed and started, and ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use tests::rig::client::{Identity, Line, Version};
use tests::rig::folder::Folder;
use tests::rig::reply::Reply;
use tests::rig::wait::until;

use crate::BINARIES;

/// The ports of the demo without an offset; a free offset leaves all of them free.
const PORTS: [u16; 12] = [8080, 8443, 9201, 9202, 9203, 9301, 9400, 9443, 9553, 9901, 9902, 9401];

struct Demo {
    child: Child,
    folder: Folder,
    door: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let folder = Folder::new();
        let first = 1_000 + u16::try_from(std::process::id() % 20_000).expect("it fits");
        let offset = (0..200)
            .map(|turn| first + turn * 97)
            .find(|offset| PORTS.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port + offset)).is_ok()))
            .expect("free ports");
        let mut child = Command::new(BINARIES.gwctl)
            .args(["demo", "--port-offset", &offset.to_string(), "--dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let said = BufReader::new(child.stdout.take().expect("its words"));
        let ready = said.lines().map_while(Result::ok).find(|line| line.starts_with("demo ready: "));
        assert_eq!(ready.as_deref(), Some(format!("demo ready: https://localhost:{}", 8443 + offset).as_str()));
        Self { child, folder, door: (Ipv4Addr::LOCALHOST, 8443 + offset).into() }
    }

    fn get(&self, path: &str, token: Option<&str>) -> Reply {
        let ca_pem = std::fs::read_to_string(self.folder.file("ca.pem")).expect("the authority");
        let identity = Identity { ca_pem, leaf: None, server: "localhost" };
        let mut request = Request::builder().uri(path).header(header::HOST, format!("localhost:{}", self.door.port()));
        if let Some(token) = token {
            let token = std::fs::read_to_string(self.folder.file(token)).expect("the token");
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            Line::open(self.door, &identity, Version::H1).await.expect("a connection").exchange(request).await.expect("an answer")
        })
    }

    fn act(&self, words: &[&str]) -> String {
        let output =
            Command::new(BINARIES.gwctl).arg("demo").args(words).arg("--dir").arg(self.folder.path()).output().expect("gwctl runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn meets(&self, name: &str) {
        until(&format!("{name} is met"), || {
            (self.get("/orders/1", Some("editor.jwt")).check("200 orders").instance() == name).then_some(())
        });
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_does_what_the_readme_says() {
    let mut demo = Demo::start();
    for name in ["orders-1", "orders-2", "orders-3"] {
        demo.meets(name);
    }
    demo.get("/orders/1", Some("reader.jwt")).check("200 orders");
    demo.get("/users/7", Some("editor.jwt")).check("200 users");
    demo.get("/users/7", Some("reader.jwt")).check("403 not-permitted");
    demo.get("/orders/1", Some("expired.jwt")).check("401 token-expired");
    demo.get("/orders/1", None).check("401 no-credentials");

    let token =
        Command::new(BINARIES.gwctl).args(["token", "--user", "editor", "--dir"]).arg(demo.folder.path()).output().expect("gwctl runs");
    demo.folder.write("fresh.jwt", &String::from_utf8(token.stdout).expect("text"));
    demo.get("/orders/1", Some("fresh.jwt")).check("200 orders");

    // A new instance is met once it stands in the zone, and only there.
    let lines = demo.act(&["start", "orders-4"]);
    let zone = std::fs::read_to_string(demo.folder.file("zone")).expect("the zone");
    demo.folder.write("zone", &format!("{zone}\n{lines}"));
    demo.meets("orders-4");

    // A killed instance is missed by nobody, and comes back.
    demo.act(&["kill", "orders-2"]);
    let met: BTreeSet<String> = (0..40).map(|_| demo.get("/orders/1", Some("editor.jwt")).check("200 orders").instance()).collect();
    assert!(!met.contains("orders-2"), "{met:?}");
    demo.act(&["start", "orders-2"]);
    demo.meets("orders-2");

    // A tier that is upgraded is followed: the demo knows who serves, and ends it in the end.
    let pid_of = |name: &str| {
        let pids = std::fs::read_to_string(demo.folder.file("pids")).expect("the pids");
        pids.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned)).unwrap_or_default()
    };
    let former = pid_of("security-gw");
    let upgraded = Command::new(BINARIES.gwctl).args(["upgrade", "--config"]).arg(demo.folder.file("security-gw.yaml")).output();
    let said = String::from_utf8(upgraded.expect("gwctl runs").stdout).expect("text");
    let latter = said.strip_prefix("upgraded: process ").and_then(|rest| rest.split(' ').next()).expect("a process").to_owned();
    assert_ne!(former, latter);
    demo.get("/orders/1", Some("editor.jwt")).check("200 orders");
    until("the demo has noticed", || (pid_of("security-gw") == latter).then_some(()));

    demo.act(&["kill", "dns"]);
    demo.get("/orders/1", Some("editor.jwt")).check("200 orders");

    let told = Command::new("kill").arg(demo.child.id().to_string()).status().expect("kill runs");
    assert!(told.success());
    let ended = until("the demo ends", || demo.child.try_wait().expect("its state"));
    assert!(ended.success(), "{ended}");
    let pids = std::fs::read_to_string(demo.folder.file("pids")).unwrap_or_default();
    for line in pids.lines() {
        let pid = line.rsplit(' ').next().expect("a pid");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{line} is still there");
    }
    let kinds: BTreeSet<String> = demo.folder.lines("access.log").iter().map(|record| record["kind"].to_string()).collect();
    assert_eq!(kinds, BTreeSet::from(["\"request\"".to_owned()]));
}
