//! The files of a machine: the search list, what is read again, and what a broken file does.

use std::sync::Arc;

use hickory_proto::rr::Name;

use super::{QUESTION, tasks, texts};
use crate::resolver::Names;
use crate::resolver::fault::NameFault;
use crate::resolver::server::Server;
use crate::resolver::source::{Source, System};
use crate::resolver::view::View;
use crate::tls::forge::Folder;

fn servers(system: &System) -> Vec<String> {
    system.view().servers.iter().map(Server::label).map(str::to_owned).collect()
}

/// A machine whose resolver file says this.
fn machine(resolv_conf: &str, hosts: &str) -> (Folder, System) {
    let folder = Folder::new();
    let system = System::at(folder.write("resolv.conf", resolv_conf), folder.write("hosts", hosts));
    (folder, system)
}

fn candidates(view: &View, name: &str) -> Vec<String> {
    view.candidates(Name::from_ascii(name).unwrap()).iter().map(Name::to_ascii).collect()
}

#[test]
fn the_search_list_follows_the_number_of_dots() {
    let (_folder, system) = machine("nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local\noptions ndots:5\n", "");
    let view = system.view();
    assert_eq!(candidates(&view, "orders"), ["orders.ns.svc.cluster.local.", "orders.svc.cluster.local.", "orders."]);
    assert_eq!(candidates(&view, "a.b.c.d.e.f"), ["a.b.c.d.e.f.", "a.b.c.d.e.f.ns.svc.cluster.local.", "a.b.c.d.e.f.svc.cluster.local."]);
    assert_eq!(candidates(&view, "orders."), ["orders."]);
    let (_folder, system) = machine("nameserver 127.0.0.11\n", "");
    assert_eq!(candidates(&system.view(), "orders"), ["orders."]);
}

#[test]
fn the_machines_files_are_read_again_when_they_change() {
    let (folder, system) = machine("nameserver 10.0.0.1\n", "10.1.1.1 db db.local # the database\n::5 db\n");
    let first = system.view();
    let db = Name::from_ascii("db").unwrap();
    assert_eq!(texts(&first.hosts(&db).unwrap()), ["10.1.1.1", "::5"]);
    assert!(Arc::ptr_eq(&first, &system.view()));
    folder.write("hosts", "10.1.1.2 db and.one.more\n");
    let edited = system.view();
    assert_eq!(texts(&edited.hosts(&db).unwrap()), ["10.1.1.2"]);
    assert!(Arc::ptr_eq(&first.servers, &edited.servers), "what is known of the servers is not forgotten for that");
    assert!(Arc::ptr_eq(&first.under_way, &edited.under_way), "and no question is asked twice at a time");
    folder.write("resolv.conf", "nameserver 10.0.0.2\nnameserver ::2\n");
    assert_eq!(servers(&system), ["10.0.0.2:53", "[::2]:53"]);
}

/// A file of the same length and the same times: another inode tells it.
#[test]
fn a_file_that_is_swapped_in_is_read_however_alike_it_looks() {
    let (folder, system) = machine("nameserver 10.0.0.1\n", "");
    let path = folder.path().join("resolv.conf");
    assert_eq!(servers(&system), ["10.0.0.1:53"]);
    let other = folder.write("other", "nameserver 10.0.0.2\n");
    let (old, new) = (std::fs::File::open(&path).unwrap(), std::fs::File::options().append(true).open(&other).unwrap());
    new.set_modified(old.metadata().unwrap().modified().unwrap()).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(servers(&system), ["10.0.0.2:53"]);
}

#[test]
fn a_broken_file_leaves_what_was_known() {
    let (folder, system) = machine("nameserver 10.0.0.1\nsearch demo\n", "10.1.1.1 db\n");
    let db = Name::from_ascii("db").unwrap();
    assert_eq!(servers(&system), ["10.0.0.1:53"]);
    let file = folder.path().join("resolv.conf");
    let large = "#".repeat(2 * 1024 * 1024);
    for broken in ["", "nameserver\n", "search other\n", "nameserver ten\n", large.as_str()] {
        folder.write("resolv.conf", broken);
        assert_eq!(servers(&system), ["10.0.0.1:53"], "{}", broken.len());
        assert_eq!(candidates(&system.view(), "a.b"), ["a.b.", "a.b.demo."]);
    }
    for name in ["resolv.conf", "hosts"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    assert_eq!(
        (servers(&system), texts(&system.view().hosts(&db).unwrap())),
        (vec!["10.0.0.1:53".to_owned()], vec!["10.1.1.1".to_owned()])
    );
    // A folder is no file, nor is a pipe, which would be waited for.
    std::fs::create_dir(&file).unwrap();
    assert_eq!(servers(&system), ["10.0.0.1:53"]);
    std::fs::remove_dir(&file).unwrap();
    folder.write("resolv.conf", "nameserver 10.0.0.3\n");
    assert_eq!(servers(&system), ["10.0.0.3:53"]);
}

#[test]
fn at_the_start_a_broken_file_is_no_server() {
    let (_folder, system) = machine("nonsense\n", "10.1.1.1 db\n");
    assert_eq!(servers(&system), Vec::<String>::new());
    assert_eq!(texts(&system.view().hosts(&Name::from_ascii("db").unwrap()).unwrap()), ["10.1.1.1"]);
}

/// Kubernetes writes `ndots:5`: a name of up to five labels is tried under each search domain first.
#[test]
fn what_a_search_list_makes_of_a_name_is_told_once() {
    let (folder, system) =
        machine("nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n", "");
    let tell = |view: &View, text: &str, kinds| {
        let name = Name::from_ascii(text).unwrap();
        view.fan_out(&name, &view.candidates(name.clone()), kinds)
    };
    let view = system.view();
    let told = tell(&view, "orders.shop.svc.cluster.local", 2).unwrap();
    assert!(told.starts_with("the name orders.shop.svc.cluster.local expands to as many as 8 queries: orders.shop.svc.cluster.local.shop.svc.cluster.local., "), "{told}");
    assert!(told.ends_with(", orders.shop.svc.cluster.local.; write it with a trailing dot where it is a whole name"), "{told}");
    assert_eq!(tell(&view, "orders.shop.svc.cluster.local", 2), None, "once");
    assert!(tell(&view, "_http._tcp.orders", 1).unwrap().contains("as many as 4 queries"));
    assert_eq!(tell(&view, "orders.shop.svc.cluster.local.", 2), None, "a name with its dot is one name");
    folder.write("resolv.conf", "nameserver 10.96.0.10\nsearch shop.svc.cluster.local\noptions ndots:5\n");
    assert!(tell(&system.view(), "orders.shop.svc.cluster.local", 2).unwrap().contains("as many as 4 queries"), "another view tells again");
    folder.write("resolv.conf", "nameserver 10.96.0.10\n");
    assert_eq!(tell(&system.view(), "users", 2), None, "without a search list there is nothing to tell");
}

#[tokio::test]
async fn the_hosts_file_comes_before_dns_and_without_servers_it_is_all_there_is() {
    let (_folder, system) = machine("", "10.1.1.1 db\n");
    let names = Names::of(Source::System(system), &tasks(), QUESTION);
    let answer = names.addresses("DB").await.unwrap();
    assert_eq!((texts(&answer), &*answer.server), (vec!["10.1.1.1".to_owned()], "hosts"));
    assert_eq!(names.addresses("other").await, Err(NameFault::NoServers));
}
