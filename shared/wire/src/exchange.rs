//! The one thing that walks the corridor: a request, and what has been proved about it so far.

use http::Request;

use crate::body::Body;

/// A request together with the fact that the last room proved.
///
/// A room takes `Exchange<What it demands>` and gives `Exchange<What it proved>`, so a room left out or exchanged does not compile.
#[derive(Debug)]
pub struct Exchange<Known> {
    /// The request as it will be forwarded; rooms may change its headers, never its meaning.
    pub request: Request<Body>,
    /// What is proved.
    pub known: Known,
}

impl<Known> Exchange<Known> {
    /// Sets out with a first fact.
    pub fn new(request: Request<Body>, known: Known) -> Self {
        Self { request, known }
    }

    /// Exchanges the fact for the next one, made from it.
    pub fn learn<Next>(self, next: impl FnOnce(Known) -> Next) -> Exchange<Next> {
        Exchange { request: self.request, known: next(self.known) }
    }
}
