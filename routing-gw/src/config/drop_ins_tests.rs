//! Which drop-in serves, and what of it.

use std::path::PathBuf;

use settings::read::read as parse;

use super::*;

const MAIN: &str = r#"
services: { orders: { discover: { kind: dns, name: orders.example, port: 80 } } }
routes:
  - { name: orders, path: "/orders/", methods: [GET], service: orders, require: { scopes: [orders] } }
  - { name: admin, path: "/admin/{part}", hosts: [api.example.com], service: orders, require: { scopes: [admin] } }
"#;

/// A folder of drop-ins and what serves of it.
struct Place {
    folder: PathBuf,
    served: Option<Served>,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("routing-gw-drop-ins-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("routes.d")).unwrap();
        Self { folder, served: None }
    }

    /// Writes a drop-in with one route, as `path: …` and what else tells it apart.
    fn route(&self, name: &str, demands: &str) {
        let route = format!("routes: [ {{ name: {name}, {demands}, service: orders, public: true }} ]\n");
        std::fs::write(self.folder.join(format!("routes.d/{name}.yaml")), route).unwrap();
    }

    fn text(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(format!("routes.d/{name}.yaml")), text).unwrap();
    }

    /// Reads the folder; what serves now, as NAME:PATHS, and what was said of the others.
    fn load(&mut self) -> (Vec<String>, Vec<String>) {
        let files = Files::of(&self.folder);
        let mut report = Report::new();
        let main: DropInConfig = parse("main", MAIN, &|_| None, &mut report).unwrap();
        let services = main.services.iter().filter_map(|(name, service)| service.check(&format!("services.{name}"), &files, &mut report));
        let services = services.collect();
        let routes = routes::check(&main.routes, main.services.keys().map(String::as_str), true, u64::MAX, &mut report);
        let main = DropInPlan { services, routes };
        let whole = gather(Path::new("routes.d"), main, true, u64::MAX, &files, self.served.as_ref(), &mut report).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let serving = whole.drop_ins.iter().map(|(name, plan)| {
            let paths: Vec<String> = plan.routes.iter().map(|route| shown(&route.pattern)).collect();
            format!("{}:{}", name.trim_end_matches(".yaml"), paths.join(","))
        });
        let serving = serving.collect();
        let said = whole.aside.iter().map(|aside| {
            assert!(!aside.complaints.is_empty(), "{aside:?}");
            let complaints: Vec<String> = aside.complaints.iter().map(|complaint| complaint.what.clone()).collect();
            format!("{}: {}; {}", aside.name.trim_start_matches("drop-in ").trim_end_matches(".yaml"), complaints.join("; "), aside.detail)
        });
        let said = said.collect();
        self.served = Some(whole.drop_ins);
        (serving, said)
    }
}

/// A drop-in with one service that has a sticky cookie of this name, and a route to it.
fn with_cookie(team: &str, cookie: &str) -> String {
    let sticky = format!("sticky: {{ cookie: {cookie}, key: sticky.secret }}");
    let service = format!("{team}: {{ discover: {{ kind: dns, name: {team}.example, port: 80 }}, {sticky} }}");
    let route = format!("{{ name: {team}, path: \"/{team}/\", service: {team}, public: true }}");
    format!("services: {{ {service} }}\nroutes: [ {route} ]\n")
}

#[test]
fn two_teams_with_one_cookie_are_rivals() {
    let mut place = Place::new("cookies");
    std::fs::write(place.folder.join("routes.d/sticky.secret"), [b'x'; 48]).unwrap();
    place.text("a", &with_cookie("a", "home"));
    place.text("c", &with_cookie("c", "gw-instance-c"));
    assert_eq!(place.load(), (vec!["a:/a/".to_owned(), "c:/c/".to_owned()], vec![]));
    place.text("b", &with_cookie("b", "home"));
    let (serving, said) = place.load();
    assert_eq!(serving, ["a:/a/", "c:/c/"], "whoever had it keeps it");
    let wanted = "b: a service of a.yaml has a cookie \"home\" too, and a browser keeps one of them; its routes are not served";
    assert_eq!(said, [wanted]);
    // Two of one team.
    let second = "  d: { discover: { kind: dns, name: d.example, port: 80 }, sticky: { cookie: own, key: sticky.secret } }\n";
    place.text("b", &format!("services:\n{second}{}routes: []\n", second.replacen("  d:", "  e:", 1)));
    let (_, said) = place.load();
    assert!(said.len() == 1 && said[0].contains("the service \"d\" has a cookie \"own\" too"), "{said:?}");
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn shown(pattern: &crate::route::pattern::Pattern) -> String {
    use crate::route::pattern::Segment;
    let segments = pattern.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::Parameter(name) => format!("/{{{name}}}"),
    });
    segments.chain(pattern.prefix.then(|| "/".to_owned())).collect()
}

