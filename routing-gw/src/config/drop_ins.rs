//! Drop-ins: a folder in which each team keeps its services and routes in a file of its own.
//!
//! In: the main file's services and routes, the folder, what served before. Out: all services and routes together, and every drop-in that was set
//! aside. A drop-in may use the main file's services and its own. Refuses: a folder that cannot be listed; of one drop-in, the whole, for anything
//! that is wrong in it: syntax, an unknown key, an unknown service, a name or a route that the main file or an earlier drop-in has. What served
//! before of such a drop-in stays in use where it still fits. Never: lets one team's mistake cost another team, or the main file, anything.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use host::tier::Aside;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use upstream::config::ServiceConfig;
use upstream::plan::ServicePlan;

use crate::config::plan::{DropInPlan, RoutingPlan};
use crate::config::routes::{self, ROUTES_MAX, RouteConfig, RoutePlan, overlap, shape};
use crate::route::table::Demands;

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

/// The main file and every drop-in together.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// All services.
    pub services: Vec<ServicePlan>,
    /// All routes.
    pub routes: Vec<RoutePlan>,
    /// The drop-ins that are part of it, by file name.
    pub drop_ins: BTreeMap<String, DropInPlan>,
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

/// Reads every drop-in of `folder`. `None` when the folder itself is at fault, which is a complaint about the main file.
pub fn gather(folder: &Path, main: DropInPlan, files: &Files, before: Option<&RoutingPlan>, report: &mut Report) -> Option<Whole> {
    let names = files.list(folder, ".yaml", DROP_INS_MAX).map_err(|what| {
        report.complain("drop_ins", what, "name a folder that exists and that this user may read, or take the key out");
    });
    let mut taken = Taken::default();
    taken.add(&main, "the main file");
    let own: Vec<String> = main.services.iter().map(|service| service.name.to_string()).collect();
    let mut whole = Whole::of(main);
    for name in names.ok()? {
        let mut report = Report::new();
        let plan = read(&folder.join(&name), files, &own, &taken, &mut report).filter(|_| report.is_clean());
        let plan = match plan {
            Some(plan) => Some(plan),
            None => {
                let former =
                    before.and_then(|before| before.drop_ins.get(&name)).filter(|former| taken.has_room_for(former, &own)).cloned();
                let detail = if former.is_some() { "its former version stays in use" } else { "its routes are not served" };
                whole.aside.push(Aside {
                    name: format!("drop-in {name}"),
                    complaints: report.complaints().to_vec(),
                    detail: detail.to_owned(),
                });
                former
            }
        };
        if let Some(plan) = plan {
            taken.add(&plan, &name);
            whole.services.extend(plan.services.iter().cloned());
            whole.routes.extend(plan.routes.iter().cloned());
            whole.drop_ins.insert(name, plan);
        }
    }
    Some(whole)
}

fn read(path: &Path, files: &Files, main: &[String], taken: &Taken, report: &mut Report) -> Option<DropInPlan> {
    let shown = files.resolve(path).display().to_string();
    let text = files.read_text(path, DROP_IN_BYTES_MAX);
    let environment = |name: &str| std::env::var(name).ok();
    let text = match text {
        Ok(text) => text,
        Err(what) => {
            // An empty document gives the complaint its file.
            let _ = settings::read::read::<DropInConfig>(&shown, "{}", &environment, report);
            report.complain("", what, "mend the file, or take it out of the folder");
            return None;
        }
    };
    let config: DropInConfig = settings::read::read(&shown, &text, &environment, report)?;
    let beside = files.within(path.parent().unwrap_or(Path::new("")));
    let mut services = Vec::with_capacity(config.services.len());
    for (name, service) in &config.services {
        let key = format!("services.{name}");
        if let Some(home) = taken.services.get(name.as_str()) {
            report.complain(&key, format!("{home} has a service {name:?} too"), "give each service its own name, as in TEAM-NAME");
        }
        services.push(service.check(&key, &beside, report));
    }
    let known = config.services.keys().map(String::as_str).chain(main.iter().map(String::as_str));
    let routes = routes::check(&config.routes, known, report);
    // Only as long as none was left out do places in the plan say places in the file.
    if routes.len() == config.routes.len() {
        for (index, route) in routes.iter().enumerate() {
            taken.complain_about(route, index, report);
        }
    }
    if taken.routes + routes.len() > ROUTES_MAX {
        report.complain(
            "routes",
            format!("there would be {} routes in all", taken.routes + routes.len()),
            format!("keep at most {ROUTES_MAX}"),
        );
    }
    Some(DropInPlan { services: services.into_iter().collect::<Option<_>>()?, routes })
}

/// What the main file and earlier drop-ins have, each with the place where it stands.
#[derive(Debug, Default)]
struct Taken {
    services: HashMap<String, String>,
    names: HashMap<String, String>,
    shapes: HashMap<String, Vec<(Demands, String, String)>>,
    routes: usize,
}

impl Taken {
    fn add(&mut self, plan: &DropInPlan, home: &str) {
        self.services.extend(plan.services.iter().map(|service| (service.name.to_string(), home.to_owned())));
        for route in &plan.routes {
            self.names.insert(route.name.clone(), home.to_owned());
            let twins = self.shapes.entry(shape(&route.pattern)).or_default();
            twins.push((route.demands.clone(), route.name.clone(), home.to_owned()));
        }
        self.routes += plan.routes.len();
    }

    /// The route that takes the same requests, and where it stands.
    fn twin(&self, route: &RoutePlan) -> Option<(&str, &str)> {
        let twins = self.shapes.get(&shape(&route.pattern))?;
        twins.iter().find(|(demands, ..)| overlap(demands, &route.demands)).map(|(_, name, home)| (name.as_str(), home.as_str()))
    }

    fn complain_about(&self, route: &RoutePlan, index: usize, report: &mut Report) {
        if let Some(home) = self.names.get(&route.name) {
            let what = format!("{home} has a route {:?} too", route.name);
            report.complain(&format!("routes[{index}].name"), what, "give each route its own name, as in TEAM-NAME");
        }
        if let Some((twin, home)) = self.twin(route) {
            let what = format!("the route {:?} takes the same requests as {twin:?} in {home}", route.name);
            report.complain(&format!("routes[{index}].path"), what, "tell them apart by path, host or method");
        }
    }

    /// Whether what served before can serve beside the rest as it is now.
    fn has_room_for(&self, plan: &DropInPlan, main: &[String]) -> bool {
        let own = |name: &str| plan.services.iter().any(|service| &*service.name == name);
        plan.services.iter().all(|service| !self.services.contains_key(&*service.name))
            && plan.routes.iter().all(|route| {
                let has_service = own(&route.service) || main.contains(&route.service);
                has_service && !self.names.contains_key(&route.name) && self.twin(route).is_none()
            })
            && self.routes + plan.routes.len() <= ROUTES_MAX
    }
}
