//! "Did you mean": the known name nearest to one that is not known.
//!
//! In: a name as written and those that exist. Out: the nearest, if it is near enough to be meant. Never: guesses wildly; a far name is no help.

/// The known name that was most likely meant by `name`, if any is near: at most a third of its letters (at least one) differ, a swap of two
/// neighbours counting as one.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A name of this length is no typing mistake, and measuring it against all others would cost its length squared.
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain = squeeze(name);
    known
        .filter(|candidate| candidate.len() <= NAME_BYTES_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&plain, &squeeze(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(plain.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

const NAME_BYTES_MAX: usize = 128;

/// `head-timeout`, `headTimeout` and `head_timeout` are one name to the person who wrote it.
fn squeeze(name: &str) -> String {
    name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn check(name: &str, known: &[&'static str]) -> Option<&'static str> {
        nearest(name, known.iter().copied())
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(check("dmeo", &["users", "demo"]), Some("demo"));
        assert_eq!(check("servce", &["name", "service", "services"]), Some("service"));
        assert_eq!(check("roundRobin", &["least_request", "round_robin"]), Some("round_robin"));
        assert_eq!(check("payments", &["orders", "users"]), None);
        assert_eq!(check("x", &[]), None);
        assert_eq!(check(&"a".repeat(200), &["a"]), None);
    }
}
