//! Which rule takes the request.
//!
//! In: `Exchange<Arrived>`. Out: `Exchange<Ruled>`.
//! Refuses: `NoRule`; `Target` where the path has another rule to some servers, or encoded slashes that its rule does not allow.
//! Never: lets a path in that no rule names; looks at who is asking.

pub mod table;

use contract::target::{TargetFault, readings};
use wire::arrived::Arrived;
use wire::exchange::Exchange;

use crate::docket::Docket;
use crate::facts::Ruled;
use crate::refusal::Refusal;
use crate::rule::table::Rules;

/// Finds the rule of a request.
///
/// # Errors
/// No rule names the path, or not every reading of it has the same rule.
pub fn find(rules: &Rules, exchange: Exchange<Arrived>, docket: &mut Docket) -> Result<Exchange<Ruled>, Refusal> {
    let shape = exchange.known.shape();
    let found = readings::agree(exchange.request.uri().path(), shape, |path| rules.find(path));
    let rule = found.map_err(Refusal::Target)?;
    if shape.encoded_slashes && !rule.is_some_and(|rule| rule.allow_encoded_slashes) {
        return Err(Refusal::Target(TargetFault::EncodedSlash));
    }
    let rule = rule.ok_or(Refusal::NoRule)?.clone();
    docket.rule = Some(rule.path.clone());
    Ok(exchange.learn(|arrived| Ruled::new(arrived, rule)))
}
