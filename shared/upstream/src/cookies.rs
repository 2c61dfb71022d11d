//! The cookies of a request (RFC 6265 §4.2), as far as the gateway looks at them.
//!
//! In: `Cookie` fields; HTTP/2 may split them (RFC 9113 §8.2.3). Out: the values of one name; the fields without those of some names. Refuses: nothing; what is no pair is passed
//! over and passed on. Never: allocates, unless a cookie of ours has to be taken out.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The values of all cookies of this name, in their order.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_of(pair, name))
}

/// Takes every cookie of these names out, which are in order; a field that held nothing else goes.
pub fn remove(headers: &mut HeaderMap, names: &[Box<str>]) {
    let has_ours = |field: &HeaderValue| field.as_bytes().split(|byte| *byte == b';').any(|pair| is_of(pair, names));
    if names.is_empty() || !headers.get_all(COOKIE).into_iter().any(has_ours) {
        return;
    }
    let kept: Vec<HeaderValue> = headers.get_all(COOKIE).into_iter().filter_map(|field| without(field, names)).collect();
    headers.remove(COOKIE);
    for field in kept {
        headers.append(COOKIE, field);
    }
}

fn without(field: &HeaderValue, names: &[Box<str>]) -> Option<HeaderValue> {
    let pairs = || field.as_bytes().split(|byte| *byte == b';');
    if !pairs().any(|pair| is_of(pair, names)) {
        return Some(field.clone());
    }
    let others: Vec<&[u8]> = pairs().filter(|pair| !is_of(pair, names)).map(<[u8]>::trim_ascii).collect();
    let mut kept = HeaderValue::from_bytes(&others.join(&b"; "[..])).ok().filter(|kept| !kept.is_empty())?;
    kept.set_sensitive(field.is_sensitive());
    Some(kept)
}

/// Whether a pair is of one of these names.
fn is_of(pair: &[u8], names: &[Box<str>]) -> bool {
    let pair = pair.trim_ascii();
    let name = pair.iter().position(|byte| *byte == b'=').and_then(|end| pair.get(..end));
    name.is_some_and(|name| names.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok())
}

fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        fields.iter().map(|field| (COOKIE, HeaderValue::from_str(field).expect("a field"))).collect()
    }

    fn fields(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all(COOKIE).iter().map(|field| field.to_str().expect("text")).collect()
    }

    #[test]
    fn values_are_found_in_every_field() {
        let headers = headers(&["a=1; gw=x;b=2", "gw=y", "gwx=3; gw", "; ;=; gw=z"]);
        let found: Vec<_> = values(&headers, "gw").collect();
        assert_eq!(found, [b"x", b"y", b"z"]);
    }

    #[test]
    fn ours_goes_and_all_others_stay() {
        for (before, after) in [
            (&["a=1; gw=x; b=\"2\""][..], &["a=1; b=\"2\""][..]),
            (&["gw=x"], &[]),
            (&["gw=x; gw=y", "b=2;c=3"], &["b=2;c=3"]),
            (&["a=1;b=2"], &["a=1;b=2"]),
            (&["gwx=1; agw=2"], &["gwx=1; agw=2"]),
        ] {
            let mut headers = headers(before);
            remove(&mut headers, &["gw".into()]);
            assert_eq!(fields(&headers), after);
        }
        let names: Vec<Box<str>> = ["gw", "gw-instance-orders", "home"].map(Box::from).into();
        let mut headers = headers(&["home=1; a=1; gw-instance-orders=x=y; gw-instance=z", "gw-instance-users=4; gw"]);
        remove(&mut headers, &names);
        assert_eq!(fields(&headers), ["a=1; gw-instance=z", "gw-instance-users=4; gw"]);
        remove(&mut headers, &[]);
        assert_eq!(headers.get_all(COOKIE).iter().count(), 2);
    }
}
