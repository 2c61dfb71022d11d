//! Where a request would rather go, besides what the picker thinks of load.
//!
//! In: what the caller of [`crate::send::send`] knows of the request. Out: a wish that a picker may follow. Never: keeps an instance in use that is
//! unwell.

use std::net::IpAddr;

use http::HeaderMap;

use crate::cookies;
use crate::plan::balance::{BalancePlan, HashOn};
use crate::stable_hash::hash_of;
use crate::sticky;

/// Cookies of the sticky name that are looked at, of one request: each costs a client next to nothing and us a MAC.
const COOKIES_MAX: usize = 4;

/// The wish of one request; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The hash of the key that `consistent_hash` goes by, where the request has one.
    pub hash: Option<u64>,
    /// The hash of the address of the instance that the request's sticky cookie names, where it has one that we made and that has not ended.
    pub wanted: Option<u64>,
    /// Whether more than half of that cookie's life is over, so that its client gets a new one.
    pub is_aging: bool,
}

impl Affinity {
    /// The wish of a request of `service` with these headers, of this caller at this address, at `now_s` (Unix seconds). An empty key is none.
    pub(crate) fn of(
        plan: &BalancePlan,
        service: &str,
        headers: &HeaderMap,
        caller: Option<&str>,
        client: Option<IpAddr>,
        now_s: u64,
    ) -> Self {
        let hash = plan.hash.as_ref().and_then(|hash| {
            let of_text = |bytes: &[u8]| (!bytes.is_empty()).then(|| hash_of(bytes));
            match &hash.on {
                HashOn::Header(name) => headers.get(name).and_then(|value| of_text(value.as_bytes())),
                HashOn::Cookie(name) => cookies::values(headers, name).next().and_then(of_text),
                HashOn::Caller => caller.and_then(|caller| of_text(caller.as_bytes())),
                // One client is one client, whichever form of its address the listener has seen.
                HashOn::Address => client.map(|address| match address.to_canonical() {
                    IpAddr::V4(four) => hash_of(&four.octets()),
                    IpAddr::V6(six) => hash_of(&six.octets()),
                }),
            }
        });
        let ticket = plan.sticky.as_ref().and_then(|plan| {
            cookies::values(headers, &plan.cookie).take(COOKIES_MAX).find_map(|value| sticky::read(plan, service, value, now_s))
        });
        let is_aging = |expires_s: u64| {
            let left = expires_s.saturating_sub(now_s);
            plan.sticky.as_ref().is_some_and(|plan| left < plan.life.as_secs() / 2)
        };
        Self { hash, wanted: ticket.map(|ticket| ticket.instance), is_aging: ticket.is_some_and(|ticket| is_aging(ticket.expires_s)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::config::balance::Balance;
    use crate::plan::balance::{HashPlan, StickyKey, StickyPlan};

    fn by(on: HashOn) -> BalancePlan {
        BalancePlan { hash: Some(HashPlan { on, load_max_percent: 125 }), ..BalancePlan::of(Balance::ConsistentHash) }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field =
            |(name, value): &(&'static str, &str)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        fields.iter().map(field).collect()
    }

    fn of(plan: &BalancePlan, fields: &[(&'static str, &str)], caller: Option<&str>, client: Option<&str>) -> Option<u64> {
        let client = client.map(|text| text.parse().expect("an address"));
        Affinity::of(plan, "orders", &headers(fields), caller, client, 1_000).hash
    }

    #[test]
    fn each_key_is_found_where_it_stands_and_an_empty_one_is_none() {
        let header = by(HashOn::Header("x-tenant".parse().expect("a name")));
        assert_eq!(of(&header, &[("x-tenant", "a")], None, None), Some(hash_of(b"a")));
        assert_eq!((of(&header, &[], None, None), of(&header, &[("x-tenant", "")], None, None)), (None, None));
        let cookie = by(HashOn::Cookie("id".into()));
        assert_eq!(of(&cookie, &[("cookie", "a=1; id=a")], None, None), Some(hash_of(b"a")));
        assert_eq!(of(&cookie, &[("cookie", "id=")], None, None), None);
        assert_eq!(of(&by(HashOn::Caller), &[], Some("a"), None), Some(hash_of(b"a")));
        assert_eq!(of(&by(HashOn::Caller), &[], None, None), None);
        let address = |text| of(&by(HashOn::Address), &[], None, Some(text));
        assert_eq!(address("10.0.0.1"), address("::ffff:10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
        assert_eq!(of(&by(HashOn::Address), &[], None, None), None);
    }

    #[test]
    fn the_first_cookie_that_is_ours_counts_and_ages() {
        let sticky = StickyPlan { cookie: "gw".into(), key: StickyKey::new(&[1; 32]), life: Duration::from_secs(100) };
        let made = sticky::write(&sticky, "orders", 42, 1_000).expect("a field");
        let pair = made.to_str().expect("text").split(';').next().expect("a pair").to_owned();
        let plan = BalancePlan { sticky: Some(sticky), ..BalancePlan::of(Balance::default()) };
        let at = |now_s| {
            let fields = headers(&[("cookie", &format!("gw=forged; {pair}; gw=late"))]);
            let affinity = Affinity::of(&plan, "orders", &fields, None, None, now_s);
            (affinity.wanted, affinity.is_aging)
        };
        let after = |others: usize| {
            let fields = headers(&[("cookie", &format!("{}{pair}", "gw=forged; ".repeat(others)))]);
            Affinity::of(&plan, "orders", &fields, None, None, 1_000).wanted
        };
        assert_eq!((after(COOKIES_MAX - 1), after(COOKIES_MAX)), (Some(42), None), "no more than a few are looked at");
        assert_eq!([at(1_000), at(1_050), at(1_051), at(1_100)], [(Some(42), false), (Some(42), false), (Some(42), true), (None, false)]);
    }
}
