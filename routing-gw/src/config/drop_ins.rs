//! Drop-ins: a folder in which each team keeps its services and routes in a file of its own.
//!
//! In: the main file's services and routes, the folder, what served before. Out: all services and routes together, and every drop-in that was set
//! aside. A drop-in may use the main file's services and its own. Refuses: a folder that cannot be listed; of one drop-in, the whole, for anything
//! that is wrong in it: syntax, an unknown key, an unknown service, a variable, a file outside of the folder, a name that another file has, a route
//! that a request fits which another file's route takes too. What served before of such a drop-in stays in use where it still fits. Never: lets
//! one team's mistake cost another team, or the main file, anything.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use host::tier::Aside;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use upstream::config::ServiceConfig;
use upstream::plan::ServicePlan;

use crate::config::plan::DropInPlan;
use crate::config::rivals;
use crate::config::routes::{self, ROUTES_MAX, RouteConfig, RoutePlan};
use crate::config::side_files;
use crate::route::claims::Claims;

/// Drop-ins of one configuration at most.
const DROP_INS_MAX: usize = 1_000;

/// Bytes of one drop-in at most.
const DROP_IN_BYTES_MAX: usize = 1024 * 1024;

/// One drop-in as written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropInConfig {
    /// Services of this drop-in alone, by name.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// Routes to these services, or to those of the main file.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
}

/// What serves of drop-ins, by file name.
pub type Served = BTreeMap<String, DropInPlan>;

/// The main file and every drop-in together.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// All services.
    pub services: Vec<ServicePlan>,
    /// All routes.
    pub routes: Vec<RoutePlan>,
    /// The drop-ins that are part of it, by file name.
    pub drop_ins: Served,
    /// Those that are not, or not as they are written.
    pub aside: Vec<Aside>,
}

impl Whole {
    /// The main file alone.
    #[must_use]
    pub fn of(main: DropInPlan) -> Self {
        Self { services: main.services, routes: main.routes, ..Self::default() }
    }
}

/// One file of the folder on its way into the whole.
#[derive(Debug)]
pub(crate) struct DropIn {
    pub(crate) name: String,
    /// What of it is to serve: what is written, or what served before, or nothing.
    pub(crate) plan: Option<DropInPlan>,
    /// What served of it before, where the main file leaves room for it.
    pub(crate) former: Option<DropInPlan>,
    /// All that is wrong with what is written.
    pub(crate) report: Report,
}

impl DropIn {
    /// What is written is not used.
    pub(crate) fn fall_back(&mut self) {
        self.plan = self.former.clone();
    }
}

/// Reads every drop-in of `folder`. `None` when the folder itself is at fault, which is a complaint about the main file.
///
/// `signs` says whether this tier has keys of its own; `body_bytes_max` is the ceiling of the process.
pub fn gather(
    folder: &Path,
    main: DropInPlan,
    signs: bool,
    body_bytes_max: u64,
    files: &Files,
    before: Option<&Served>,
    report: &mut Report,
) -> Option<Whole> {
    let names = files.list(folder, ".yaml", DROP_INS_MAX).map_err(|what| {
        report.complain("drop_ins", what, "name a folder that exists and that this user may read, or take the key out");
    });
    let taken = Taken::by(&main, signs);
    let mut drop_ins = Vec::new();
    for name in names.ok()? {
        let mut report = Report::new();
        let plan = read(&folder.join(&name), body_bytes_max, files, &taken, &mut report).filter(|_| report.is_clean());
        let former = before.and_then(|before| before.get(&name)).filter(|former| taken.leaves_room_for(former)).cloned();
        drop_ins.push(DropIn { name, plan: plan.or_else(|| former.clone()), former, report });
    }
    rivals::part(&mut drop_ins);
    rivals::hold_to(ROUTES_MAX.saturating_sub(main.routes.len()), &mut drop_ins);
    let mut whole = Whole::of(main);
    for DropIn { name, plan, report, .. } in drop_ins {
        if !report.is_clean() {
            let detail = if plan.is_some() { "its former version stays in use" } else { "its routes are not served" };
            let complaints = report.complaints().to_vec();
            whole.aside.push(Aside { name: format!("drop-in {name}"), complaints, detail: detail.to_owned() });
        }
        if let Some(plan) = plan {
            whole.services.extend(plan.services.iter().cloned());
            whole.routes.extend(plan.routes.iter().cloned());
            whole.drop_ins.insert(name, plan);
        }
    }
    Some(whole)
}

