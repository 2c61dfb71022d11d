//! Everything that a fresh demo writes before it starts a process.
//!
//! In: the folder and the ports. Out: certificates, keys, tokens, both configurations, the zone, empty logs. Never: keeps
//! a secret of a former demo.

use std::fs;
use std::net::Ipv4Addr;

use settings::clock::Clock;

use crate::demo::part::{PARTS, Part};
use crate::demo::pids::Pids;
use crate::demo::place::Place;
use crate::demo::ports::Ports;
use crate::fault::Fault;
use crate::private_file::{write_private, write_public};
use crate::stage::certificates::{Authority, CertificateFault, Purpose, San, Validity};
use crate::stage::issuer::{Issuer, TOKEN_LIFE_SECONDS, USERS};
use crate::stage::link_key::{KeyFault, LinkKey};
use crate::stage::token_key::TokenKey;

/// Tier 1's configuration; words in `@…@` are addresses.
const SECURITY_YAML: &str = include_str!("security-gw.yaml.template");
/// Tier 2's configuration.
const ROUTING_YAML: &str = include_str!("routing-gw.yaml.template");
/// A demo's certificates are valid for so long.
const CERTIFICATE_DAYS: u32 = 90;
/// `expired.jwt` expired an hour ago.
const EXPIRED_SECONDS: i64 = -3600;

/// Writes all files of a demo into `place`.
///
/// # Errors
/// When the folder cannot be written, or the machine gives no randomness.
pub fn prepare(place: &Place, ports: Ports, clock: &Clock) -> Result<(), Fault> {
    clear(place)?;
    place.remember(ports)?;
    certificates(place, clock)?;
    link_key(place)?;
    tokens(place, ports, clock)?;
    let texts = [
        (place.security_yaml(), filled(SECURITY_YAML, ports)),
        (place.routing_yaml(), filled(ROUTING_YAML, ports)),
        (place.zone(), zone(ports)),
    ];
    for (path, text) in texts {
        write_public(&path, text.as_bytes()).map_err(|error| Fault::file(&path, &error))?;
    }
    // Records say who did what.
    for path in [place.access_log(), place.events_log(), place.routing_events_log()] {
        write_private(&path, b"").map_err(|error| Fault::file(&path, &error))?;
    }
    Ok(())
}

/// Takes away what a former demo has logged; a part of then (`orders-4`) need not be a part of now.
fn clear(place: &Place) -> Result<(), Fault> {
    Pids::of(place).clear()?;
    let entries = fs::read_dir(place.dir()).map_err(|error| Fault::file(place.dir(), &error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.parse::<Part>().is_ok());
        if ours && path.extension().is_some_and(|kind| kind == "log" || kind == "ledger") {
            fs::remove_file(&path).map_err(|error| Fault::file(&path, &error))?;
        }
    }
    Ok(())
}

fn certificates(place: &Place, clock: &Clock) -> Result<(), Fault> {
    let made = |error: CertificateFault| Fault::machine("make certificates", &error);
    let validity = Validity::days(clock.now_s(), CERTIFICATE_DAYS);
    let authority = Authority::new("gateway demo CA", validity).map_err(made)?;
    let path = place.ca();
    write_public(&path, authority.pem().as_bytes()).map_err(|error| Fault::file(&path, &error))?;
    let local = [San::Dns("localhost".to_owned()), San::Ip(Ipv4Addr::LOCALHOST.into())];
    let named = |name: &str| [San::Dns(name.to_owned())];
    let leaves = [
        ("server", authority.issue(Purpose::Server, "localhost", &local, validity)),
        ("routing-gw", authority.issue(Purpose::Server, "routing-gw.demo", &named("routing-gw.demo"), validity)),
        ("security-gw", authority.issue(Purpose::Client, "security-gw.demo", &named("security-gw.demo"), validity)),
    ];
    for (name, leaf) in leaves {
        leaf.map_err(made)?.write(place.dir(), name).map_err(|error| Fault::file(place.dir(), &error))?;
    }
    Ok(())
}

