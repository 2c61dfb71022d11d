//! What a request to an instance may wish for in its query.
//!
//! In: a query string, as `download=1000&delay_ms=20&status=503&answer_header=x-gw-trail:forged`. Out: the wish. A word
//! that is none of these is an ordinary query and changes nothing, since an instance answers everything. Never: more than
//! the ceilings below.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

/// The longest download: 16 GiB.
pub const DOWNLOAD_BYTES_MAX: u64 = 16 << 30;
/// The longest delay: two minutes.
pub const DELAY_MS_MAX: u64 = 120_000;

/// A wish; by default for a plain 200 at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Answer with this many bytes instead of JSON.
    pub download: Option<u64>,
    /// Wait so long between the entry in the ledger and the answer.
    pub delay: Duration,
    /// Answer with this status.
    pub status: StatusCode,
    /// Answer with this header too.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Wish {
    /// Reads the query of a request target.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut wish = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "download" => wish.download = value.parse().ok().map(|bytes: u64| bytes.min(DOWNLOAD_BYTES_MAX)),
                "delay_ms" => wish.delay = Duration::from_millis(value.parse().unwrap_or(0).min(DELAY_MS_MAX)),
                "status" => wish.status = status(value).unwrap_or_default(),
                "answer_header" => wish.header = header(value),
                _ => {}
            }
        }
        wish
    }
}

/// A final status: 1xx would end no request.
fn status(value: &str) -> Option<StatusCode> {
    StatusCode::from_bytes(value.as_bytes()).ok().filter(|status| status.as_u16() >= 200)
}

fn header(value: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = value.split_once(':')?;
    Some((name.parse().ok()?, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_cut() {
        let wish = Wish::read("download=10&delay_ms=999999&status=503&answer_header=x-a:b&other");
        let header = Some((HeaderName::from_static("x-a"), HeaderValue::from_static("b")));
        assert_eq!(
            wish,
            Wish { download: Some(10), delay: Duration::from_millis(DELAY_MS_MAX), status: StatusCode::SERVICE_UNAVAILABLE, header }
        );
    }

    #[test]
    fn what_is_no_wish_is_an_ordinary_query() {
        assert_eq!(Wish::read("status=open&download=all&delay_ms=-1&answer_header=none"), Wish::default());
        assert_eq!(Wish::read("status=101"), Wish::default());
    }
}