#[test]
fn to_be_more_specific_takes_nothing_of_the_main_file() {
    for (demands, refused) in [
        ("path: \"/orders/\", hosts: [api.example.com]", true),
        ("path: \"/orders/{id}\"", true),
        ("path: \"/orders/{id}\", methods: [GET], hosts: [api.example.com]", true),
        ("path: \"/orders/1/lines\"", true),
        ("path: \"/\"", true),
        ("path: \"/{any}/1\"", true),
        ("path: \"/admin/keys\"", true),
        ("path: \"/admin/keys\", hosts: [other.example.com]", false),
        ("path: \"/orders/{id}\", methods: [PUT]", false),
        ("path: \"/orders\"", false),
        ("path: \"/bills/\"", false),
    ] {
        let mut place = Place::new("specific");
        place.route("evil", demands);
        let (serving, said) = place.load();
        assert_eq!((serving.is_empty(), said.len()), (refused, usize::from(refused)), "{demands}: {said:?}");
        assert!(said.iter().all(|said| said.contains("in the main file too")), "{said:?}");
    }
}

#[test]
fn at_a_start_neither_of_two_rivals_serves_and_each_is_told_of_the_other() {
    let mut place = Place::new("start");
    place.route("aaa", "path: \"/billing/{id}\"");
    place.route("billing", "path: \"/billing/\"");
    place.route("zoo", "path: \"/zoo/\"");
    let (serving, said) = place.load();
    assert_eq!(serving, ["zoo:/zoo/"]);
    assert_eq!(
        said,
        [
            "aaa: requests that fit the route \"aaa\" fit \"billing\" in billing.yaml too; its routes are not served",
            "billing: requests that fit the route \"billing\" fit \"aaa\" in aaa.yaml too; its routes are not served"
        ]
    );
}

#[test]
fn a_newcomer_takes_nothing_of_what_serves() {
    let mut place = Place::new("newcomer");
    place.route("billing", "path: \"/billing/\"");
    assert_eq!(place.load().0, ["billing:/billing/"]);
    place.route("aaa", "path: \"/billing/\", hosts: [a.example]");
    let (serving, said) = place.load();
    assert_eq!(serving, ["billing:/billing/"]);
    assert!(said.len() == 1 && said[0].starts_with("aaa: "), "{said:?}");

    // Not even while what serves is written wrongly, or has left it by a change that is itself refused.
    place.text("billing", "routes: [");
    assert_eq!(place.load().0, ["billing:/billing/"]);
    place.route("zoo", "path: \"/zoo/\"");
    assert_eq!(place.load().0, ["billing:/billing/", "zoo:/zoo/"]);
    place.route("billing", "path: \"/zoo/{id}\"");
    let (serving, said) = place.load();
    assert_eq!(serving, ["billing:/billing/", "zoo:/zoo/"]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].ends_with("its former version stays in use"), "{said:?}");

    // Left for good, it is free.
    place.route("billing", "path: \"/bills/\"");
    assert_eq!(place.load(), (vec!["aaa:/billing/".to_owned(), "billing:/bills/".to_owned(), "zoo:/zoo/".to_owned()], vec![]));
}

#[test]
fn two_that_change_at_once_may_swap_and_may_not_both_take_the_same() {
    let mut place = Place::new("swap");
    place.route("a", "path: \"/a/\"");
    place.route("b", "path: \"/b/\"");
    assert_eq!(place.load().0, ["a:/a/", "b:/b/"]);
    place.route("a", "path: \"/b/\"");
    place.route("b", "path: \"/a/\"");
    assert_eq!(place.load(), (vec!["a:/b/".to_owned(), "b:/a/".to_owned()], vec![]));
    place.route("a", "path: \"/c/\"");
    place.route("b", "path: \"/c/\"");
    let (serving, said) = place.load();
    assert_eq!((serving, said.len()), (vec!["a:/b/".to_owned(), "b:/a/".to_owned()], 2));
}

#[test]
fn a_service_and_a_name_belong_to_who_served_them_first() {
    let mut place = Place::new("names");
    let team = "services: { team: { discover: { kind: dns, name: team.example, port: 80 } } }\nroutes: []\n";
    place.text("team", team);
    assert_eq!(place.load().0, ["team:"]);
    place.text("a", team);
    let (serving, said) = place.load();
    assert_eq!(serving, ["team:"]);
    assert_eq!(said, ["a: team.yaml has a service \"team\" too; its routes are not served"]);
}

#[test]
fn links_lead_within_the_folder_and_nowhere_else() {
    use std::os::unix::fs::symlink;
    let mut place = Place::new("links");
    let folder = place.folder.join("routes.d");
    // As Kubernetes mounts a map of files.
    std::fs::create_dir(folder.join("..1")).unwrap();
    std::fs::write(folder.join("..1/team.yaml"), "routes: []\n").unwrap();
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/team.yaml", folder.join("team.yaml")).unwrap();
    std::fs::write(place.folder.join("link.key"), "secret").unwrap();
    symlink("../link.key", folder.join("evil.yaml")).unwrap();
    symlink("../link.key", folder.join("ca.pem")).unwrap();
    place.text("files", "services: { files: { discover: { kind: dns, name: a.example, port: 1 }, tls: { ca: ca.pem } } }");
    let (serving, said) = place.load();
    assert_eq!(serving, ["team:"]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|said| said.contains("is a link that leads out of the folder") && !said.contains("secret")), "{said:?}");
}
