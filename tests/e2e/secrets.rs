//! Nothing secret comes out: secrets are planted wherever one can come in, and everything that the tiers say is searched for them.
//!
//! The logs are at their loudest, because whoever looks for a fault turns them up just then. A secret counts as told in whatever form it is found:
//! as it is, in base64, or as the numbers of its bytes, which is how Debug prints them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gwctl::stage::link_key::LinkKey;
use tests::rig::Rig;
use tests::rig::binaries::Binaries;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;

/// What the environment of both tiers holds.
const VARIABLES: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-collector-key-7c1d"),
    ("CANARY_PEER", "canary-variable-41aa.demo"),
    // Libraries of TLS write session keys to this file where somebody has forgotten a debugging aid in them.
    ("SSLKEYLOGFILE", "canary-session-keys"),
];

/// What the tiers sign by.
const SETS: [&str; 2] = ["link-signing.jwks.json", "services-signing.jwks.json"];

#[test]
fn no_output_holds_a_secret() {
    let collector = Collector::start();
    let folder = std::env::temp_dir().join(format!("gw-secrets-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let loud = format!("logs: {{ level: trace }}\ntraces: {{ otlp: {{ endpoint: \"{}\" }}, ratio: 1.0 }}\nworkers: 2", collector.endpoint);
    let binaries = Binaries { security: wrapped(&folder, BINARIES.security), routing: wrapped(&folder, BINARIES.routing), ..BINARIES };
    let scene = Scene::default().security("\nworkers: 2", &format!("\n{loud}")).routing("\nworkers: 2", &format!("\n{loud}"));
    let scene = scene.security("peers: [\"dns:routing-gw.demo\"]", "peers: [\"dns:routing-gw.demo\", \"dns:${CANARY_PEER}\"]");
    // Both tiers sign by sets, whose private members are no PEM.
    let scene = scene
        .security("{ file: link.pem, kid: link-1 }", "{ file: link-signing.jwks.json }")
        .routing("jwks: link.jwks.json", "jwks: trusted.jwks.json")
        .routing("services:\n", "assertions: { signing_key: { file: services-signing.jwks.json } }\nservices:\n")
        .routing("claim_headers: { x-user-role: role } }", "claim_headers: { x-user-role: role }, assert: true }");
    let rig = scene.raise_after(&binaries, |folder, _| {
        let [link, services] = ["link-2", "services-1"].map(|kid| LinkKey::new(Some(kid)).expect("a key"));
        let set = |key: serde_json::Value| serde_json::json!({ "keys": [key] }).to_string();
        folder.write("link-signing.jwks.json", &set(link.private_jwk().expect("a key")));
        folder.write("services-signing.jwks.json", &set(services.private_jwk().expect("a key")));
        folder.write("trusted.jwks.json", &set(link.jwk().expect("a key")));
    });

    let planted = plant(&rig);
    let said = everything_said(&rig, &collector);

    for (whose, text) in &said {
        assert!(!text.is_empty(), "{whose} says nothing, so nothing is proved by searching it");
        // The head of every JWT in base64url; no token of any kind stands anywhere, not even a part of one.
        assert!(!text.contains("eyJ"), "{whose} holds a token: {}", around(text, "eyJ"));
        for (what, secret) in &planted {
            for form in forms(secret) {
                assert!(!text.contains(&form), "{whose} holds {what} as {form:.40}: {}", around(text, &form));
            }
        }
    }
    for name in ["canary-session-keys", "security.yaml.canary-session-keys"] {
        assert!(!rig.folder.file(name).exists() && !Path::new(name).exists(), "session keys were written to {name}");
    }
    fs::remove_dir_all(folder).expect("removed");
}

/// Sends each kind of secret in each way in, and tells what was planted.
fn plant(rig: &Rig) -> Vec<(&'static str, Vec<u8>)> {
    let (editor, expired) = (rig.editor(), rig.token("editor", -3600));
    let mut planted_later: Vec<(&'static str, Vec<u8>)> = Vec::new();
    let mut planted: Vec<(&'static str, Vec<u8>)> = vec![
        ("the signature of a good token", editor.rsplit('.').next().expect("three parts").as_bytes().to_vec()),
        ("the signature of an expired token", expired.rsplit('.').next().expect("three parts").as_bytes().to_vec()),
    ];
    for (_, value) in VARIABLES.iter().take(2) {
        planted.push(("a variable of the environment", value.rsplit('=').next().unwrap_or(value).as_bytes().to_vec()));
    }
    for file in ["link.pem", "server.key", "security-gw.key", "routing-gw.key"] {
        let pem = fs::read_to_string(rig.folder.file(file)).expect("a key");
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).expect("PEM");
        // The first bytes of a key in PKCS#8 are the same in all keys.
        planted.push(("a private key", der[der.len() - 24..].to_vec()));
    }
    for file in SETS {
        let set: serde_json::Value = serde_json::from_slice(&fs::read(rig.folder.file(file)).expect("a set")).expect("JSON");
        let private = set["keys"][0]["d"].as_str().expect("a private half");
        planted.push(("the private half of a key in a set", URL_SAFE_NO_PAD.decode(private).expect("base64url")));
    }
    let mut sow = |what: &'static str, secret: &str| {
        planted.push((what, secret.as_bytes().to_vec()));
        secret.to_owned()
    };

    let introduced = rig.knock("GET /users/7").with(&editor).check("200 users");
    let word = introduced.saw("x-gw-identity").expect("tier 2 signs");
    planted_later.push(("the signature of tier 2's word", word.rsplit('.').next().expect("three parts").as_bytes().to_vec()));
    rig.knock("GET /orders/1")
        .with(&editor)
        .header("cookie", &format!("session={}", sow("a cookie", "canary-cookie-19f2")))
        .check("200 orders");
    rig.knock("GET /orders/1").h2().with(&editor).header("x-api-key", &sow("an API key", "canary-api-key-83be")).check("200 orders");
    rig.knock("POST /orders/1").with(&editor).body(sow("a body", "canary-body-5c70")).check("200 orders");
    rig.knock(&format!("GET /orders/1?access_token={}", sow("a query", "canary-query-2d44"))).with(&editor).check("200 orders");
    rig.knock(&format!("GET /public/1?code={}", sow("a query of an anonymous one", "canary-code-b91e"))).check("200 orders");
    rig.knock("GET /orders/1").with(&expired).check("401 token-expired");
    rig.knock("GET /orders/1").with(&sow("a malformed token", "canary-bearer-66d0")).check("401 credential-malformed");
    let basic = STANDARD.encode(format!("user:{}", sow("a password", "canary-password-e0f1")));
    rig.knock("GET /orders/1").header("authorization", &format!("Basic {basic}")).check("401 credential-malformed");
    planted.push(("a password in base64", basic.as_bytes().to_vec()));
    let mut sow = |what: &'static str, secret: &str| {
        planted.push((what, secret.as_bytes().to_vec()));
        secret.to_owned()
    };
    rig.knock("GET /users/7")
        .with(&rig.reader())
        .header("proxy-authorization", &sow("a proxy's credential", "canary-proxy-7781"))
        .check("403 not-permitted");
    rig.knock("GET /orders/1").header("x-gw-assertion", &sow("a forged assertion", "canary-assertion-a5a5")).check("401 no-credentials");
    rig.knock("GET /orders/..%2f")
        .with(&editor)
        .header("cookie", &sow("a cookie of a refused one", "canary-refused-0b13"))
        .check("400 target-not-canonical");
    rig.instances.kill("users-1");
    rig.instances.kill("users-2");
    rig.knock("GET /users/7")
        .with(&editor)
        .header("cookie", &sow("a cookie of a failed one", "canary-failed-9d2c"))
        .check("502 upstream-connect-failed");
    // Broken files of every kind: complaints quote what they read, and must not quote this.
    let broken = [
        (
            "routing.yaml",
            "\nservices:",
            format!(
                "\nassertionz: {{ client_secret: {} }}\nservices:",
                sow("a secret under a mistaken key of tier 2", "canary-mistake-4488")
            ),
        ),
        ("link-signing.jwks.json", "\"d\":\"", format!("\"d\":\"{}", sow("a part of a broken key", "canaryxbrokenxsetx77"))),
        ("services-signing.jwks.json", "\"d\":\"", format!("\"d\":\"{}", sow("a part of a broken key", "canaryxbrokenxsetx88"))),
        (
            "security.yaml",
            "rules:",
            format!("issuerz: {{ client_secret: {} }}\nrules:", sow("a secret under a mistaken key", "canary-mistake-3377")),
        ),
        (
            "routing-gw.key",
            "-----BEGIN PRIVATE KEY-----",
            format!("-----BEGIN PRIVATE KEY-----\n{}", sow("a line of a broken key", "canaryxbrokenxkeyx55")),
        ),
        (
            "server.key",
            "-----BEGIN PRIVATE KEY-----",
            format!("-----BEGIN PRIVATE KEY-----\n{}", sow("a line of a broken key", "canaryxbrokenxtlsx66")),
        ),
    ];
    for (file, from, to) in broken {
        let good = fs::read_to_string(rig.folder.file(file)).expect("a file");
        assert!(good.contains(from), "{file} has no {from}");
        fs::write(rig.folder.file(file), good.replacen(from, &to, 1)).expect("written");
        let of_tier2 = ["routing.yaml", "services-signing.jwks.json", "routing-gw.key"].contains(&file);
        let (process, binary, yaml) =
            if of_tier2 { (&rig.routing, BINARIES.routing, "routing.yaml") } else { (&rig.security, BINARIES.security, "security.yaml") };
        let (status, answer) = process.post("/reload");
        assert_eq!(status, 422, "{file}: {answer}");
        let mut refused = fs::OpenOptions::new().create(true).append(true).open(rig.folder.file("refused-reload.json")).expect("a file");
        writeln!(refused, "{answer}").expect("written");
        let said = Command::new(binary).args(["check", "--config"]).arg(rig.folder.file(yaml)).envs(VARIABLES).output();
        let said = said.expect("it runs");
        let mut all = fs::OpenOptions::new().create(true).append(true).open(rig.folder.file("check.txt")).expect("a file");
        all.write_all(&said.stdout).and_then(|()| all.write_all(&said.stderr)).expect("written");
        fs::write(rig.folder.file(file), good).expect("written");
    }
    planted.extend(planted_later);
    planted
}

/// All that either tier has said to anybody but those whom it concerns, once everything has been written.
fn everything_said(rig: &Rig, collector: &Collector) -> Vec<(String, String)> {
    // The control: what is no secret is found by the same search.
    let last = rig.knock("GET /orders/canary-control").go();
    assert!(rig.record_of(&last).to_string().contains(forms(b"canary-control").last().expect("as it is")));
    until("spans arrive", || collector.has(b"security-gw").then_some(()));
    until("spans of tier 2 arrive", || collector.has(b"routing-gw").then_some(()));
    let mut said = Vec::new();
    for (tier, process) in [("security", &rig.security), ("routing", &rig.routing)] {
        for page in
            ["/livez", "/readyz", "/metrics", "/config", "/generation", "/services", "/services/orders/history", "/services/link/history"]
        {
            if let Some((_, body)) = process.ask(page).filter(|(status, _)| *status != 404) {
                said.push((format!("{tier} {page}"), body));
            }
        }
    }
    // What ends has written all that it had to say.
    for (tier, process) in [("security", &rig.security), ("routing", &rig.routing)] {
        process.terminate();
        assert!(process.wait().success(), "{}", process.log());
        said.push((format!("the records of {tier}'s connections"), lossy(&rig.folder.file(&format!("{tier}.events.log")))));
        said.push((format!("the log of {tier}"), process.log()));
    }
    for library in ["h2", "hickory"] {
        assert!(rig.security.log().contains(&format!("\"target\":\"{library}")), "{library} is not at its loudest");
    }
    for file in ["access.log", "refused-reload.json", "check.txt"] {
        said.push((file.to_owned(), lossy(&rig.folder.file(file))));
    }
    // The collector is told the headers that it asks for, and nobody else's.
    let exported = collector.bodies();
    said.push(("what the collector was sent".to_owned(), exported));
    for (name, binary) in [("security-gw schema", BINARIES.security), ("routing-gw schema", BINARIES.routing)] {
        let schema = Command::new(binary).arg("schema").envs(VARIABLES).output().expect("it runs");
        said.push((name.to_owned(), String::from_utf8_lossy(&schema.stdout).into_owned()));
    }
    said
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))).into_owned()
}

