//! The instance that a request's key belongs to, with bounded loads (Mirrokni, Thorup, Zadimoghaddam: "Consistent hashing with bounded loads", 2018).
//!
//! In: a level with its table, a key, the requests under way. Out: one instance below its bound, the key's own if it is; none when nobody is open.
//! Never: sends an instance more than `load_max_percent` of its part of the load, as long as another one is open.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::levels::maglev::Maglev;
use crate::pick::view::View;

/// Slots that are tried for a key before the least loaded instance is searched for. A bound of 125 % leaves one in five below it.
const STEPS: usize = 64;

/// The instance of `key`, or the next one in the key's order that is open and below its bound.
pub(crate) fn pick<'a>(view: &View<'a, '_>, table: &Maglev, key: u64, load_max_percent: u32) -> Option<&'a Arc<Endpoint>> {
    let bound = Bound::of(view, load_max_percent);
    let fits = |place: usize| view.at(place).filter(|endpoint| view.is_open(endpoint) && bound.holds(view, place, endpoint));
    let mut last = None;
    for step in 0..STEPS {
        let place = table.place(key, step);
        // A level of few instances has the same one in many slots.
        if last.replace(place) == Some(place) {
            continue;
        }
        if let Some(endpoint) = fits(place) {
            return Some(endpoint);
        }
    }
    let open = view.level.members().iter().enumerate().filter(|(_, endpoint)| view.is_open(endpoint));
    let load = |place: usize, endpoint: &Endpoint| u64::from(endpoint.in_flight()) * bound.shares / view.level.shares().share(place);
    open.min_by_key(|(place, endpoint)| load(*place, endpoint)).map(|(_, endpoint)| endpoint)
}

/// What an instance may have under way, this request included: so many percent of its part of all that is, rounded up.
struct Bound {
    /// Percent times requests.
    whole: u128,
    /// What they are divided by: the shares of those that may have them.
    shares: u64,
}

impl Bound {
    fn of(view: &View<'_, '_>, load_max_percent: u32) -> Self {
        let whole = u128::from(load_max_percent) * (u128::from(view.asked.in_flight) + 1);
        // Those that are well take what the others cannot. In panic all are used.
        let usable = if view.is_panic { 0 } else { view.level.usable_share() };
        Self { whole, shares: if usable == 0 { view.level.shares().total().max(1) } else { usable } }
    }

    fn holds(&self, view: &View<'_, '_>, place: usize, endpoint: &Endpoint) -> bool {
        let most = (self.whole * u128::from(view.level.shares().share(place))).div_ceil(100 * u128::from(self.shares));
        u128::from(endpoint.in_flight()) < most
    }
}
