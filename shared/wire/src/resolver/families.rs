//! Both address families of one name, asked at once.
//!
//! In: a name. Out: the addresses of both families, or of one with the word why the other one is not known. Never: takes a family that nobody has
//! answered for as one without addresses.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tokio::time::timeout;

use crate::resolver::fault::NameFault;
use crate::resolver::flights::Flights;
use crate::resolver::server::Records;
use crate::resolver::view::View;
use crate::resolver::{Answer, answer};

/// Some servers never answer for one family; the other one's addresses wait for it no longer than this.
const OTHER_FAMILY_MS_MAX: u64 = 1_000;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, by A records.
    Four,
    /// IPv6, by AAAA records.
    Six,
}

impl Family {
    /// That of `address`.
    #[must_use]
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::Four } else { Self::Six }
    }

    /// The word for it in logs and the admin API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Four => "ipv4",
            Self::Six => "ipv6",
        }
    }
}

/// A and AAAA of `name`, merged.
pub(crate) async fn addresses(flights: &Flights, view: &Arc<View>, name: Name) -> Result<Answer<IpAddr>, NameFault> {
    let mut four = std::pin::pin!(flights.ask(view, name.clone(), RecordType::A));
    let mut six = std::pin::pin!(flights.ask(view, name, RecordType::AAAA));
    let grace = Duration::from_millis(OTHER_FAMILY_MS_MAX);
    let (four, six) = tokio::select! {
        four = &mut four => match four {
            Ok(found) => (Ok(found), timeout(grace, six).await.unwrap_or(Err(NameFault::Timeout))),
            fault => (fault, six.await),
        },
        six = &mut six => match six {
            Ok(found) => (timeout(grace, four).await.unwrap_or(Err(NameFault::Timeout)), Ok(found)),
            fault => (four.await, fault),
        },
    };
    merge(four, six)
}

/// The addresses of `name` in one family.
pub(crate) async fn four(flights: &Flights, view: &Arc<View>, name: Name) -> Result<Answer<IpAddr>, NameFault> {
    found(flights.ask(view, name, RecordType::A).await?, None)
}

/// As [`four`], in the other family.
pub(crate) async fn six(flights: &Flights, view: &Arc<View>, name: Name) -> Result<Answer<IpAddr>, NameFault> {
    found(flights.ask(view, name, RecordType::AAAA).await?, None)
}

fn merge(four: Result<Records, NameFault>, six: Result<Records, NameFault>) -> Result<Answer<IpAddr>, NameFault> {
    let lacks = |family, fault: NameFault| (!fault.is_definite()).then_some((family, fault));
    match (four, six) {
        (Ok(mut four), Ok(six)) => {
            four.data.extend(six.data);
            four.ttl = four.ttl.min(six.ttl);
            found(four, None)
        }
        (Ok(one), Err(fault)) => found(one, lacks(Family::Six, fault)),
        (Err(fault), Ok(one)) => found(one, lacks(Family::Four, fault)),
        (Err(four), Err(six)) => Err(four.or(six)),
    }
}

fn found(records: Records, unanswered: Option<(Family, NameFault)>) -> Result<Answer<IpAddr>, NameFault> {
    let items = records.data.iter().filter_map(|data| data.ip_addr()).collect();
    Ok(Answer { unanswered, ..answer(items, records.ttl, records.server)? })
}
