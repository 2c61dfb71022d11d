//! Where a request would rather go, besides what the picker thinks of load.
//!
//! In: what the caller of [`crate::send::send`] knows of the request. Out: a wish that a picker may follow. Never: keeps an instance in use that is
//! unwell.

/// The wish of one request; by default none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affinity {}
