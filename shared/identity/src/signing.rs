//! Where a tier's signing keys are, as written in the configuration, and what `check` makes of it.
//!
//! In: a file. Out: the keys. Refuses: what is neither a private key set nor a key in PEM with a name; a set of which no key signs now.
//! Never: makes a key; `gwctl keys` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use contract::signing_keys::{KEY_SET_BYTES_MAX, SigningKeys};
use schemars::JsonSchema;
use serde::Deserialize;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;

/// The private keys of a tier, shared by all its replicas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyConfig {
    /// A private key set (JWKS, Ed25519) as `gwctl keys new` makes it and `gwctl keys rotate` renews it; or one Ed25519 key in PKCS#8 PEM.
    pub file: PathBuf,
    /// The name of a key in PEM; the keys of a set have their own.
    pub kid: Option<String>,
}

/// Whether a tier that has `keys` can sign at `now` (Unix seconds), and a sentence that names the file: what was good at the last load ends by itself.
#[must_use]
pub fn health(keys: &SigningKeys, file: &str, now: u64) -> (bool, String) {
    if keys.signs_at(now) {
        (true, format!("a key of {file} signs"))
    } else {
        (false, format!("no key of {file} signs now: each has ended or has not begun; run `gwctl keys rotate`"))
    }
}

/// How long a file may lie unread, so that a rotation is known everywhere well before the new key signs.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Whether a process that looks at its files every `watch` reads a rotation by itself in time.
#[must_use]
pub fn are_rotations_read(watch: Option<Duration>) -> bool {
    watch.is_some_and(|watch| watch <= READ_WITHIN)
}

impl SigningKeyConfig {
    /// Reads the keys; `key` is where this stands. `None` when there are none; every complaint is in `report`.
    pub fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<Arc<SigningKeys>> {
        let (in_file, in_kid) = (format!("{key}.file"), format!("{key}.kid"));
        if self.kid.as_deref() == Some("") {
            report.complain(&in_kid, "the key id is empty", "write the `kid` that tier 2's key file has for this key");
        }
        let text = files.read_secret(&self.file, KEY_SET_BYTES_MAX);
        let text = text.map_err(|what| report.complain(&in_file, what, REMEDY)).ok()?;
        let text = text.expose();
        let is_set = text.trim_start().starts_with('{');
        let keys = match &self.kid {
            Some(_) if is_set => {
                report.complain(&in_kid, "the file is a key set, in which each key has its own name", "take the key out");
                return None;
            }
            None if is_set => SigningKeys::from_jwks(text.as_bytes()),
            Some(kid) if kid.is_empty() => return None,
            Some(kid) => SigningKeys::from_pkcs8_pem(text.as_bytes(), kid.clone()),
            None => {
                let what = "the file is no key set, and a key in PEM has no name of its own";
                report.complain(&in_file, what, "make a key set with `gwctl keys new`, or add the `kid` of the key");
                return None;
            }
        };
        let shown = files.resolve(&self.file);
        match keys {
            Ok(keys) if keys.signs_at(Clock::system().now_s()) => Some(Arc::new(keys)),
            Ok(_) => {
                let what = format!("{}: no key of the set signs now: each has ended or has not begun", shown.display());
                report.complain(&in_file, what, "add one with `gwctl keys rotate`, and look at the clock of this machine");
                None
            }
            Err(fault) => {
                report.complain(&in_file, format!("{}: {fault}", shown.display()), REMEDY);
                None
            }
        }
    }
}

const REMEDY: &str = "make a key with `gwctl keys new`, and let this process read it";
