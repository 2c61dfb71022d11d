//! From a credential to a proved caller: JSON Web Tokens against the key sets of OpenID issuers; and what a tier itself signs of callers.
//!
//! In: a bearer token, and the issuers that a rule admits. Out: a caller, or one closed reason. Refuses everything that is not proved by a key of
//! the very issuer that the token names. Never: reads the clock (`now` is a parameter), follows a URL that a token carries, or waits for an
//! issuer longer than a bound.

pub mod algorithm;
pub mod config;
pub mod plan;

pub mod issuers;

pub mod cache;
pub mod verify;

pub mod published;
pub mod signed;
pub mod signing;

mod absent;
mod claims;
mod issuer;
mod key;
mod key_set;
mod measures;
mod refresh;
mod scopes;
mod source;
mod terms;

#[cfg(test)]
mod forge;
