//! One instance drawn at random, in proportion to the shares.
//!
//! In: a level, random numbers. Out: one instance, or none when the draws found no open one. Never: looks at load.

use std::sync::Arc;

use crate::endpoint::Endpoint;
use crate::pick::view::View;

/// Draws one.
pub(crate) fn pick<'a>(view: &View<'a, '_>, random: &mut impl FnMut() -> u64) -> Option<&'a Arc<Endpoint>> {
    view.at(view.draw(random, None)?)
}
