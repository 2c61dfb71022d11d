//! `gwctl keys new`: another signing key for the link between the tiers.
//!
//! In: a folder. Out: `link-signing-KID.pem` (mode 0600) and the public half added to `link.jwks.json`, so that tier 2
//! can trust the new key before tier 1 uses it. Refuses: a kid that the set already has. Never: overwrites a key.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::private_file::{write_private, write_public};
use crate::stage::link_key::LinkKey;
use crate::terminal::say;

/// A kid is a file name's part and a header's value: so long at most.
pub const KID_BYTES_MAX: usize = 64;

/// Makes a key, and says what the two configurations take of it.
///
/// # Errors
/// When the kid is taken or not one plain word, or the folder cannot be written.
pub fn new(dir: &Path, kid: Option<&str>) -> Result<ExitCode, Fault> {
    if let Some(kid) = kid.filter(|kid| !plain(kid)) {
        let remedy = format!("use up to {KID_BYTES_MAX} letters, digits, `-` and `_`");
        return Err(Fault::new(format!("{kid:?} is no key id"), remedy));
    }
    let key = LinkKey::new(kid).map_err(|fault| Fault::machine("make a key", &fault))?;
    fs::create_dir_all(dir).map_err(|error| Fault::file(dir, &error))?;
    let set_path = dir.join("link.jwks.json");
    let set = extended(&set_path, &key)?;
    let key_path = dir.join(format!("link-signing-{}.pem", key.kid()));
    if key_path.exists() {
        return Err(Fault::new(format!("{} is there already", key_path.display()), "choose another --kid"));
    }
    write_private(&key_path, key.pem().as_bytes()).map_err(|error| Fault::file(&key_path, &error))?;
    write_public(&set_path, format!("{set:#}\n").as_bytes()).map_err(|error| Fault::file(&set_path, &error))?;
    say(format_args!(
        "{}  publish this to every routing-gw first, two assertion lifetimes (2 minutes) before the key is used",
        set_path.display()
    ));
    say(format_args!("{}  then in security-gw.yaml: link.signing_key: {{ file: {0}, kid: {} }}", key_path.display(), key.kid()));
    Ok(ExitCode::SUCCESS)
}

/// The set in `path` with the new key behind its own keys.
fn extended(path: &Path, key: &LinkKey) -> Result<Value, Fault> {
    let unreadable = |why: &dyn std::fmt::Display| Fault::new(format!("{}: {why}", path.display()), "mend it, or choose another --dir");
    let mut set = match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound => json!({ "keys": [] }),
        Err(error) => return Err(unreadable(&error)),
    };
    let Some(keys) = set.get_mut("keys").and_then(Value::as_array_mut) else {
        return Err(unreadable(&"not a JWKS: it has no list `keys`"));
    };
    if keys.iter().any(|other| other["kid"] == key.kid()) {
        return Err(Fault::new(format!("{} already has a key named {}", path.display(), key.kid()), "choose another --kid"));
    }
    keys.push(key.jwk().map_err(|fault| Fault::machine("show a key", &fault))?);
    Ok(set)
}

fn plain(kid: &str) -> bool {
    (1..=KID_BYTES_MAX).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_and_never_overwritten() {
        let dir = std::env::temp_dir().join(format!("gwctl-keys-{}", std::process::id()));
        new(&dir, Some("one")).unwrap();
        new(&dir, Some("two")).unwrap();
        let set: Value = serde_json::from_slice(&fs::read(dir.join("link.jwks.json")).unwrap()).unwrap();
        let kids: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
        assert_eq!(kids, ["one", "two"]);
        let before = fs::read(dir.join("link-signing-one.pem")).unwrap();
        assert!(new(&dir, Some("one")).unwrap_err().to_string().contains("already has a key named one"));
        assert_eq!(fs::read(dir.join("link-signing-one.pem")).unwrap(), before);
        assert!(new(&dir, Some("../out")).unwrap_err().to_string().contains("is no key id"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
