//! Both address families of one name, asked at once.

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

fn merge(four: Result<Records, NameFault>, six: Result<Records, NameFault>) -> Result<Answer<IpAddr>, NameFault> {
    match (four, six) {
        (Ok(mut four), Ok(six)) => {
            four.data.extend(six.data);
            four.ttl = four.ttl.min(six.ttl);
            found(four)
        }
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => found(one),
        (Err(four), Err(six)) => Err(four.or(six)),
    }
}

fn found(records: Records) -> Result<Answer<IpAddr>, NameFault> {
    let items = records.data.iter().filter_map(|data| data.ip_addr()).collect();
    answer(items, records.ttl, records.server)
}
