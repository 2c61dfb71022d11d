//! The name service as reqwest takes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::resolver::Names;

/// A cheap handle that reqwest resolves by; addresses that `refuses` are left out.
#[derive(Clone)]
pub struct Dialler {
    names: Arc<Names>,
    refuses: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

/// All addresses of a name are refused ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to an address that is refused")]
pub struct AddressRefused;

impl Dialler {
    /// Resolves by `names` and leaves nothing out.
    #[must_use]
    pub fn new(names: Arc<Names>) -> Self {
        Self { names, refuses: Arc::new(|_| false) }
    }

    /// Resolves by `names`; a name with one refused address is refused whole, for it is not what it claims to be.
    #[must_use]
    pub fn refusing(names: Arc<Names>, refuses: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { names, refuses: Arc::new(refuses) }
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Resolve for Dialler {
    fn resolve(&self, name: Name) -> Resolving {
        let dialler = self.clone();
        Box::pin(async move {
            let answer = dialler.names.addresses(name.as_str()).await?;
            if answer.items.iter().copied().any(|address| (dialler.refuses)(address)) {
                return Err(AddressRefused.into());
            }
            // Port 0 stands for the port of the URL.
            Ok(Box::new(answer.items.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
