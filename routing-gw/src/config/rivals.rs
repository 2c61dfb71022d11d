//! Drop-ins that want the same: who keeps it.
//!
//! In: all drop-ins, each good by itself and beside the main file. Out: the same without rivals, complaints with those that lost. Of two that want
//! the same name or the same requests the one keeps it that served it before, and the other is set aside; where neither or both did, both are.
//! Never: decides by the name of a file, or by which was read first.

use std::collections::{BTreeSet, HashMap};

use crate::config::drop_ins::{ANOTHER_NAME_OF_A_SERVICE, DropIn, complain_about_cookie, complain_about_name, complain_about_path};
use crate::config::plan::DropInPlan;
use crate::route::claims::Claims;

/// Sets rivals aside until none are left.
pub(crate) fn part(drop_ins: &mut [DropIn]) {
    // Whoever loses falls back on what served before, which may be what another one wanted; nobody falls twice.
    for _ in 0..drop_ins.len() {
        let held = Held::by(drop_ins);
        let losers = losers(drop_ins, &held);
        if losers.is_empty() {
            return;
        }
        for (loser, winner) in &losers {
            if let Some(loser) = drop_ins.get_mut(*loser) {
                held.complain(loser, *winner);
            }
        }
        for (loser, _) in losers {
            if let Some(loser) = drop_ins.get_mut(loser) {
                loser.fall_back();
            }
        }
    }
}

/// Sets aside what has more routes than there is room for: newcomers first, then those that have grown.
pub(crate) fn hold_to(routes_max: usize, drop_ins: &mut [DropIn]) {
    let count = |plan: &Option<DropInPlan>| plan.as_ref().map_or(0, |plan| plan.routes.len());
    let mut order: Vec<&mut DropIn> = drop_ins.iter_mut().collect();
    order.sort_by_key(|drop_in| (drop_in.former.is_none(), count(&drop_in.plan) > count(&drop_in.former)));
    let mut sum = 0;
    for drop_in in order {
        if sum + count(&drop_in.plan) > routes_max {
            let what = format!("there would be {} routes in all drop-ins", sum + count(&drop_in.plan));
            drop_in.report.complain("routes", what, format!("keep at most {routes_max}"));
            drop_in.fall_back();
            drop_in.plan.take_if(|plan| sum + plan.routes.len() > routes_max);
        }
        sum += count(&drop_in.plan);
    }
}

/// Each that lost, with whom it lost to.
fn losers(drop_ins: &[DropIn], held: &Held) -> BTreeSet<(usize, usize)> {
    let mut losers = BTreeSet::new();
    for (place, drop_in) in drop_ins.iter().enumerate() {
        for rival in held.rivals(place, drop_in.plan.as_ref()) {
            let Some(other) = drop_ins.get(rival) else { continue };
            // What is set aside already serves as it did before.
            let was = |one: &DropIn, other: &DropIn| !one.report.is_clean() || meet(one.former.as_ref(), other.plan.as_ref());
            let (ours, theirs) = (was(drop_in, other), was(other, drop_in));
            if drop_in.report.is_clean() && (theirs || !ours) {
                losers.insert((place, rival));
            }
            if other.report.is_clean() && (ours || !theirs) {
                losers.insert((rival, place));
            }
        }
    }
    losers
}

/// Whether two plans want the same of anything.
fn meet(one: Option<&DropInPlan>, other: Option<&DropInPlan>) -> bool {
    let mut held = Held::default();
    held.add(0, "", one);
    !held.rivals(1, other).is_empty()
}

/// What drop-ins want, by what it is.
#[derive(Debug, Default)]
struct Held {
    services: HashMap<String, BTreeSet<usize>>,
    cookies: HashMap<String, BTreeSet<usize>>,
    names: HashMap<String, BTreeSet<usize>>,
    paths: Claims<(usize, String)>,
    homes: HashMap<usize, String>,
}

impl Held {
    fn by(drop_ins: &[DropIn]) -> Self {
        let mut held = Self::default();
        for (place, drop_in) in drop_ins.iter().enumerate() {
            held.add(place, &drop_in.name, drop_in.plan.as_ref());
        }
        held
    }

    fn add(&mut self, place: usize, home: &str, plan: Option<&DropInPlan>) {
        self.homes.insert(place, home.to_owned());
        let Some(plan) = plan else { return };
        for service in &plan.services {
            self.services.entry(service.name.to_string()).or_default().insert(place);
            if let Some(cookie) = service.cookie() {
                self.cookies.entry(cookie.to_owned()).or_default().insert(place);
            }
        }
        for route in &plan.routes {
            self.names.entry(route.name.clone()).or_default().insert(place);
            self.paths.add(&route.pattern, &route.demands, (place, route.name.clone()));
        }
    }

    /// Everybody else who wants something that `plan` wants.
    fn rivals(&self, place: usize, plan: Option<&DropInPlan>) -> BTreeSet<usize> {
        let mut rivals = BTreeSet::new();
        let Some(plan) = plan else { return rivals };
        rivals.extend(plan.services.iter().filter_map(|service| self.services.get(&*service.name)).flatten());
        rivals.extend(plan.services.iter().filter_map(|service| self.cookies.get(service.cookie()?)).flatten());
        rivals.extend(plan.routes.iter().filter_map(|route| self.names.get(&route.name)).flatten());
        for route in &plan.routes {
            while let Some((rival, _)) =
                self.paths.find(&route.pattern, &route.demands, |(rival, _)| *rival != place && !rivals.contains(rival))
            {
                rivals.insert(*rival);
            }
        }
        rivals.remove(&place);
        rivals
    }

    /// Tells the loser everything that the winner has too.
    fn complain(&self, loser: &mut DropIn, winner: usize) {
        let (Some(plan), Some(home)) = (&loser.plan, self.homes.get(&winner)) else { return };
        let has = |owners: Option<&BTreeSet<usize>>| owners.is_some_and(|owners| owners.contains(&winner));
        for service in plan.services.iter().filter(|service| has(self.services.get(&*service.name))) {
            let what = format!("{home} has a service {:?} too", service.name);
            loser.report.complain(&format!("services.{}", service.name), what, ANOTHER_NAME_OF_A_SERVICE);
        }
        for service in plan.services.iter().filter(|service| has(service.cookie().and_then(|cookie| self.cookies.get(cookie)))) {
            complain_about_cookie(service, &format!("a service of {home}"), &mut loser.report);
        }
        for (index, route) in plan.routes.iter().enumerate() {
            if has(self.names.get(&route.name)) {
                complain_about_name(route, index, home, &mut loser.report);
            }
            if let Some((_, other)) = self.paths.find(&route.pattern, &route.demands, |(owner, _)| *owner == winner) {
                complain_about_path(route, index, other, home, &mut loser.report);
            }
        }
    }
}
