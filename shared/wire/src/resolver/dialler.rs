//! The name service as reqwest takes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::resolver::Names;

/// A cheap handle that reqwest resolves by; addresses that `refuses` are left out.
#[derive(Clone, Debug)]
pub struct Dialler {
    names: Arc<Names>,
    refuses: fn(IpAddr) -> bool,
}

/// All addresses of a name are refused ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to an address that is refused")]
pub struct AddressRefused;

impl Dialler {
    /// Resolves by `names` and leaves nothing out.
    #[must_use]
    pub fn new(names: Arc<Names>) -> Self {
        Self { names, refuses: |_| false }
    }

    /// Resolves by `names`; a name with one refused address is refused whole, for it is not what it claims to be.
    #[must_use]
    pub fn refusing(names: Arc<Names>, refuses: fn(IpAddr) -> bool) -> Self {
        Self { names, refuses }
    }
}

impl Resolve for Dialler {
    fn resolve(&self, name: Name) -> Resolving {
        let dialler = self.clone();
        Box::pin(async move {
            let answer = dialler.names.addresses(name.as_str()).await?;
            if answer.items.iter().copied().any(dialler.refuses) {
                return Err(AddressRefused.into());
            }
            // Port 0 stands for the port of the URL.
            Ok(Box::new(answer.items.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
