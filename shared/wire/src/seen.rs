//! The digest by which tier 2 learns what tier 1 saw (`contract::seen`).
//!
//! In: a request after the door. Out: its digest. Never: reads more than method, host and target.

use aws_lc_rs::digest::{Context, SHA256};
use contract::seen;
use http::{Request, header};

/// What this tier reads of a request that has come through the door.
#[must_use]
pub fn digest<B>(request: &Request<B>) -> [u8; 32] {
    let host = request.headers().get(header::HOST).map_or(&[][..], |host| host.as_bytes());
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let mut context = Context::new(&SHA256);
    for piece in seen::pieces(request.method().as_str(), host, target) {
        context.update(piece);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
