//! `gwctl keys new` and `gwctl keys rotate`: the keys with which a tier signs.
//!
//! In: a folder and a name (`link` for tier 1's). Out: `NAME-signing.jwks.json` (mode 0600), the private key set that all replicas of the tier share,
//! and `NAME.jwks.json`, the public halves for whoever checks its word. Refuses: to begin a set where there is one, names that are no plain word,
//! files that it cannot read as such. Never: takes a key away before it has ended, or lets one sign before it was published for two lifetimes.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use contract::assertion::KEYS_MAX;
use contract::signing_keys::{OVERLAP_SECONDS, SigningKeys};
use serde_json::{Value, json};
use settings::clock::Clock;

use crate::fault::Fault;
use crate::private_file::{write_private, write_public};
use crate::stage::link_key::LinkKey;
use crate::terminal::say;

/// A kid is a file name's part and a header's value: so long at most.
pub const KID_BYTES_MAX: usize = 64;

/// Which keys are meant.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder.
    pub dir: &'a Path,
    /// How the names of both files begin.
    pub name: &'a str,
}

impl Place<'_> {
    fn private(&self) -> PathBuf {
        self.dir.join(format!("{}-signing.jwks.json", self.name))
    }

    fn public(&self) -> PathBuf {
        self.dir.join(format!("{}.jwks.json", self.name))
    }

    /// One at a time, or the key of one would be lost by the other; the lock goes with the process.
    fn lock(&self) -> Result<File, Fault> {
        let folder = File::open(self.dir).map_err(|error| Fault::file(self.dir, &error))?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(TryLockError::WouldBlock) => {
                Err(Fault::new(format!("somebody else is at the keys in {}", self.dir.display()), "wait for them and try again"))
            }
            Err(TryLockError::Error(error)) => Err(Fault::file(self.dir, &error)),
        }
    }
}

