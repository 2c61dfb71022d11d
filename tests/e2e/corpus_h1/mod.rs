//! The corpus of hostile HTTP/1: malformed and ambiguous requests, each with the exact answer, the exact reason on record, and nobody who served it.
//!
//! Behind each hostile request a lawful one waits in the same write, the canary, which must never be served: what follows a request that two readers
//! could end in two places may be anybody's. Beside each family stand lawful twins, behind which the canary is served.
//! All of it goes over the wire to both real tiers; one rig serves all cases, and a case finds its records by the port that it came from.

mod case;
mod chunks;
mod encodings;
mod first_line;
mod hosts;
mod lengths;
mod lines;
mod names;
mod options;
mod sequences;
mod sizes;
mod targets;
mod trailers;
mod trial;

use std::collections::HashSet;

use tests::rig::Rig;

use crate::BINARIES;
use crate::corpus_h1::case::Family;
use crate::corpus_h1::trial::{Ports, Trial, judge};

/// Hostile cases that the corpus has at least.
const HOSTILE_MIN: usize = 200;

/// Families of which not a head reaches tier 2, as opposed to those with a lawful head or a lawful request in front.
fn families_of_heads() -> Vec<Family> {
    vec![lines::family(), names::family(), encodings::family(), hosts::family(), first_line::family(), targets::family(), sizes::family()]
}

fn families_of_more() -> Vec<Family> {
    vec![lengths::family(), chunks::family(), trailers::family(), options::family(), sequences::family()]
}

#[test]
fn no_hostile_request_is_served_nor_what_stands_behind_it() {
    let rig = Rig::two_tier(&BINARIES);
    let (heads, more) = (families_of_heads(), families_of_more());
    let all = || heads.iter().chain(&more);
    let names: HashSet<_> = all().flat_map(|family| family.hostile.iter().map(move |case| (family.name, &case.name))).collect();
    let count: usize = all().map(|family| family.hostile.len()).sum();
    assert_eq!(names.len(), count, "every case has a name of its own");
    assert!(count >= HOSTILE_MIN, "{count} cases");
    assert!(all().all(|family| !family.lawful.is_empty()), "every family has its lawful twins");

    let mut ports = Ports::default();
    let mut send = |family, lawful| send_all(&rig, &mut ports, family, lawful);
    let before = requests_of_tier2(&rig);
    let mut trials: Vec<Trial<'_>> = heads.iter().flat_map(|family| send(family, false)).collect();
    let heard = requests_of_tier2(&rig) - before;
    trials.extend(more.iter().flat_map(|family| send(family, false)));
    trials.extend(all().flat_map(|family| send(family, true)));
    let faults = judge(&rig, &trials);
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), trials.len(), faults.join("\n"));
    assert!(heard.abs() < 0.5, "tier 2 has heard of {heard} requests whose heads are hostile");
}

fn send_all<'a>(rig: &Rig, ports: &mut Ports, family: &'a Family, lawful: bool) -> Vec<Trial<'a>> {
    let cases = if lawful { &family.lawful } else { &family.hostile };
    cases.iter().map(|case| Trial::send(rig, ports, family.name, case, lawful)).collect()
}

fn requests_of_tier2(rig: &Rig) -> f64 {
    ["2xx", "3xx", "4xx", "5xx"].iter().map(|class| rig.routing.metric(&format!("gateway_requests_total{{status=\"{class}\"}}"))).sum()
}
