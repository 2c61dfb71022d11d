//! A tier under systemd, as far as that can be played: sockets that were opened before it (sd_listen_fds(3)), and a manager that is told how it
//! stands (sd_notify(3)).

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use tests::rig::Rig;
use tests::rig::process::Process;
use tests::rig::scene::Scene;
use tests::rig::wait::{PATIENCE, until};

use crate::BINARIES;

/// Passes descriptors on as systemd does: LISTEN_PID is the id of the process that finds them.
fn activated(binary: &str, config: &std::path::Path, sockets: Vec<(&str, OwnedFd)>) -> Command {
    let mut command = Command::new("sh");
    // The shell becomes the process, id and all.
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", binary, "--config"]).arg(config);
    let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    let mappings = sockets.into_iter().zip(3..).map(|((_, parent_fd), child_fd)| FdMapping { parent_fd, child_fd }).collect();
    command.fd_mappings(mappings).expect("numbers of their own");
    command
}

/// What the manager hears, a datagram at a time.
struct Manager(UnixDatagram);

impl Manager {
    fn at(rig: &Rig) -> Self {
        let socket = UnixDatagram::bind(rig.folder.file("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a bound");
        Self(socket)
    }

    /// The next word, which must begin so.
    #[track_caller]
    fn hears(&self, beginning: &str) -> String {
        let mut text = [0; 4096];
        let length = self.0.recv(&mut text).unwrap_or_else(|fault| panic!("no {beginning}: {fault}"));
        let word = String::from_utf8_lossy(&text[..length]).into_owned();
        assert!(word.starts_with(beginning), "{word}");
        word
    }
}

/// Both processes speak, in whatever order; the former names the new one, which the manager believes because it is still the main one, and has it
/// read its configuration once more: a reload may have been asked of the former alone.
#[track_caller]
fn succeeds(manager: &Manager, successor: u32) {
    let mut words = [(); 4].map(|()| manager.hears(""));
    words.sort();
    let [main, ready, again, reloading] = words;
    assert_eq!(main, format!("MAINPID={successor}"));
    assert_eq!([ready.as_str(), again.as_str()], ["READY=1\nSTATUS=serving, generation 1"; 2]);
    assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
}

#[test]
fn sockets_that_systemd_opened_are_served_and_systemd_is_told_how_it_goes() {
    // The manager says when to read; a reload by itself would be one word more.
    let rig = Scene::default().routing("drain: {", "reload: { watch: null }\ndrain: {").raise(&BINARIES);
    let file = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    let link = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = link.local_addr().expect("its address");
    // What systemd opens may stand anywhere; and nobody can bind what the file says.
    let file = file.replace("unix:r.sock", "unix:a.sock").replace("routing.events", "activated.events");
    rig.folder.write("activated.yaml", &file.replace("127.0.0.1:0", &rig.routing.listener("link").to_string()));
    let admin = UnixListener::bind(rig.folder.file("a.sock")).expect("a socket");
    let mode = || std::fs::metadata(rig.folder.file("a.sock")).expect("the socket's file").permissions().mode() & 0o777;
    std::fs::set_permissions(rig.folder.file("a.sock"), Permissions::from_mode(0o640)).expect("its mode");
    let manager = Manager::at(&rig);

    // One more that nobody asked for: it serves nothing.
    let strange = TcpListener::bind("127.0.0.1:0").expect("a port");
    let sockets = vec![("strange", strange.into()), ("admin", admin.into()), ("link", link.into())];
    let config = rig.folder.file("activated.yaml");
    let mut command = activated(BINARIES.routing, &config, sockets);
    command.env("NOTIFY_SOCKET", rig.folder.file("notify"));
    let tier = Process::run("routing-gw", &mut command, &config.with_extension("log"), &rig.folder.file("a.sock"));
    // It holds the sockets too, and would keep their queues open.
    drop(command);
    assert_eq!(manager.hears("READY=1\n"), "READY=1\nSTATUS=serving, generation 1");
    let page = tier.page("/generation");
    assert_eq!(page["listeners"]["link"], address.to_string());
    assert_eq!(page["pid"], tier.id(), "the process that the manager started is the one that serves");

    rig.folder.write("activated.yaml", &(std::fs::read_to_string(&config).expect("the file") + "# touched\n"));
    tier.signal("HUP");
    assert!(manager.hears("RELOADING=1\nMONOTONIC_USEC=").contains("STATUS="));
    assert_eq!(manager.hears("READY=1\n"), "READY=1\nSTATUS=serving, generation 2");

    let successor = tier.upgrade();
    succeeds(&manager, successor);
    tier.wait_for_former();
    assert_eq!(tier.listener("link"), address);
    // That the socket is systemd's is known to every process after it.
    let successor = tier.upgrade();
    succeeds(&manager, successor);
    tier.wait_for_former();
    assert_eq!(tier.listener("link"), address);
    assert_eq!(mode(), 0o640, "the mode that systemd gave it is no other one's to change");

    tier.terminate();
    assert_eq!(manager.hears("STOPPING=1\n"), "STOPPING=1\nSTATUS=draining (SIGTERM)");
    until("it ends", || (!tier.is_alive()).then_some(()));
}

#[test]
fn a_socket_that_reaches_further_than_the_configuration_is_not_served() {
    let rig = Rig::two_tier(&BINARIES);
    let file = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    rig.folder.write("wide.yaml", &file.replace("unix:r.sock", "unix:w.sock").replace("routing.events", "wide.events"));
    let wide = TcpListener::bind("0.0.0.0:0").expect("a port");
    let config = rig.folder.file("wide.yaml");
    let mut command = activated(BINARIES.routing, &config, vec![("link", wide.into())]);
    let tier = Process::run("routing-gw", &mut command, &config.with_extension("log"), &rig.folder.file("w.sock"));
    assert_eq!(tier.wait().code(), Some(1));
    assert!(tier.log().contains("`link` listens on 0.0.0.0:"), "{}", tier.log());
}