/// Makes the first key of a set, which signs at once; or one key in PEM, where `pem`.
///
/// # Errors
/// When there is a set already, the kid is taken or not one plain word, or the folder cannot be written.
pub fn new(place: Place<'_>, kid: Option<&str>, pem: bool) -> Result<ExitCode, Fault> {
    plain("key id", kid.unwrap_or("k"))?;
    plain("name", place.name)?;
    let key = LinkKey::new(kid).map_err(|fault| Fault::machine("make a key", &fault))?;
    fs::create_dir_all(place.dir).map_err(|error| Fault::file(place.dir, &error))?;
    let _lock = place.lock()?;
    let public_path = place.public();
    let mut public = read(&public_path)?.unwrap_or_default();
    if has(&public, key.kid()) {
        return Err(Fault::new(format!("{} already has a key named {}", public_path.display(), key.kid()), "choose another --kid"));
    }
    public.push(jwk(&key)?);
    let (path, text, signing_key) = if pem {
        let path = place.dir.join(format!("{}-signing-{}.pem", place.name, key.kid()));
        let signing_key = format!("{{ file: {}, kid: {} }}", path.display(), key.kid());
        (path, key.pem().to_owned(), signing_key)
    } else {
        let path = place.private();
        let signing_key = format!("{{ file: {} }}", path.display());
        (path, written(&[private(&key)?]), signing_key)
    };
    if path.exists() {
        let remedy = if pem { "choose another --kid" } else { "renew it with `gwctl keys rotate`, or choose another --name or --dir" };
        return Err(Fault::new(format!("{} is there already", path.display()), remedy));
    }
    // First the public half, as in a rotation.
    write_public(&public_path, written(&public).as_bytes()).map_err(|error| Fault::file(&public_path, &error))?;
    write_private(&path, text.as_bytes()).map_err(|error| Fault::file(&path, &error))?;
    say(format_args!("{}  publish this to everybody who checks, before the key is used", public_path.display()));
    say(format_args!("{}  then, with every replica that signs: signing_key: {signing_key}", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// Adds a key that signs once everybody can know it, gives the former ones an end, and drops those that have ended.
///
/// # Errors
/// When there is no set that can be read, it is full, or the folder cannot be written.
pub fn rotate(place: Place<'_>, kid: Option<&str>) -> Result<ExitCode, Fault> {
    plain("key id", kid.unwrap_or("k"))?;
    plain("name", place.name)?;
    let key = LinkKey::new(kid).map_err(|fault| Fault::machine("make a key", &fault))?;
    let turned = turn(place, &key, Clock::system().now_s())?;
    match turned.begins_in {
        0 => say(format_args!("{} signs at once, because no other key did", key.kid())),
        seconds => {
            say(format_args!("{} signs in {seconds} s; until then every replica and everybody who checks reads the files", key.kid()));
            say(format_args!(
                "before that, see that gateway_config_reload_failed is 0 on each: one whose reload was refused keeps the former"
            ));
            say(format_args!(
                "keys, and its requests are refused with 403 when those have ended; mend its configuration, or put the files back"
            ));
        }
    }
    if turned.begins_in < OVERLAP_SECONDS {
        say(format_args!("that is less than {OVERLAP_SECONDS} s: whoever has not read the files by then refuses what {} signs", key.kid()));
    }
    for kid in &turned.dropped {
        say(format_args!("{kid} has ended and is gone"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a rotation came to.
#[derive(Debug)]
struct Turned {
    begins_in: u64,
    dropped: Vec<String>,
}

fn turn(place: Place<'_>, key: &LinkKey, now: u64) -> Result<Turned, Fault> {
    let (private_path, public_path) = (place.private(), place.public());
    let _lock = place.lock()?;
    let set = read(&private_path)?;
    let set = set.ok_or_else(|| Fault::new(format!("there is no {}", private_path.display()), "make it with `gwctl keys new`"))?;
    // What no tier could read must not be made worse.
    let broken =
        |why: &dyn std::fmt::Display| Fault::new(format!("{}: {why}", private_path.display()), "put the former file back in its place");
    let known = SigningKeys::from_jwks(written(&set).as_bytes()).map_err(|fault| broken(&fault))?;
    let begins = begins(&set, &known, now);
    let (mut kept, dropped): (Vec<Value>, Vec<Value>) = set.into_iter().partition(|key| !has_ended(key, now));
    let of_set: Vec<&str> = known.kids().collect();
    let mut published: Vec<Value> = read(&public_path)?.unwrap_or_default();
    // Keys that others sign by stand in the same file and stay.
    published.retain(|key| !has_ended(key, now) && !key["kid"].as_str().is_some_and(|kid| of_set.contains(&kid)));
    if has(&kept, key.kid()) || has(&published, key.kid()) {
        return Err(Fault::new(format!("there is a key named {} already", key.kid()), "choose another --kid"));
    }
    if published.len() + kept.len() >= KEYS_MAX {
        return Err(Fault::new(format!("{} would have more than {KEYS_MAX} keys", public_path.display()), "wait until some have ended"));
    }
    for former in kept.iter_mut().filter(|former| former["exp"].is_null()) {
        // Of one that waits, what it signs in its last second must be believed as long as that of any other.
        let signs_from = former["nbf"].as_u64().unwrap_or(0);
        former["exp"] = (begins.max(signs_from) + OVERLAP_SECONDS).into();
    }
    let mut newest = private(key)?;
    newest["nbf"] = begins.into();
    kept.push(newest);
    let text = written(&kept);
    let next = SigningKeys::from_jwks(text.as_bytes()).map_err(|fault| broken(&fault))?;
    if let Value::Array(ours) = next.published_at(now)["keys"].take() {
        published.extend(ours);
    }
    // First the public halves: a key that is published and never signs harms nobody, and one that signs unpublished is refused.
    write_public(&public_path, written(&published).as_bytes()).map_err(|error| Fault::file(&public_path, &error))?;
    write_private(&private_path, text.as_bytes()).map_err(|error| Fault::file(&private_path, &error))?;
    let dropped = dropped.iter().filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect();
    Ok(Turned { begins_in: begins - now, dropped })
}

/// The second in which a new key begins: after the overlap, or as soon as none of the `set` signs any more, for the tier must not fall silent.
fn begins(set: &[Value], known: &SigningKeys, now: u64) -> u64 {
    let ends = set.iter().filter_map(|key| key["exp"].as_u64()).filter(|end| (now..now + OVERLAP_SECONDS).contains(end));
    let silent = ends.chain([now]).filter(|second| !known.signs_at(*second)).min();
    silent.unwrap_or(now + OVERLAP_SECONDS)
}

/// The keys of the set in `path`; `None` where there is no file.
fn read(path: &Path) -> Result<Option<Vec<Value>>, Fault> {
    let unreadable = |why: &dyn std::fmt::Display| Fault::new(format!("{}: {why}", path.display()), "mend it, or choose another --dir");
    let mut set: Value = match fs::read(path) {
        // Nothing of a private file is repeated: the position tells enough.
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| unreadable(&format!("no JSON at line {}, column {}", error.line(), error.column())))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    match set.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) if keys.iter().all(Value::is_object) => Ok(Some(keys)),
        _ => Err(unreadable(&"not a JWKS: it has no list `keys` of objects")),
    }
}

fn written(keys: &[Value]) -> String {
    format!("{:#}\n", json!({ "keys": keys }))
}

fn jwk(key: &LinkKey) -> Result<Value, Fault> {
    key.jwk().map_err(|fault| Fault::machine("show a key", &fault))
}

fn private(key: &LinkKey) -> Result<Value, Fault> {
    key.private_jwk().map_err(|fault| Fault::machine("show a key", &fault))
}

fn has(keys: &[Value], kid: &str) -> bool {
    keys.iter().any(|key| key["kid"] == kid)
}

fn has_ended(key: &Value, now: u64) -> bool {
    key["exp"].as_u64().is_some_and(|until| until <= now)
}

fn plain(what: &str, word: &str) -> Result<(), Fault> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=KID_BYTES_MAX).contains(&word.len()) && word.bytes().all(lawful) {
        return Ok(());
    }
    Err(Fault::new(format!("{word:?} is no {what}"), format!("use up to {KID_BYTES_MAX} letters, digits, `-` and `_`")))
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
