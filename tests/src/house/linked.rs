//! Which edges of cargo's resolved graph are real.
//!
//! In: a package's features and the active ones. Out: whether an optional dependency of it is linked. `cargo metadata` also lists optional
//! dependencies that only a weak feature (`ring?/std`) names, though such a feature switches nothing on; `cargo build` does not link them.

use std::collections::BTreeMap;

/// Whether the optional dependency `name` (as the manifest calls it) is switched on by one of the `active` features.
pub(crate) fn is_switched_on(features: &BTreeMap<String, Vec<String>>, active: &[String], name: &str) -> bool {
    let names_it = |value: &String| {
        value.strip_prefix("dep:") == Some(name) || value == name || value.split_once('/').is_some_and(|(dependency, _)| dependency == name)
    };
    active.iter().any(|feature| feature == name || features.get(feature).is_some_and(|values| values.iter().any(names_it)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::is_switched_on;

    #[test]
    fn a_weak_feature_switches_nothing_on() {
        let of = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
        let features =
            BTreeMap::from([of("std", &["ring?/std"]), of("dnssec", &["dep:ring"]), of("tls", &["ring/alloc"]), of("all", &["ring"])]);
        let on = |active: &[&str]| is_switched_on(&features, &active.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), "ring");
        assert!(!on(&["std"]));
        assert!(!on(&[]));
        assert!(on(&["std", "dnssec"]));
        assert!(on(&["tls"]));
        assert!(on(&["all"]));
        assert!(on(&["ring"]));
    }
}