fn read(path: &Path, body_bytes_max: u64, files: &Files, taken: &Taken, report: &mut Report) -> Option<DropInPlan> {
    let shown = files.resolve(path).display().to_string();
    let beside = files.within(path.parent().unwrap_or(Path::new("")));
    let text = match side_files::outside(path.file_name().map(Path::new).unwrap_or(path), &beside) {
        Some(what) => Err(what),
        None => files.read_text(path, DROP_IN_BYTES_MAX),
    };
    let text = match text {
        Ok(text) => text,
        Err(what) => {
            // An empty document gives the complaint its file.
            let _ = settings::read::read_drop_in::<DropInConfig>(&shown, "{}", report);
            report.complain("", what, "mend the file, or take it out of the folder");
            return None;
        }
    };
    let config: DropInConfig = settings::read::read_drop_in(&shown, &text, report)?;
    let mut services = Vec::with_capacity(config.services.len());
    for (name, service) in &config.services {
        let key = format!("services.{name}");
        if taken.services.contains(name) {
            report.complain(&key, format!("the main file has a service {name:?} too"), ANOTHER_NAME_OF_A_SERVICE);
        }
        if taken.audiences.contains(name) {
            let what = format!("a route of the main file vouches for callers to the audience {name:?}, which would be this service too");
            report.complain(&key, what, ANOTHER_NAME_OF_A_SERVICE);
        }
        // What lies outside is not even opened.
        let inside = side_files::check(service, &key, &beside, report);
        let plan = if inside { service.check(&key, &beside, report) } else { None };
        // A file that is read again later may be another one then.
        services.push(plan.map(|plan| ServicePlan { discover: plan.discover.clone().confined(beside.base()), ..plan }));
    }
    for service in services.iter().flatten() {
        if service.cookie().is_some_and(|cookie| taken.cookies.contains(cookie)) {
            complain_about_cookie(service, "a service of the main file", report);
        }
    }
    complain_about_cookies(services.iter().flatten(), report);
    let known = config.services.keys().chain(&taken.services).map(String::as_str);
    // A team could have callers vouched for to another team's service, and show it what it got.
    for (index, _) in config.routes.iter().enumerate().filter(|(_, route)| route.identity.named_audience().is_some()) {
        let what = "a drop-in names no audience: its instances could pass for the caller there";
        report.complain(&format!("routes[{index}].assert.audience"), what, "write `assert: true`, which means the service");
    }
    let routes = routes::check(&config.routes, known, taken.signs, body_bytes_max, report);
    // Only as long as none was left out do places in the plan say places in the file.
    if routes.len() == config.routes.len() {
        for (index, route) in routes.iter().enumerate() {
            taken.complain_about(route, index, report);
        }
    }
    Some(DropInPlan { services: services.into_iter().collect::<Option<_>>()?, routes })
}

/// Whom a route vouches for callers to, where that is not its service.
fn named_audience(route: &RoutePlan) -> Option<String> {
    route.identity.as_deref().filter(|audience| *audience != route.service).map(str::to_owned)
}

/// Complains of each service whose sticky cookie has the name of one before it.
pub(crate) fn complain_about_cookies<'s>(services: impl Iterator<Item = &'s ServicePlan>, report: &mut Report) {
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    for service in services {
        let Some(cookie) = service.cookie() else { continue };
        match known.get(cookie) {
            Some(other) => complain_about_cookie(service, &format!("the service {other:?}"), report),
            None => drop(known.insert(cookie, &service.name)),
        }
    }
}

