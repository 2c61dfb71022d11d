//! What cannot change while the process runs.
//!
//! In: the process as it is, and as the file now means it. Out: a complaint for each difference, at its line and key, with both values. Refuses: another
//! set of listeners, another address, number of workers, operator's door, name; other logs, records, traces, DNS servers, roots. Never:
//! compares certificates, users, limits or the drain: those are taken over.

use std::fmt::Display;

use serde_json::Value;
use settings::report::Report;

use crate::plan::{AdminPlan, HostPlan};

const REMEDY: &str = "restart the process, or run `gwctl upgrade`, to take it; or write the former value";

/// Compares both plans; `shown` are both files as they may be seen, in the same order.
pub(crate) fn compare(before: &HostPlan, now: &HostPlan, shown: (&Value, &Value), report: &mut Report) {
    let mut differ = |key: &str, before: &dyn Display, now: &dyn Display| {
        let what = format!("the running process has {before}, the file says {now}, and this cannot change while the process runs");
        report.complain(key, what, REMEDY);
    };
    if before.name != now.name {
        differ("name", &before.name, &now.name);
    }
    if before.workers != now.workers {
        differ("workers", &before.workers, &now.workers);
    }
    listeners(before, now, &mut differ);
    admin(&before.admin, &now.admin, &mut differ);
    let sections = [
        ("logs", before.logs == now.logs),
        ("records", before.records == now.records),
        ("traces", before.traces == now.traces),
        ("dns", before.dns_servers == now.dns_servers),
        ("roots", before.roots == now.roots),
    ];
    for (section, is_same) in sections {
        if !is_same {
            let (key, before, now) = narrowed(section, &shown.0[section], &shown.1[section]);
            differ(&key, &written(before), &written(now));
        }
    }
    if before.roots == now.roots && before.roots_seen != now.roots_seen {
        let what = "the content of the file has changed, and the running process goes on believing the roots that it began with";
        report.complain("roots.ca_file", what, "restart the process, or run `gwctl upgrade`, to take it; or write the former content");
    }
}

type Differ<'a> = &'a mut dyn FnMut(&str, &dyn Display, &dyn Display);

fn listeners(before: &HostPlan, now: &HostPlan, differ: Differ<'_>) {
    let names = |plan: &HostPlan| plan.listeners.iter().map(|listener| listener.name.to_string()).collect::<Vec<_>>().join(", ");
    if names(before) != names(now) {
        differ("listen", &format!("the listeners {}", names(before)), &names(now));
        return;
    }
    for (index, (before, now)) in before.listeners.iter().zip(&now.listeners).enumerate() {
        if before.address != now.address {
            differ(&format!("listen[{index}].address"), &before.address, &now.address);
        }
        if before.mode != now.mode {
            differ(&format!("listen[{index}].unix.mode"), &octal(before.mode), &octal(now.mode));
        }
    }
}

fn admin(before: &AdminPlan, now: &AdminPlan, differ: Differ<'_>) {
    if before.address != now.address {
        differ("admin.address", &before.address, &now.address);
    }
    if before.mode != now.mode {
        differ("admin.unix.mode", &octal(before.mode), &octal(now.mode));
    }
    if before.uids != now.uids {
        let list = |uids: &Option<Vec<u32>>| uids.as_ref().map_or("its default".to_owned(), |uids| format!("{uids:?}"));
        differ("admin.unix.uids", &list(&before.uids), &list(&now.uids));
    }
}

fn octal(mode: u32) -> String {
    format!("\"{mode:04o}\"")
}

/// The deepest key at which alone both differ.
fn narrowed<'v>(key: &str, before: &'v Value, now: &'v Value) -> (String, &'v Value, &'v Value) {
    if let (Value::Object(one), Value::Object(other)) = (before, now) {
        let names: Vec<&String> = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))).collect();
        let mut differing = names.into_iter().filter(|name| before[*name] != now[*name]);
        if let (Some(name), None) = (differing.next(), differing.next()) {
            return narrowed(&format!("{key}.{name}"), &before[name], &now[name]);
        }
    }
    (key.to_owned(), before, now)
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => "its default".to_owned(),
        value => value.to_string(),
    }
}