/// Every spelling in which a secret is still one.
fn forms(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(secret).trim_end_matches('=').to_owned(), URL_SAFE_NO_PAD.encode(secret)];
    forms.push(secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", "));
    forms.push(secret.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }));
    if let Ok(text) = std::str::from_utf8(secret) {
        forms.push(text.to_owned());
    }
    forms
}

fn around(text: &str, found: &str) -> String {
    let at = text.find(found).unwrap_or_default();
    let start = text[..at].char_indices().rev().nth(160).map_or(0, |(index, _)| index);
    text[start..].chars().take(240).collect()
}

/// A script that starts a tier with the variables in its environment; the rig starts tiers by their path alone.
fn wrapped(folder: &Path, binary: &'static str) -> &'static str {
    let name = Path::new(binary).file_name().expect("a name");
    let path = folder.join(name);
    let mut script = String::from("#!/bin/sh\n");
    for (name, value) in VARIABLES {
        let _ = writeln!(script, "export {name}='{value}'");
    }
    let _ = writeln!(script, "exec '{binary}' \"$@\"");
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("executable");
    path.to_str().expect("UTF-8").to_owned().leak()
}

/// Takes every export and keeps its body.
struct Collector {
    endpoint: String,
    bodies: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a collector");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(stream, &kept));
            }
        });
        Self { endpoint, bodies }
    }

    fn has(&self, wanted: &[u8]) -> bool {
        self.bodies.lock().expect("whole").windows(wanted.len()).any(|window| window == wanted)
    }

    fn bodies(&self) -> String {
        String::from_utf8_lossy(&self.bodies.lock().expect("whole")).into_owned()
    }
}

/// Answers each export of a connection; the heads are for the collector alone, and its own key stands there.
fn take(mut stream: std::net::TcpStream, kept: &Mutex<Vec<u8>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        let length = head_end.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())
        });
        match (head_end, length) {
            (Some(end), Some(length)) if bytes.len() >= end + length => {
                kept.lock().expect("whole").extend_from_slice(&bytes[end..end + length]);
                bytes.drain(..end + length);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
            _ => match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            },
        }
    }
}
