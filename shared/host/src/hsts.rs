//! `hsts` of a listener: browsers are told to come by TLS alone from now on (RFC 6797).
//!
//! In: how long, and for whom. Out: the value of the header, made once. Refuses: a listener without TLS, where browsers must not believe it (§8.1);
//! a wish to be preloaded that the lists of browsers would turn down. Never: asks whether the subdomains really have TLS.

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

/// What browsers are told.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HstsConfig {
    /// How long browsers remember it, in whole seconds: `8760h` is a year; `0s` makes them forget it.
    pub max_age: Span,
    /// Holds for all names below the host's too.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Asks to be put on the list that browsers come with. It cannot be taken back quickly.
    #[serde(default)]
    pub preload: bool,
}

/// What the lists of browsers demand (hstspreload.org).
const PRELOAD_SECONDS_MIN: u64 = 365 * 86_400;

/// Outer `None`: complained. Inner `None`: nothing is said.
pub(crate) fn check(config: Option<HstsConfig>, has_tls: bool, key: &str, report: &mut Report) -> Option<Option<HeaderValue>> {
    let Some(HstsConfig { max_age, include_subdomains, preload }) = config else { return Some(None) };
    if !has_tls {
        report.complain(key, "browsers believe it over TLS alone", "take it out, or write it at the listener with the tls section");
        return None;
    }
    let seconds = max_age.get().as_secs();
    if max_age.get().subsec_nanos() != 0 {
        report.complain(&format!("{key}.max_age"), format!("{max_age} are no whole seconds"), "write whole seconds, as in 31536000s");
        return None;
    }
    if preload && (!include_subdomains || seconds < PRELOAD_SECONDS_MIN) {
        report.complain(
            &format!("{key}.preload"),
            "the lists of browsers take this for no less than a year, and with subdomains",
            "add include_subdomains: true and max_age: 8760h or more, or take preload out",
        );
        return None;
    }
    let words = [(include_subdomains, "; includeSubDomains"), (preload, "; preload")];
    let more: String = words.into_iter().filter(|(is_said, _)| *is_said).map(|(_, word)| word).collect();
    // Digits and fixed words are always a lawful value.
    Some(HeaderValue::try_from(format!("max-age={seconds}{more}")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wished_is_said() {
        let year = Span::secs(31_536_000);
        for (max_age, include_subdomains, preload, expected) in [
            (Span::secs(0), false, false, Some("max-age=0")),
            (year, false, false, Some("max-age=31536000")),
            (Span::secs(60), true, false, Some("max-age=60; includeSubDomains")),
            (year, true, true, Some("max-age=31536000; includeSubDomains; preload")),
            (year, false, true, None),
            (Span::secs(31_535_999), true, true, None),
            (Span::millis(1500), false, false, None),
        ] {
            let mut report = Report::new();
            let checked = check(Some(HstsConfig { max_age, include_subdomains, preload }), true, "hsts", &mut report);
            assert_eq!(checked, expected.map(|text| Some(HeaderValue::from_static(text))));
            assert_eq!(report.is_clean(), expected.is_some());
        }
        let mut report = Report::new();
        assert_eq!(check(None, false, "hsts", &mut report), Some(None));
        assert!(report.is_clean());
    }
}
