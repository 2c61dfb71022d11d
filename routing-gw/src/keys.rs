//! Tier 1's public keys, read from their file and read again when it changes.
//!
//! In: the path of a key file. Out: a verifier that is replaced as a whole. Never: gives up good keys for a broken file; the former ones stay and the log says so.

use std::time::Duration;

use contract::assertion::Verifier;
use host::tier::{BootError, Control};
use settings::files;
use settings::live::Live;

use crate::config::plan::VouchPlan;

/// How often the file is looked at. Its content decides, so that a swapped symlink counts as well as a rewritten file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of a key file at most.
const KEYS_BYTES_MAX: usize = 256 * 1024;

/// Reads the keys and watches them from then on.
///
/// # Errors
/// The file cannot be read or holds no usable key now; `check` had found one.
pub(crate) fn watch(plan: &VouchPlan, control: &Control) -> Result<Live<Verifier>, BootError> {
    let (verifier, bytes) = read(plan).map_err(|what| BootError::new(what, "write tier 1's public keys there, as `gwctl keys` does"))?;
    let live = Live::new(verifier);
    control.tasks.spawn("link keys", follow(plan.clone(), live.clone(), bytes));
    Ok(live)
}

/// Reads the file and builds the verifier; the text of a fault names the file.
pub(crate) fn read(plan: &VouchPlan) -> Result<(Verifier, Vec<u8>), String> {
    let bytes = files::read_file(&plan.jwks, KEYS_BYTES_MAX)?;
    Ok((build(plan, &bytes)?, bytes))
}

fn build(plan: &VouchPlan, bytes: &[u8]) -> Result<Verifier, String> {
    Verifier::new(bytes, plan.issuers.clone(), plan.audience.clone()).map_err(|fault| format!("{}: {fault}", plan.jwks.display()))
}

/// What is known of the file is kept also when it is bad, so that each state of it is told once.
async fn follow(plan: VouchPlan, live: Live<Verifier>, bytes: Vec<u8>) {
    let mut known = Ok(bytes);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let found = files::read_file(&plan.jwks, KEYS_BYTES_MAX);
        if found == known {
            continue;
        }
        match found.as_ref().map_err(Clone::clone).and_then(|bytes| build(&plan, bytes)) {
            Ok(verifier) => {
                live.store(verifier);
                tracing::info!(file = %plan.jwks.display(), "tier 1's keys were read again");
            }
            Err(what) => tracing::warn!(what, "tier 1's keys could not be read again; the former ones stay in use"),
        }
        known = found;
    }
}
