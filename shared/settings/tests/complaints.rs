//! What the operator reads: whole files with mistakes in, whole reports out.
//!
//! Every case is a text and the exact lines that it earns. `UPDATE_EXPECT=1 cargo test -p settings` rewrites the expectations.

#![allow(dead_code, reason = "the fields of the configuration are there to be read, not to be used")]

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::{Expect, expect};
use proptest::prelude::{Strategy, proptest};
use serde::Deserialize;
use settings::read::read;
use settings::report::Report;
use settings::secret::Secret;
use settings::units::{Size, Span};

/// A configuration with everything that ours have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    workers: Option<u16>,
    #[serde(default)]
    verbose: bool,
    #[serde(default)]
    listen: Vec<Listen>,
    #[serde(default)]
    services: BTreeMap<String, Service>,
    #[serde(default)]
    routes: Vec<Route>,
    drain: Option<Drain>,
    to: Option<To>,
    #[serde(default)]
    ports: BTreeMap<u16, String>,
    pair: Option<(u8, u8)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    name: String,
    address: String,
    tls: Option<Tls>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    chain: String,
    key: Option<Secret<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    discover: Discover,
    #[serde(default)]
    balance: Balance,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Discover {
    Static { addresses: Vec<Address> },
    Dns { tls: Option<Tls>, name: String, port: u16, refresh: Option<Span> },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    host: String,
    weight: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Balance {
    #[default]
    RoundRobin,
    LeastRequest,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    path: String,
    service: String,
    #[serde(default)]
    methods: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain {
    wait: Span,
    body: Option<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Stdout,
    File(String),
}

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9301".to_owned()),
        "HOST" => Some("users.demo".to_owned()),
        "EMPTY" => Some(String::new()),
        "PASSWORD" => Some("hunter2".to_owned()),
        "LONG" => Some("x".repeat(100_000)),
        _ => None,
    }
}

/// Reads `text`, makes the checks that a tier would make, and prints the report.
fn report(text: &str) -> (Option<Config>, Report) {
    let mut report = Report::new();
    let config = read::<Config>("gw.yaml", text, &env, &mut report);
    if let Some(config) = &config {
        for (index, route) in config.routes.iter().enumerate() {
            if !config.services.contains_key(&route.service) {
                let known = config.services.keys().map(String::as_str);
                report.unknown_name(&format!("routes[{index}].service"), "service", &route.service, "services", known);
            }
            if !route.path.starts_with('/') {
                report.complain(&format!("routes[{index}].path"), "a path starts with \"/\"", format!("write \"/{}\"", route.path));
            }
        }
        if config.listen.is_empty() {
            report.complain_of_absence("listen", "nobody can reach this", "add a listener");
        }
    }
    (config, report)
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&report(text).1.print());
}

/// A file that is right, for the cases that are about one thing.
fn with(more: &str) -> String {
    format!("name: a\nlisten: [{{ name: web, address: \"[::]:1\" }}]\n{more}")
}

