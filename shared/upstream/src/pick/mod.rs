//! Which instance a request goes to: pure functions over one set of endpoints.
//!
//! In: the set, a turn or random numbers, what is known of the request, the time. Out: one endpoint, or why there is none. Never: loops over the
//! set unless most of it is no good; picks a tried one while one that may answer is left.
//!
//! First the instance that the request's sticky cookie names, if it is well. Then the level that takes requests now (`levels`), and in it an open
//! instance by the service's rule. Where the rule finds none, the best of all by the truth table (`health::verdict`), level by level: those that
//! nothing speaks against, the same of those that this request has tried, and last the poor ones, which are left alone, fail their checks or say
//! that they are not ready. A poor one's refusal would be final, so that a request is rather sent again where it broke. Among equals the shares and
//! the load decide.
//!
//! When too few are well in every level, what the checks and the answers say is doubted (`rank`): it may be wrong, and must not take the whole service down.

mod consistent_hash;
mod least_request;
mod peak_ewma;
pub(crate) mod rank;
mod round_robin;
pub mod tried;
mod view;
mod weighted;

use std::sync::Arc;

use crate::affinity::Affinity;
use crate::config::balance::Balance;
use crate::endpoint::Endpoint;
use crate::endpoints::EndpointSet;
use crate::fault::SendFault;
use crate::health::verdict::Rank;
use crate::levels::Levels;
use crate::pick::tried::Tried;
use crate::pick::view::View;
use crate::plan::balance::BalancePlan;

/// What a pick knows of a request and its service.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'t> {
    /// The instances that it has tried.
    pub tried: &'t Tried,
    /// Where it would rather go.
    pub affinity: Affinity,
    /// Whether the service's instances are checked, so that one of which nothing is known yet waits for its first check.
    pub checked: bool,
    /// Whether it may try an instance whose ejection is over: it may be sent again, or is refused without harm.
    pub may_try: bool,
    /// Requests that the service has under way at all instances.
    pub in_flight: u64,
    /// The time ([`crate::moment`]).
    pub now_ms: u64,
}

/// Why there is no instance for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickFault {
    /// None is known, or none that speaks a treaty that is understood here.
    NoInstances,
    /// All are poor, and the service wants none of those (`panic_percent: 0`).
    AllEjected,
}

impl From<PickFault> for SendFault {
    fn from(fault: PickFault) -> Self {
        match fault {
            PickFault::NoInstances => Self::NoInstances,
            PickFault::AllEjected => Self::AllEjected,
        }
    }
}

/// The instance for the next attempt. `turn` gives a number that counts up by one for every call in the process; `random` gives random ones.
///
/// # Errors
/// There is none.
pub fn choose<'a>(
    set: &'a EndpointSet,
    plan: &BalancePlan,
    turn: impl FnOnce() -> usize,
    mut random: impl FnMut() -> u64,
    asked: Asked<'_>,
) -> Result<&'a Arc<Endpoint>, PickFault> {
    let levels = set.levels();
    if let Some(wanted) = asked.affinity.wanted.and_then(|hash| levels.named(hash))
        && rank::rank(wanted, &asked).is_some_and(|rank| rank <= Rank::Unchecked)
        && !asked.tried.contains(wanted)
    {
        return Ok(wanted);
    }
    levels.freshen(asked.now_ms);
    let chosen = levels.choose(plan.panic_percent);
    let Some(level) = levels.all().get(chosen.place) else { return Err(PickFault::NoInstances) };
    // At a start nothing is known of any: then the rule picks, and does not look for one that is known.
    let asked = Asked { checked: asked.checked && (chosen.is_panic || !level.is_unproved()), ..asked };
    let view = View { level, asked, slow_start: plan.slow_start, is_panic: chosen.is_panic };
    let turn = (plan.picker == Balance::RoundRobin).then(turn);
    if let Some(endpoint) = by_rule(&view, plan, turn.unwrap_or_default(), &mut random) {
        return Ok(endpoint);
    }
    match best(levels, chosen.place, &view, turn, &mut random) {
        None => Err(PickFault::NoInstances),
        Some((_, rank)) if rank.is_poor() && plan.panic_percent == 0 => Err(PickFault::AllEjected),
        Some((endpoint, _)) => Ok(endpoint),
    }
}

/// An open instance of the level, by the service's rule.
fn by_rule<'a>(view: &View<'a, '_>, plan: &BalancePlan, turn: usize, random: &mut impl FnMut() -> u64) -> Option<&'a Arc<Endpoint>> {
    match plan.picker {
        Balance::LeastRequest => least_request::pick(view, random),
        Balance::RoundRobin => round_robin::pick(view, turn),
        Balance::Weighted => weighted::pick(view, random),
        Balance::PeakEwma => peak_ewma::pick(view, random),
        Balance::ConsistentHash => match (view.level.table(), view.asked.affinity.hash, &plan.hash) {
            (Some(table), Some(key), Some(hash)) => consistent_hash::pick(view, table, key, hash.load_max_percent),
            _ => least_request::pick(view, random),
        },
    }
}

/// The best of all, those of the level at `chosen` before their equals of the others. Among equals of one level the one whose `turn` it is, or of two
/// that are drawn by their shares the less busy one: the best one must not be whoever follows a long row of others.
fn best<'a>(
    levels: &'a Levels,
    chosen: usize,
    view: &View<'a, '_>,
    turn: Option<usize>,
    random: &mut impl FnMut() -> u64,
) -> Option<(&'a Arc<Endpoint>, Rank)> {
    let order = std::iter::once(chosen).chain((0..levels.all().len()).filter(|place| *place != chosen));
    let all =
        order.filter_map(|place| levels.all().get(place)).flat_map(|level| level.members().iter().map(move |endpoint| (level, endpoint)));
    let judged = all.filter_map(|(level, endpoint)| Some((level, endpoint, view.rank(endpoint)?)));
    let worth = |endpoint: &Endpoint, rank: Rank| (rank.trust(), view.asked.tried.contains(endpoint), rank);
    // The first one of several equals.
    let (level, first, rank) = judged.min_by_key(|(_, endpoint, rank)| worth(endpoint, *rank))?;
    let best = worth(first, rank);
    let view = View { level, ..*view };
    let equals = || level.members().iter().enumerate().filter(|(_, one)| view.rank(one).is_some_and(|rank| worth(one, rank) == best));
    let total: u64 = equals().map(|(place, _)| level.shares().share(place)).sum();
    let at = |mut slot: u64| {
        let is_there = |(place, _): &(usize, &Arc<Endpoint>)| {
            let share = level.shares().share(*place);
            let is_there = slot < share;
            slot = slot.saturating_sub(share);
            is_there
        };
        equals().find(is_there).map(|(place, _)| place)
    };
    let mut draw = || at(((u128::from(random()) * u128::from(total)) >> 64) as u64);
    let place = match turn {
        Some(turn) => at(turn as u64 % total.max(1)),
        None => draw().map(|one| draw().filter(|other| least_request::is_less_busy(&view, *other, one)).unwrap_or(one)),
    };
    // What is known may change between two looks.
    Some((place.and_then(|place| view.at(place)).unwrap_or(first), rank))
}

#[cfg(test)]
mod tests;
