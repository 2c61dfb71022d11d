//! The replicas of tier 2 as `/readyz` tells of them.
//!
//! In: the link as it stands. Out: one check with a sentence per replica: address, state, build, treaty, generation. Never: fails while a replica
//! may be used, for a tier 1 that is taken away answers nobody, and this one still says why.

use std::fmt::Write;

use host::tier::Health;
use upstream::health::standing::Standing;
use upstream::snapshot::{EndpointSnapshot, ServiceSnapshot};

/// Replicas that are told of one by one; the rest are counted.
const TOLD_MAX: usize = 32;

/// The check `link`.
pub(crate) fn health(link: &ServiceSnapshot) -> Health {
    let replicas = &link.endpoints;
    let usable = replicas.iter().filter(|replica| !is_foreign(replica)).count();
    let mut detail = match &link.failure {
        None => format!("{} replicas of routing-gw", replicas.len()),
        Some(failure) => format!("{}; {} replicas stay in use", failure.told(), replicas.len()),
    };
    for (place, replica) in replicas.iter().take(TOLD_MAX).enumerate() {
        detail.push_str(if place == 0 { ": " } else { "; " });
        tell(&mut detail, replica);
    }
    if replicas.len() > TOLD_MAX {
        // Writing to a string cannot fail.
        let _ = write!(detail, "; and {} more", replicas.len() - TOLD_MAX);
    }
    if !replicas.is_empty() && usable == 0 {
        let ours = contract::TREATY;
        let _ = write!(detail, "; none is used, because this tier speaks treaty {ours}: bring the tiers to builds of adjacent treaties");
    }
    Health { name: "link".to_owned(), ready: usable > 0, detail }
}

fn is_foreign(replica: &EndpointSnapshot) -> bool {
    replica.health.as_ref().is_some_and(|health| health.state == Standing::Foreign.word())
}

fn tell(detail: &mut String, replica: &EndpointSnapshot) {
    detail.push_str(&replica.address);
    let Some(health) = &replica.health else {
        detail.push_str(" not checked yet");
        return;
    };
    let _ = write!(detail, " {}", health.state);
    if let Some(failure) = health.failure {
        let _ = write!(detail, " (last check: {failure})");
    }
    match health.treaty {
        Some(treaty) => {
            let build: String = health.build.iter().flat_map(|build| build.chars()).take(32).collect();
            let _ = write!(detail, ", build {build}, treaty {treaty}, generation {}", health.generation.unwrap_or_default());
        }
        None if health.failure.is_none() => detail.push_str(", treaty unknown"),
        None => {}
    }
    if health.draining == Some(true) && health.state != Standing::Draining.word() {
        detail.push_str(", draining");
    }
}

#[cfg(test)]
mod tests {
    use upstream::snapshot::HealthSnapshot;

    use super::*;

    fn replica(number: usize, health: Option<(Standing, Option<u64>, Option<&'static str>)>) -> EndpointSnapshot {
        EndpointSnapshot {
            address: format!("10.0.0.{number}:9443"),
            health: health.map(|(standing, treaty, failure)| HealthSnapshot {
                checked_at_ms: 1,
                state: standing.word(),
                failure,
                treaty,
                build: treaty.map(|_| "0.1.0".to_owned()),
                generation: treaty.map(|_| 4),
                draining: treaty.map(|_| standing == Standing::Draining),
            }),
            ..EndpointSnapshot::default()
        }
    }

    fn link(endpoints: Vec<EndpointSnapshot>) -> ServiceSnapshot {
        ServiceSnapshot { name: "link".to_owned(), generation: 1, endpoints, ..ServiceSnapshot::default() }
    }

    #[test]
    fn every_replica_is_told_with_what_it_says_of_itself() {
        let told = health(&link(vec![
            replica(1, Some((Standing::Healthy, Some(1), None))),
            replica(2, Some((Standing::Draining, Some(1), None))),
            replica(3, Some((Standing::Unhealthy, None, Some("connect")))),
            replica(4, Some((Standing::Healthy, None, None))),
            replica(5, None),
        ]));
        let detail = "5 replicas of routing-gw: 10.0.0.1:9443 healthy, build 0.1.0, treaty 1, generation 4; \
                      10.0.0.2:9443 draining, build 0.1.0, treaty 1, generation 4; 10.0.0.3:9443 unhealthy (last check: connect); \
                      10.0.0.4:9443 healthy, treaty unknown; 10.0.0.5:9443 not checked yet";
        assert_eq!((told.ready, told.detail.as_str()), (true, detail));
    }

    #[test]
    fn without_a_replica_that_may_be_used_the_tier_is_not_ready() {
        assert!(!health(&link(Vec::new())).ready);
        let told = health(&link(vec![replica(1, Some((Standing::Foreign, Some(9), None)))]));
        assert!(!told.ready && told.detail.contains("treaty 9") && told.detail.contains("adjacent treaties"), "{}", told.detail);
        assert!(health(&link(vec![replica(1, Some((Standing::Unhealthy, None, Some("timeout"))))])).ready, "it is used all the same");
    }

    #[test]
    fn many_replicas_are_counted() {
        let many = (0..TOLD_MAX + 5).map(|number| replica(number, None)).collect();
        assert!(health(&link(many)).detail.ends_with("; and 5 more"));
    }
}