#[test]
fn a_right_file_earns_no_complaint_and_reads_as_written() {
    let text = r#"
# all of it
name: 0123
workers: 0x10
verbose: true
listen:
  - name: web
    address: "127.0.0.1:8443"
    tls: { chain: a.pem, key: "s3cret" }
services:
  orders: { discover: { kind: static, addresses: [ { host: 127.0.0.1 } ] }, balance: least_request }
  users: { discover: { kind: dns, name: "${HOST}", port: "${PORT}", refresh: 5s } }
routes:
  - { path: "/orders/", service: orders, methods: [GET] }
drain: { wait: 250ms, body: 64KiB }
to: { file: access.log }
ports: { 80: http }
pair: [1, 2]
"#;
    let (config, report) = report(text);
    assert_eq!(report.print(), "");
    let mut shown = String::new();
    write!(shown, "{config:?}").ok();
    expect![[r#"Some(Config { name: "0123", workers: Some(16), verbose: true, listen: [Listen { name: "web", address: "127.0.0.1:8443", tls: Some(Tls { chain: "a.pem", key: Some(Secret(***)) }) }], services: {"orders": Service { discover: Static { addresses: [Address { host: "127.0.0.1", weight: None }] }, balance: LeastRequest }, "users": Service { discover: Dns { tls: None, name: "users.demo", port: 9301, refresh: Some(Span(5s)) }, balance: RoundRobin }}, routes: [Route { path: "/orders/", service: "orders", methods: ["GET"] }], drain: Some(Drain { wait: Span(250ms), body: Some(Size(65536)) }), to: Some(File("access.log")), ports: {80: "http"}, pair: Some((1, 2)) })"#]].assert_eq(&shown);
}

#[test]
fn three_mistakes_are_three_complaints() {
    check(
        r#"name: demo
workers: two
listen:
  - name: web
    adress: "127.0.0.1:8443"
    address: "127.0.0.1:8443"
services:
  orders: { discover: { kind: dns, name: orders.demo, port: 1 } }
routes:
  - path: "/orders/"
    service: ordrs
"#,
        &expect![[r#"
            gw.yaml:2:10 workers: found the text "two"; write a whole number from 0 to 65535
            gw.yaml:5:5 listen[0].adress: unknown key "adress"; did you mean "address"?
            gw.yaml:11:14 routes[0].service: no service is named "ordrs"; did you mean "orders"?
        "#]],
    );
}

#[test]
fn indices_count_as_written_also_behind_an_element_that_was_taken_out() {
    check(
        &with(
            "services: { orders: { discover: { kind: dns, name: o, port: 1 } } }\nroutes:\n- { path: 7.5, service: [] }\n- { path: orders, service: orders }\n- { path: /, service: users }\n",
        ),
        &expect![[r#"
            gw.yaml:5:25 routes[0].service: found a list; write a text
            gw.yaml:6:11 routes[1].path: a path starts with "/"; write "/orders"
            gw.yaml:7:23 routes[2].service: no service is named "users"; name one of "services": orders
        "#]],
    );
}

#[test]
fn a_misspelt_required_key_is_one_complaint_and_a_missing_one_stands_at_its_parent() {
    check(
        &with("routes:\n- { path: /, servce: orders }\n- { service: orders }\n-   methods: []\n"),
        &expect![[r#"
        gw.yaml:4:14 routes[0].servce: unknown key "servce"; did you mean "service"?
        gw.yaml:5:3 routes[1].path: the required key "path" is missing; add "path: …"
        gw.yaml:6:5 routes[2].path: the required key "path" is missing; add "path: …"
        gw.yaml:6:5 routes[2].service: the required key "service" is missing; add "service: …"
    "#]],
    );
    check(
        &with("drain: {}\nroutes: [{}]\nservices: { a: {} }\n"),
        &expect![[r#"
        gw.yaml:3:8 drain.wait: the required key "wait" is missing; add "wait: …"
        gw.yaml:4:10 routes[0].path: the required key "path" is missing; add "path: …"
        gw.yaml:4:10 routes[0].service: the required key "service" is missing; add "service: …"
        gw.yaml:5:16 services.a.discover: the required key "discover" is missing; add "discover: …"
    "#]],
    );
    check(
        "workers: 3\n",
        &expect![[r#"
        gw.yaml:1:1 name: the required key "name" is missing; add "name: …"
    "#]],
    );
}

#[test]
fn a_missing_section_does_not_hide_the_sections_that_are_missing_after_it() {
    #[derive(Debug, Deserialize)]
    struct Sections {
        admin: Listen,
        limits: Limits,
        rules: Vec<u8>,
    }
    #[derive(Debug, Deserialize)]
    struct Limits {
        head: Span,
        bytes: Size,
    }
    let mut report = Report::new();
    assert!(read::<Sections>("gw.yaml", "{}", &|_| None, &mut report).is_none());
    let keys: Vec<&str> = report.complaints().iter().map(|complaint| complaint.key.as_str()).collect();
    assert_eq!(keys, ["admin", "limits", "rules"]);
}

#[test]
fn what_depends_on_something_taken_out_stays_silent() {
    check(
        &with("services: { orders: { discover: { kind: dns, name: o, port: high } } }\nroutes: [{ path: /, service: orders }]\n"),
        &expect![[r#"
        gw.yaml:3:61 services.orders.discover.port: found the text "high"; write a whole number from 0 to 65535
    "#]],
    );
    check(
        "name: a\nlisten: [{ name: 1 }]\n",
        &expect![[r#"
        gw.yaml:2:10 listen[0].address: the required key "address" is missing; add "address: …"
    "#]],
    );
    check(
        "name: a\nlisten: []\n",
        &expect![[r#"
        gw.yaml:2:9 listen: nobody can reach this; add a listener
    "#]],
    );
}

#[test]
fn choices_are_named() {
    check(
        &with(
            "services:\n  a: { discover: { kind: dsn, name: a, port: 1 }, balance: round_robbin }\n  b: { discover: { kind: x, name: a }, balance: fastest }\n  c: { discover: { name: a }, balance: round_robin }\n",
        ),
        &expect![[r#"
            gw.yaml:4:26 services.a.discover.kind: unknown choice "dsn"; did you mean "dns"?
            gw.yaml:4:60 services.a.balance: unknown choice "round_robbin"; did you mean "round_robin"?
            gw.yaml:5:26 services.b.discover.kind: unknown choice "x"; the choices are: static, dns
            gw.yaml:5:49 services.b.balance: unknown choice "fastest"; the choices are: round_robin, least_request
            gw.yaml:6:18 services.c.discover.kind: the required key "kind" is missing; add "kind: …"
        "#]],
    );
    check(
        &with("to: { file: [], stdout: 1 }\n"),
        &expect![[r#"
        gw.yaml:3:5 to: found a mapping of 2 keys; write one of: stdout, file
    "#]],
    );
    check(
        &with("to: file\n"),
        &expect![[r#"
        gw.yaml:3:5 to: "file" stands alone; write it with its content: "file: …"
    "#]],
    );
    check(
        &with("to: { stdout: 1 }\n"),
        &expect![[r#"
        gw.yaml:3:15 to.stdout: "stdout" takes no content; write the name alone
    "#]],
    );
    check(
        &with("to: { fiel: a.log }\n"),
        &expect![[r#"
        gw.yaml:3:7 to.fiel: unknown choice "fiel"; did you mean "file"?
    "#]],
    );
}

#[test]
fn inside_an_internally_tagged_choice_the_place_is_exact() {
    check(
        &with(
            r#"services:
  a:
    discover:
      kind: dns
      name: a.demo
      prot: 1
      port: high
  b: { discover: { port: 70000, kind: dns, name: b.demo } }
  c: { discover: { port: 1, refresh: soon, kind: dns, name: c.demo } }
  d: { discover: { kind: static, addresses: [ { host: a }, { host: b, weight: 1000 }, { host: c, weight: 1000 }, { hots: d }, x ] } }
  e: { discover: { kind: static } }
  f: { discover: nothing }
  g: { discover: }
  h: { discover: { kind: static, addresses: [ { host: a }, { weight: 1 }, [] ] } }
  i: { discover: { kind: dns, tls: { chain: a }, port: 1 } }
  j: { discover: { kind: dns, tls: { key: a }, port: 1, name: j } }
"#,
        ),
        &expect![[r#"
            gw.yaml:8:7 services.a.discover.prot: unknown key "prot"; did you mean "port"?
            gw.yaml:9:13 services.a.discover.port: found the text "high"; write a whole number from 0 to 65535
            gw.yaml:10:26 services.b.discover.port: found the number 70000; write a whole number from 0 to 65535
            gw.yaml:11:38 services.c.discover.refresh: "soon" is not a length of time; write a whole number and a unit (ms, s, m, h), like 250ms or 5s
            gw.yaml:12:79 services.d.discover.addresses[1].weight: found the number 1000; write a whole number from 0 to 255
            gw.yaml:12:106 services.d.discover.addresses[2].weight: found the number 1000; write a whole number from 0 to 255
            gw.yaml:12:116 services.d.discover.addresses[3].hots: unknown key "hots"; did you mean "host"?
            gw.yaml:12:127 services.d.discover.addresses[4]: found the text "x"; write a mapping of keys
            gw.yaml:13:18 services.e.discover.addresses: the required key "addresses" is missing; add "addresses: …"
            gw.yaml:14:18 services.f.discover: found the text "nothing"; write a mapping of keys
            gw.yaml:15:8 services.g.discover: found nothing; write a mapping of keys
            gw.yaml:16:60 services.h.discover.addresses[1].host: the required key "host" is missing; add "host: …"
            gw.yaml:17:18 services.i.discover.name: the required key "name" is missing; add "name: …"
            gw.yaml:18:36 services.j.discover.tls.chain: the required key "chain" is missing; add "chain: …"
        "#]],
    );
}

#[test]
fn wrong_types_say_what_to_write() {
    check(
        r#"name: [a]
workers: 65536
verbose: yes
listen: { name: web }
services: []
routes: /
drain: { wait: 5, body: 1KB }
ports: { http: x, 70000: y, 80: ~ }
pair: [1, 2, 3]
"#,
        &expect![[r#"
            gw.yaml:1:7 name: found a list; write a text
            gw.yaml:2:10 workers: found the number 65536; write a whole number from 0 to 65535
            gw.yaml:3:10 verbose: found the text "yes"; write true or false
            gw.yaml:4:9 listen: found a mapping; write a list
            gw.yaml:5:11 services: found a list; write a mapping of keys
            gw.yaml:6:9 routes: found the text "/"; write a list
            gw.yaml:7:16 drain.wait: 5 has no unit of time; write a whole number and a unit (ms, s, m, h), like 250ms or 5s
            gw.yaml:7:25 drain.body: "1KB" is not an amount of bytes; write a whole number and a unit (B, KiB, MiB, GiB), like 64KiB, or a number of bytes
            gw.yaml:8:10 ports.http: found the text "http"; write a whole number from 0 to 65535
            gw.yaml:8:19 ports.70000: found the number 70000; write a whole number from 0 to 65535
            gw.yaml:8:33 ports.80: found nothing; write a text
            gw.yaml:9:7 pair: found a list of 3 elements; write a list of 2 elements
        "#]],
    );
    check(
        "name:\nworkers: -1\nverbose: \"true\"\npair: [1]\ndrain: { wait: 18446744073709551616h }\nlisten: [~]\n",
        &expect![[r#"
        gw.yaml:1:1 name: found nothing; write a text
        gw.yaml:2:10 workers: found the number -1; write a whole number from 0 to 65535
        gw.yaml:3:10 verbose: found the text "true"; write true or false
        gw.yaml:4:7 pair: found a list of 1 elements; write a list of 2 elements
        gw.yaml:5:16 drain.wait: "18446744073709551616h" is not a length of time; write a whole number and a unit (ms, s, m, h), like 250ms or 5s
        gw.yaml:6:10 listen[0]: found nothing; write a mapping of keys
    "#]],
    );
    check(
        "name: a\nworkers: 1.5\ndrain:\nto: ~\nlisten:\n",
        &expect![[r#"
        gw.yaml:2:10 workers: found the number 1.5; write a whole number from 0 to 65535
        gw.yaml:5:1 listen: found nothing; write a list
    "#]],
    );
    check(
        "just a text\n",
        &expect![[r#"
        gw.yaml:1:1: found the text "just a text"; write a mapping of keys
    "#]],
    );
}

#[test]
fn a_key_that_stands_twice_is_refused_and_the_first_is_read() {
    check(
        &with("workers: 1\nworkers: two\nservices:\n  a: { discover: { kind: dns, kind: static, name: a, port: 1 } }\n  a: 5\n"),
        &expect![[r#"
        gw.yaml:4:1 workers: the key "workers" stands twice, first on line 3; keep one of them
        gw.yaml:6:31 services.a.discover.kind: the key "kind" stands twice, first on line 6; keep one of them
        gw.yaml:7:3 services.a: the key "a" stands twice, first on line 6; keep one of them
    "#]],
    );
}

#[test]
fn variables_are_filled_in_after_the_yaml_was_read() {
    let (config, report) = report(&with(
        "workers: \"${PORT}\"\nroutes: [{ path: \"/${HOST}/$${HOST}/${NONE:-d}/${EMPTY:-e}/${EMPTY}/$HOST\", service: x }]\nservices: { x: { discover: { kind: dns, name: '${HOST}', port: '${PORT}' } } }\n",
    ));
    assert_eq!(report.print(), "");
    let config = config.into_iter().next();
    assert_eq!(config.as_ref().and_then(|config| config.workers), Some(9301));
    let path = config.as_ref().and_then(|config| config.routes.first()).map(|route| route.path.as_str());
    assert_eq!(path, Some("/users.demo/${HOST}/d/e//$HOST"));
}

#[test]
fn bad_variables_are_complaints_and_their_values_are_never_repeated() {
    check(
        r#"name: ${NAME}
workers: ${PASSWORD}
drain: { wait: "${PASSWORD}" }
to: ${PASSWORD}
listen:
  - { name: "${HOST", address: "${9}" }
services:
  a: { discover: { kind: dns, name: a, port: "${PASSWORD}" } }
"#,
        &expect![[r#"
            gw.yaml:1:7 name: the environment variable NAME is not set; set it, or write a default: "${NAME:-…}"
            gw.yaml:2:10 workers: the value from the environment does not fit; write a whole number from 0 to 65535
            gw.yaml:3:16 drain.wait: the value from the environment does not fit; write a whole number and a unit (ms, s, m, h), like 250ms or 5s
            gw.yaml:4:5 to: the value from the environment does not fit; the choices are: stdout, file
            gw.yaml:6:13 listen[0].name: "${" without "}"; close it, or write "$${" for the signs themselves
            gw.yaml:6:32 listen[0].address: "9" is not the name of a variable; write "${NAME}" or "${NAME:-default}"
            gw.yaml:8:46 services.a.discover.port: the value from the environment does not fit; write a whole number from 0 to 65535
        "#]],
    );
}

#[test]
fn a_secret_is_never_repeated() {
    check(
        &with("").replace(":1\"", ":1\", tls: { chain: a, key: [hunter2] }"),
        &expect![[r#"
        gw.yaml:2:64 listen[0].tls.key: this secret cannot be read; write it as a quoted text
    "#]],
    );
}

#[test]
fn anchors_aliases_and_merges_are_resolved_and_keep_their_places() {
    let text = r#"name: a
listen:
  - &web
    name: web
    address: a
  - <<: *web
    name: web2
services:
  a: &service
    discover: { kind: dns, name: a, port: high }
  b: *service
"#;
    check(
        text,
        &expect![[r#"
        gw.yaml:10:43 services.a.discover.port: found the text "high"; write a whole number from 0 to 65535
    "#]],
    );
    let (config, _) = report(text);
    let listen: Vec<_> =
        config.iter().flat_map(|config| &config.listen).map(|listen| (listen.name.as_str(), listen.address.as_str())).collect();
    assert_eq!(listen, [("web", "a"), ("web2", "a")]);
}

#[test]
fn what_is_not_one_yaml_document_is_one_complaint() {
    check(
        "",
        &expect![[r#"
        gw.yaml:1:1: the document is empty; write a configuration; the command `schema` shows its keys
    "#]],
    );
    check(
        "# only this\n---\n",
        &expect![[r#"
        gw.yaml:1:1: the document is empty; write a configuration; the command `schema` shows its keys
    "#]],
    );
    check(
        "name: a\nlisten: [\n",
        &expect![[r#"
        gw.yaml:2:9: this is not YAML: unclosed bracket '['; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
    check(
        "name: a\n\tworkers: 1\n",
        &expect![[r#"
        gw.yaml:1:7: this is not YAML: while scanning a plain scalar, found a tab; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
    check(
        "name: \"a\nworkers: 1\n",
        &expect![[r#"
        gw.yaml:1:7: this is not YAML: unclosed quote; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
    check(
        "name: a\n---\nname: b\n",
        &expect![[r#"
        gw.yaml:3:1: a second document begins here; keep one document a file: remove the line "---" before it
    "#]],
    );
    check(
        "name: *unknown\n",
        &expect![[r#"
        gw.yaml:1:7: this is not YAML: while parsing node, found unknown anchor; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
    check(
        "name: &a [*a]\n",
        &expect![[r#"
        gw.yaml:1:11 name[0]: this alias lies within the node that it stands for; write the values out
    "#]],
    );
    check(
        "name: !secret a\n",
        &expect![[r#"
        gw.yaml:1:7 name: the tag "!secret" means nothing here; remove it
    "#]],
    );
    check(
        "? [a]\n: b\n",
        &expect![[r#"
        gw.yaml:1:3: this key is a list or a mapping; write a text as key
    "#]],
    );
    check(
        "<<: 5\n",
        &expect![[r#"
        gw.yaml:1:1 <<: "<<" merges something that is not a mapping; give it an alias of a mapping
    "#]],
    );
    check(
        "name: \u{0}\n",
        &expect![[r#"
        gw.yaml:1:7: this is not YAML: unexpected character: `\u{0}'; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
}

#[test]
fn documents_beyond_the_ceilings_are_refused() {
    check(
        &format!("name: {}\n", "x".repeat(10 << 20)),
        &expect![[r#"
        gw.yaml:1:1: the document is larger than 4194304 bytes; make it smaller
    "#]],
    );
    check(
        &format!("name: {}{}\n", "[".repeat(5_000), "]".repeat(5_000)),
        &expect![[r#"
            gw.yaml:1:72: nested deeper than 64 levels; flatten it; no setting lies that deep
        "#]],
    );
    check(
        &(0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(100)))).collect::<String>(),
        &expect![[r#"
            gw.yaml:66:66: nested deeper than 64 levels; flatten it; no setting lies that deep
        "#]],
    );
    check(
        &format!("name: {}a\n", "- ".repeat(500)),
        &expect![[r#"
        gw.yaml:1:7: this is not YAML: block sequence entries are not allowed in this context; mend the syntax at this place or just before it; nothing after it was read
    "#]],
    );
    check(
        &format!("routes: [{}]\n", "a,".repeat(200_000)),
        &expect![[r#"
        gw.yaml:1:200004 routes[99997]: the document has more than 100000 values, aliases written out; make it smaller
    "#]],
    );
    let mut laughs = "name: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*l{}, ", level - 1);
        writeln!(laughs, "k{level}: &l{level} [{}]", alias.repeat(10)).ok();
    }
    check(
        &laughs,
        &expect![[r#"
        gw.yaml:5:40 k4[6]: the document has more than 100000 values, aliases written out; make it smaller
    "#]],
    );
    let mut nested = "k0: &l0 []\n".to_owned();
    for level in 1..100 {
        writeln!(nested, "k{level}: &l{level} [*l{}]", level - 1).ok();
    }
    check(
        &nested,
        &expect![[r#"
        gw.yaml:65:12 k64[0]: nested deeper than 64 levels; flatten it; no setting lies that deep
    "#]],
    );
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(20));
    check(
        &long,
        &expect![[r#"
        gw.yaml:2:25 b[5]: the document has more than 8388608 bytes, aliases written out; make it smaller
    "#]],
    );
    check(
        &format!("name: \"{}\"\n", "${LONG}".repeat(100)),
        &expect![[r#"
        gw.yaml:1:7 name: variables make the document larger than 4194304 bytes; name files instead
    "#]],
    );
}

#[test]
fn a_file_with_a_thousand_mistakes_stops_at_the_ceiling() {
    let text: String = (0..1_000).fold("name: a\n".to_owned(), |text, n| format!("{text}unknown{n}: 1\n"));
    assert_eq!(report(&text).1.complaints().len(), settings::report::COMPLAINTS_MAX);
    let text = format!("name: a\nroutes: [{}]\n", "{ path: [], service: a },".repeat(1_000));
    assert_eq!(report(&text).1.complaints().len(), settings::report::COMPLAINTS_MAX);
}

#[test]
fn keys_with_dots_and_keys_that_are_not_there_are_found() {
    let mut report = Report::new();
    let text = "hosts:\n  api.example.org: { port: 1 }\n  api: { example: 2 }\n";
    assert!(read::<BTreeMap<String, BTreeMap<String, serde::de::IgnoredAny>>>("h.yaml", text, &env, &mut report).is_some());
    report.complain("hosts.api.example.org.port", "one", "r");
    report.complain("hosts.api.example", "two", "r");
    report.complain("hosts.api.example.com", "three", "r");
    report.complain("hosts.none[3].x", "four", "r");
    report.complain("", "five", "r");
    expect![[r#"
        h.yaml:1:1: five; r
        h.yaml:2:3 hosts.none[3].x: four; r
        h.yaml:2:28 hosts.api.example.org.port: one; r
        h.yaml:3:19 hosts.api.example: two; r
        h.yaml:3:19 hosts.api.example.com: three; r
    "#]]
    .assert_eq(&report.print());
}

/// Pieces that are near enough to a configuration to come far.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "name",
        "listen",
        "services",
        "routes",
        "drain",
        "to",
        "pair",
        "discover",
        "kind",
        "dns",
        "static",
        "addresses",
        "host",
        "port",
        "path",
        ": ",
        ": ",
        ":\n  ",
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: *a",
        "\"",
        "'",
        "|\n",
        "${PORT}",
        "${",
        "1",
        "~",
        "!x ",
        "---\n",
        "? ",
        "#",
        "\t",
        "é",
        "\u{0}",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn whatever_the_text_is_there_is_a_value_or_a_complaint(text in pieces()) {
        let (config, report) = report(&text);
        assert!(config.is_some() || !report.is_clean(), "{text:?}");
    }

    #[test]
    fn a_right_file_with_one_byte_changed_is_read_or_complained_about(at in 0_usize..400, byte in proptest::char::any()) {
        let mut text: Vec<char> = with("services: { a: { discover: { kind: static, addresses: [{ host: b, weight: 1 }] } } }\nroutes: [{ path: /, service: a }]\nto: stdout\n").chars().collect();
        let at = at % text.len();
        text.splice(at..=at, [byte]);
        let (config, report) = report(&text.iter().collect::<String>());
        assert!(config.is_some() || !report.is_clean());
    }
}
