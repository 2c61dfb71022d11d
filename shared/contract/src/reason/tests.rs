//! The golden list: a code or a status that changes here changes for every client, dashboard and runbook.

use std::collections::BTreeSet;

use super::{Blame, Reason};

const GOLDEN: &str = "\
target-not-canonical 400 client
host-missing 400 client
host-malformed 400 client
host-mismatch 400 client
framing-invalid 400 client
credentials-conflicting 400 client
split-view 400 gateway
pipeline-too-deep 400 client
no-credentials 401 client
credential-malformed 401 client
token-expired 401 client
token-not-yet-valid 401 client
token-signature-invalid 401 client
token-issuer-unknown 401 client
token-audience-wrong 401 client
token-algorithm-refused 401 client
token-key-unknown 401 client
token-claims-invalid 401 client
token-too-large 401 client
authentication-required 401 client
no-rule 403 client
not-permitted 403 client
assertion-missing 403 client
assertion-malformed 403 gateway
assertion-algorithm 403 gateway
assertion-key-unknown 403 gateway
assertion-signature 403 gateway
assertion-issuer 403 gateway
assertion-audience 403 gateway
assertion-expired 403 gateway
assertion-not-yet 403 gateway
assertion-treaty 403 gateway
peer-certificate-missing 403 client
peer-not-allowed 403 client
no-route 404 client
method-not-allowed 405 client
head-timeout 408 client
body-timeout 408 client
body-too-large 413 client
target-too-long 414 client
misdirected 421 client
head-too-large 431 client
client-closed 499 client
internal-error 500 gateway
method-not-supported 501 client
version-not-supported 505 client
upstream-reset 502 upstream
upstream-connect-failed 502 upstream
upstream-protocol 502 upstream
link-reset 502 gateway
link-protocol 502 gateway
keys-unavailable 503 gateway
overloaded 503 gateway
draining 503 gateway
replica-draining 503 gateway
no-instances 503 upstream
all-ejected 503 upstream
breaker-open 503 upstream
queue-full 503 upstream
queue-timeout 503 upstream
upstream-overloaded 503 upstream
link-unavailable 503 gateway
link-no-replicas 503 gateway
link-all-ejected 503 gateway
link-breaker-open 503 gateway
link-queue-full 503 gateway
link-queue-timeout 503 gateway
upstream-timeout 504 upstream
link-timeout 504 gateway
deadline-exceeded 504 gateway
";

#[test]
fn the_list_is_the_golden_one() {
    let list: String =
        Reason::ALL.iter().map(|reason| format!("{} {} {}\n", reason.code(), reason.status().as_u16(), reason.blame().as_str())).collect();
    assert_eq!(list, GOLDEN);
}

#[test]
fn a_code_is_the_name_in_kebab_case_and_reads_back() {
    for reason in Reason::ALL {
        let mut kebab = String::new();
        for character in format!("{reason:?}").chars() {
            if character.is_ascii_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.push(character.to_ascii_lowercase());
        }
        assert_eq!(reason.code(), kebab);
        assert_eq!(reason.to_string(), kebab);
        assert_eq!(Reason::from_code(&kebab), Some(*reason));
    }
    assert_eq!(Reason::from_code("no-such-reason"), None);
    assert_eq!(Reason::ALL.iter().map(|reason| reason.code()).collect::<BTreeSet<_>>().len(), Reason::ALL.len());
}

#[test]
fn every_reason_speaks_in_sentences_that_fit_a_header() {
    for reason in Reason::ALL {
        for sentence in [reason.title(), reason.detail()] {
            assert!(sentence.ends_with('.') && sentence.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{reason}: {sentence}");
        }
        assert!(reason.status().is_client_error() || reason.status().is_server_error());
        assert!(reason.blame() != Blame::Upstream || reason.status().is_server_error(), "{reason}");
    }
}
