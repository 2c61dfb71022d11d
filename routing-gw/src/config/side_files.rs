//! Files and sockets that a drop-in names.
//!
//! In: a service of a drop-in, and the folder. Out: whether all that it names lies in the folder, with complaints about what does not. Refuses:
//! absolute paths, `..`, links that lead out of the folder. Never: opens a file; who may write a drop-in may not read by it what the gateway may.

use std::path::{Component, Path};

use settings::files::Files;
use settings::report::Report;
use upstream::config::ServiceConfig;
use upstream::config::discover::DiscoverConfig;
use upstream::config::tls::InstanceTlsConfig;

/// Whether everything that `service` at `key` names lies below the folder of `files`.
pub(crate) fn check(service: &ServiceConfig, key: &str, files: &Files, report: &mut Report) -> bool {
    let mut named = Vec::new();
    // All parts are listed, so that one that is new is thought of here.
    if let Some(InstanceTlsConfig { ca, certificate, key, server_name: _, peers: _ }) = &service.tls {
        named.extend([("tls.ca", Some(ca)), ("tls.certificate", certificate.as_ref()), ("tls.key", key.as_ref())]);
    }
    match &service.discover {
        DiscoverConfig::Unix { path } => named.push(("discover.path", Some(path))),
        DiscoverConfig::File { path } => named.push(("discover.path", Some(path))),
        DiscoverConfig::Static { addresses: _ } | DiscoverConfig::Dns { name: _, port: _ } | DiscoverConfig::Srv { name: _ } => {}
    }
    let mut inside = true;
    for (part, path) in named.into_iter().filter_map(|(part, path)| path.map(|path| (part, Path::new(path)))) {
        if let Some(what) = outside(path, files) {
            report.complain(&format!("{key}.{part}"), what, "put it into the folder of drop-ins, and write its path from there");
            inside = false;
        }
    }
    inside
}

/// What is wrong with a path that leads out of the folder. One that leads nowhere is somebody else's to complain about.
pub(crate) fn outside(path: &Path, files: &Files) -> Option<String> {
    if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Some(format!("{path:?} leads out of the folder of drop-ins"));
    }
    let resolved = files.resolve(path);
    let (Ok(folder), Ok(target)) = (files.base().canonicalize(), resolved.canonicalize()) else { return None };
    if target.starts_with(folder) {
        return None;
    }
    // The link may be mended.
    let _ = files.watched(path);
    Some(format!("{path:?} is a link that leads out of the folder of drop-ins"))
}
