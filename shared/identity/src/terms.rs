//! The terms on which an issuer's word is taken.
//!
//! A `Terms` cannot be made without an issuer, an audience and an algorithm, so none of these checks can be forgotten by leaving a list empty.

use settings::units::Span;

use crate::algorithm::Algorithm;

/// What a token of one issuer must say, and which of its claims are taken over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway_s: u64,
    scopes_claim: String,
    forwarded: Vec<String>,
}

impl Terms {
    /// `None` without issuer, audience or algorithm.
    pub(crate) fn new(
        issuer: &str,
        audiences: &[String],
        algorithms: &[Algorithm],
        leeway: Span,
        scopes_claim: &str,
        forwarded: &[String],
    ) -> Option<Self> {
        let complete =
            !issuer.is_empty() && !audiences.is_empty() && audiences.iter().all(|audience| !audience.is_empty()) && !algorithms.is_empty();
        complete.then(|| Self {
            issuer: issuer.to_owned(),
            audiences: audiences.to_vec(),
            algorithms: algorithms.to_vec(),
            leeway_s: leeway.get().as_secs(),
            scopes_claim: scopes_claim.to_owned(),
            forwarded: forwarded.to_vec(),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn accepts(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(crate) fn is_audience(&self, audience: &str) -> bool {
        self.audiences.iter().any(|accepted| accepted == audience)
    }

    /// Seconds.
    pub(crate) fn leeway_s(&self) -> u64 {
        self.leeway_s
    }

    pub(crate) fn scopes_claim(&self) -> &str {
        &self.scopes_claim
    }

    pub(crate) fn forwarded(&self) -> &[String] {
        &self.forwarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_terms_without_issuer_audience_and_algorithm() {
        let made = |issuer: &str, audiences: &[&str], algorithms: &[Algorithm]| {
            let audiences: Vec<String> = audiences.iter().map(ToString::to_string).collect();
            Terms::new(issuer, &audiences, algorithms, Span::secs(60), "scope", &[]).is_some()
        };
        assert!(made("i", &["a"], &[Algorithm::Es256]));
        assert!(!made("", &["a"], &[Algorithm::Es256]));
        assert!(!made("i", &[], &[Algorithm::Es256]));
        assert!(!made("i", &["a", ""], &[Algorithm::Es256]));
        assert!(!made("i", &["a"], &[]));
    }
}
