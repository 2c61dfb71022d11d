//! The plan of the house: the data of all rules in one place.
//!
//! In: nothing. Out: the tables. A new crate, room or fact is a new line here; a line for something that is no longer there is a finding too.

/// The tables that the rules go by.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Each crate of ours and the crates of ours that it may know.
    pub crates: Vec<(&'static str, Vec<&'static str>)>,
    /// The shared crates that need not be used by both tiers or another shared crate yet.
    pub exempt_from_admission: Vec<&'static str>,
    /// A crate without I/O, clock or runtime, and all that it may depend on outside its tests.
    pub pure: (&'static str, Vec<&'static str>),
    /// Packages that may not be linked anywhere, and why.
    pub banned_packages: Vec<(&'static str, &'static str)>,
    /// The tiers and their rooms.
    pub tiers: Vec<Tier>,
    /// File and folder names that say nothing.
    pub banned_names: Vec<&'static str>,
    /// All that may lie at the top level.
    pub top_level: Vec<&'static str>,
    /// How the names of the reserved headers begin.
    pub reserved_header: &'static str,
    /// The files that may write such a name out.
    pub reserved_header_homes: Vec<&'static str>,
    /// The facts and who may make them.
    pub facts: Vec<Fact>,
}

/// The modules of a tier. Every module at the root of the tier stands in exactly one list.
#[derive(Clone, Debug)]
pub struct Tier {
    /// The folder of its sources.
    pub sources: &'static str,
    /// Know nobody but themselves and what is common.
    pub rooms: Vec<&'static str>,
    /// Known to all rooms; know only each other.
    pub common: Vec<&'static str>,
    /// Put the rooms together; known to nobody but each other.
    pub assemblers: Vec<&'static str>,
}

/// A type whose making is a proof, and the room that proves it.
#[derive(Clone, Debug)]
pub struct Fact {
    /// The file that defines it.
    pub home: &'static str,
    /// The type.
    pub name: &'static str,
    /// The function that makes it.
    pub constructor: &'static str,
    /// The file (without `.rs`) or folder that may name the constructor.
    pub room: &'static str,
}

const SHARED: [&str; 7] = ["contract", "settings", "telemetry", "wire", "identity", "upstream", "host"];

/// The plan of this house (DESIGN §3).
#[must_use]
pub fn plan() -> Plan {
    let beside = vec!["contract", "settings", "telemetry", "wire"];
    let shared = SHARED.to_vec();
    let tiers_too = [&SHARED[..], &["security-gw", "routing-gw"]].concat();
    let all = [&tiers_too[..], &["gwctl"]].concat();
    Plan {
        crates: vec![
            ("contract", vec![]),
            ("settings", vec![]),
            ("telemetry", vec!["contract", "settings"]),
            // The tests of these two ask a scripted name server.
            ("wire", vec!["contract", "settings", "telemetry", "scripted-dns"]),
            ("identity", beside.clone()),
            ("upstream", [&beside[..], &["scripted-dns"]].concat()),
            ("host", beside),
            ("security-gw", shared.clone()),
            ("routing-gw", shared),
            ("gwctl", tiers_too),
            ("scripted-dns", vec![]),
            ("tests", [&all[..], &["scripted-dns"]].concat()),
        ],
        exempt_from_admission: vec![],
        pure: ("contract", vec!["base64", "http", "jsonwebtoken", "serde", "serde_json", "thiserror"]),
        banned_packages: vec![
            ("ring", "one crypto library is audited, patched and measured: aws-lc-rs"),
            ("openssl", "TLS is rustls on aws-lc-rs"),
            ("openssl-sys", "TLS is rustls on aws-lc-rs"),
            ("native-tls", "TLS is rustls on aws-lc-rs"),
        ],
        tiers: vec![security_gw(), routing_gw()],
        banned_names: vec!["utils", "util", "common", "helpers", "helper", "misc", "types"],
        top_level: vec!["Cargo.toml", "Cargo.lock", "security-gw", "routing-gw", "shared", "deploy", "tests", "README.md"],
        reserved_header: "x-gw-",
        reserved_header_homes: vec!["shared/contract/src/headers.rs", "tests/"],
        facts: facts(),
    }
}

fn security_gw() -> Tier {
    Tier {
        sources: "security-gw/src",
        rooms: vec!["redirect", "authority", "rule", "limits", "authenticate", "assert", "forward", "access_log"],
        common: vec!["ask", "facts", "refusal", "docket"],
        assemblers: vec!["lib", "main", "corridor", "config", "tier", "replicas"],
    }
}

fn routing_gw() -> Tier {
    Tier {
        sources: "routing-gw/src",
        rooms: vec!["health", "vouch", "route", "authorize", "introduce", "forward", "account"],
        common: vec!["facts", "refusal", "decision", "requirement", "trusted"],
        assemblers: vec!["lib", "main", "corridor", "config", "tier", "services", "split_views"],
    }
}

fn facts() -> Vec<Fact> {
    let fact = |home, name, room| Fact { home, name, constructor: "new", room };
    vec![
        fact("security-gw/src/facts.rs", "Ruled", "security-gw/src/rule"),
        fact("security-gw/src/facts.rs", "Admitted", "security-gw/src/limits"),
        fact("security-gw/src/facts.rs", "Identified", "security-gw/src/authenticate"),
        fact("security-gw/src/facts.rs", "Asserted", "security-gw/src/assert"),
        fact("routing-gw/src/facts.rs", "Vouched", "routing-gw/src/vouch"),
        fact("routing-gw/src/facts.rs", "Routed", "routing-gw/src/route"),
        fact("routing-gw/src/facts.rs", "Permitted", "routing-gw/src/authorize"),
        fact("routing-gw/src/facts.rs", "Introduced", "routing-gw/src/introduce"),
    ]
}