/// Complains of a sticky cookie that has the name of somebody else's.
pub(crate) fn complain_about_cookie(service: &ServicePlan, whose: &str, report: &mut Report) {
    let what = format!("{whose} has a cookie {:?} too, and a browser keeps one of them", service.cookie().unwrap_or_default());
    let remedy = "give each its own, or leave `cookie` out: it is gw-instance-NAME then";
    report.complain(&format!("services.{}.sticky.cookie", service.name), what, remedy);
}

/// What to do about a service of another file.
pub(crate) const ANOTHER_NAME_OF_A_SERVICE: &str = "give each service its own name, as in TEAM-NAME";

/// Complains about a route whose name another file has.
pub(crate) fn complain_about_name(route: &RoutePlan, index: usize, home: &str, report: &mut Report) {
    let what = format!("{home} has a route {:?} too", route.name);
    report.complain(&format!("routes[{index}].name"), what, "give each route its own name, as in TEAM-NAME");
}

/// Complains about a route that shares requests with one of another file.
pub(crate) fn complain_about_path(route: &RoutePlan, index: usize, other: &str, home: &str, report: &mut Report) {
    let what = format!("requests that fit the route {:?} fit {other:?} in {home} too", route.name);
    let remedy = "tell them apart by path, host or method; to be more specific than another file is not enough";
    report.complain(&format!("routes[{index}].path"), what, remedy);
}

/// What the main file has, which no drop-in may take.
#[derive(Debug)]
struct Taken {
    services: Vec<String>,
    /// The names of sticky cookies.
    cookies: HashSet<String>,
    names: HashSet<String>,
    paths: Claims<String>,
    /// Whom callers are vouched for to.
    audiences: HashSet<String>,
    /// Whether this tier has keys of its own.
    signs: bool,
}

impl Taken {
    fn by(main: &DropInPlan, signs: bool) -> Self {
        let mut paths = Claims::default();
        for route in &main.routes {
            paths.add(&route.pattern, &route.demands, route.name.clone());
        }
        Self {
            services: main.services.iter().map(|service| service.name.to_string()).collect(),
            cookies: main.services.iter().filter_map(ServicePlan::cookie).map(str::to_owned).collect(),
            names: main.routes.iter().map(|route| route.name.clone()).collect(),
            paths,
            audiences: main.routes.iter().filter_map(named_audience).collect(),
            signs,
        }
    }

    fn rival(&self, route: &RoutePlan) -> Option<&String> {
        self.paths.find(&route.pattern, &route.demands, |_| true)
    }

    fn complain_about(&self, route: &RoutePlan, index: usize, report: &mut Report) {
        if self.names.contains(&route.name) {
            complain_about_name(route, index, "the main file", report);
        }
        if let Some(other) = self.rival(route) {
            complain_about_path(route, index, other, "the main file", report);
        }
    }

    /// Whether what served before can serve beside the main file as it is now.
    fn leaves_room_for(&self, plan: &DropInPlan) -> bool {
        let own: HashSet<&str> = plan.services.iter().map(|service| &*service.name).collect();
        self.services.iter().chain(&self.audiences).all(|service| !own.contains(service.as_str()))
            && plan.services.iter().filter_map(ServicePlan::cookie).all(|cookie| !self.cookies.contains(cookie))
            && plan.routes.iter().all(|route| {
                let has_service = own.contains(route.service.as_str()) || self.services.contains(&route.service);
                let may_sign = self.signs || route.identity.is_none();
                has_service && may_sign && !self.names.contains(&route.name) && self.rival(route).is_none()
            })
    }
}

#[cfg(test)]
#[path = "drop_ins_tests.rs"]
mod tests;