fn link_key(place: &Place) -> Result<(), Fault> {
    let made = |fault: KeyFault| Fault::machine("make the link's signing key", &fault);
    let key = LinkKey::new(Some("link-1")).map_err(made)?;
    let (private, public) = (place.link_key(), place.link_jwks());
    write_private(&private, key.pem().as_bytes()).map_err(|error| Fault::file(&private, &error))?;
    write_public(&public, key.jwks().map_err(made)?.as_bytes()).map_err(|error| Fault::file(&public, &error))
}

fn tokens(place: &Place, ports: Ports, clock: &Clock) -> Result<(), Fault> {
    let made = |fault: KeyFault| Fault::machine("make tokens", &fault);
    let key = TokenKey::new().map_err(made)?;
    let path = place.issuer_key();
    write_private(&path, key.pem().as_bytes()).map_err(|error| Fault::file(&path, &error))?;
    let issuer = Issuer::new(&format!("http://{}", ports.issuer()), key, clock.clone());
    let [editor, reader] = &USERS;
    for (name, user, life_s) in
        [("editor", editor, TOKEN_LIFE_SECONDS), ("reader", reader, TOKEN_LIFE_SECONDS), ("expired", editor, EXPIRED_SECONDS)]
    {
        let token = issuer.mint(user, user.scopes, life_s).map_err(made)?;
        let path = place.token(name);
        write_private(&path, token.as_bytes()).map_err(|error| Fault::file(&path, &error))?;
    }
    Ok(())
}

fn filled(template: &str, ports: Ports) -> String {
    let words = [
        ("@security-gw@", ports.security_gw().to_string()),
        ("@security-gw-port@", ports.security_gw().port().to_string()),
        ("@redirect@", ports.redirect().to_string()),
        ("@security-admin@", ports.security_admin().to_string()),
        ("@routing-gw@", ports.routing_gw().to_string()),
        ("@routing-gw-port@", ports.routing_gw().port().to_string()),
        ("@routing-admin@", ports.routing_admin().to_string()),
        ("@issuer@", ports.issuer().to_string()),
        ("@dns@", ports.dns().to_string()),
        ("@users-port@", ports.users(1).port().to_string()),
    ];
    words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value))
}

fn zone(ports: Ports) -> String {
    let mut text = "; The zone demo., served by the demo's DNS server. Edit it: the server looks at it ten times a second.\n\
                    ; NAME TTL TYPE DATA; types A, AAAA, SRV (PRIORITY WEIGHT PORT TARGET), CNAME.\n"
        .to_owned();
    let tier2 = format!("routing-gw.demo. 2 A {}", ports.routing_gw().ip());
    let instances = PARTS.iter().filter_map(|part| Some(part.zone_lines(*part.addresses(ports).first()?)));
    for line in instances.flatten().chain([tier2]) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::stage::zone::Zone;

    #[test]
    fn a_fresh_demo_has_all_its_files_and_no_word_left_unfilled() {
        let dir = std::env::temp_dir().join(format!("gwctl-prepare-{}", std::process::id()));
        let (place, ports) = (Place::made(&dir).unwrap(), Ports::shifted(100).unwrap());
        fs::write(place.ledger(Part::Orders(4)), "old").unwrap();
        fs::write(dir.join("notes.log"), "the user's own").unwrap();
        prepare(&place, ports, &Clock::system()).unwrap();
        assert!(!place.ledger(Part::Orders(4)).exists());
        assert!(dir.join("notes.log").exists());
        for name in
            ["ca.pem", "server.pem", "routing-gw.pem", "security-gw.pem", "link.jwks.json", "access.log", "events.log", "zone", "pids"]
        {
            assert!(dir.join(name).exists(), "{name}");
        }
        for name in
            ["server.key", "routing-gw.key", "security-gw.key", "link-signing.pem", "issuer.key", "editor.jwt", "reader.jwt", "expired.jwt"]
        {
            assert_eq!(fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        for path in [place.security_yaml(), place.routing_yaml()] {
            let text = fs::read_to_string(path).unwrap();
            assert!(!text.contains('@'), "{text}");
            assert!(text.contains("127.0.0.1:9653"), "the DNS server stands in both, shifted: {text}");
        }
        let zone = Zone::parse("demo.", &fs::read_to_string(place.zone()).unwrap()).unwrap();
        assert_eq!(zone.records(), 3 * 2 + 2 + 1);
        assert_eq!(place.ports().unwrap(), ports);
        fs::remove_dir_all(&dir).unwrap();
    }
}
