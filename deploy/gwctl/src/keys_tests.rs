//! What the two commands write, and when each key signs and ends.

use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: u64 = 1_800_000_000;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("gwctl-keys-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn place(&self) -> Place<'_> {
        Place { dir: &self.0, name: "link" }
    }

    fn turn(&self, kid: &str, now: u64) -> Turned {
        turn(self.place(), &LinkKey::new(Some(kid)).unwrap(), now).unwrap()
    }

    /// kid, `nbf`, `exp` of each key in a file.
    fn keys(&self, file: &str) -> Vec<(String, Option<u64>, Option<u64>)> {
        let keys = read(&self.0.join(file)).unwrap().unwrap();
        keys.iter().map(|key| (key["kid"].as_str().unwrap().to_owned(), key["nbf"].as_u64(), key["exp"].as_u64())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn keys_in_pem_are_added_and_never_overwritten() {
    let folder = Folder::new("pem");
    new(folder.place(), Some("one"), true).unwrap();
    new(folder.place(), Some("two"), true).unwrap();
    assert_eq!(folder.keys("link.jwks.json").into_iter().map(|(kid, ..)| kid).collect::<Vec<_>>(), ["one", "two"]);
    let before = fs::read(folder.0.join("link-signing-one.pem")).unwrap();
    assert!(new(folder.place(), Some("one"), true).unwrap_err().to_string().contains("already has a key named one"));
    assert_eq!(fs::read(folder.0.join("link-signing-one.pem")).unwrap(), before);
    assert!(new(folder.place(), Some("../out"), true).unwrap_err().to_string().contains("is no key id"));
    assert!(new(Place { name: "../out", ..folder.place() }, None, false).unwrap_err().to_string().contains("is no name"));
}

#[test]
fn a_set_is_begun_once_and_signs_at_once() {
    let folder = Folder::new("begin");
    assert!(turn(folder.place(), &LinkKey::new(None).unwrap(), NOW).is_err(), "there is no folder yet");
    new(folder.place(), Some("one"), false).unwrap();
    assert_eq!(folder.keys("link-signing.jwks.json"), [("one".to_owned(), None, None)]);
    assert_eq!(folder.keys("link.jwks.json"), [("one".to_owned(), None, None)]);
    let mode = |file: &str| fs::metadata(folder.0.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("link-signing.jwks.json"), mode("link.jwks.json") & 0o044), (0o600, 0o044));
    let said = new(folder.place(), None, false).unwrap_err().to_string();
    assert!(said.contains("is there already") && said.contains("gwctl keys rotate"), "{said}");
    assert!(!fs::read_to_string(folder.0.join("link.jwks.json")).unwrap().contains("\"d\""));
}

#[test]
fn a_rotation_publishes_signs_ends_and_drops_in_that_order() {
    let folder = Folder::new("rotate");
    new(folder.place(), Some("others"), true).unwrap();
    new(folder.place(), Some("one"), false).unwrap();
    assert_eq!(folder.turn("two", NOW).begins_in, 120);
    let one = ("one".to_owned(), None, Some(NOW + 240));
    let two = ("two".to_owned(), Some(NOW + 120), None);
    assert_eq!(folder.keys("link-signing.jwks.json"), [one.clone(), two]);
    let others = ("others".to_owned(), None, None);
    let public = |name: &str, exp| (name.to_owned(), None, exp);
    assert_eq!(folder.keys("link.jwks.json"), [others.clone(), public("one", Some(NOW + 240)), public("two", None)]);
    // Another one soon after leaves the end of the first where it is.
    folder.turn("three", NOW + 10);
    assert_eq!(
        folder.keys("link.jwks.json"),
        [others.clone(), public("one", Some(NOW + 240)), public("two", Some(NOW + 250)), public("three", None)]
    );
    let turned = folder.turn("four", NOW + 245);
    assert_eq!(turned.dropped, ["one"]);
    let kids: Vec<_> = folder.keys("link-signing.jwks.json").into_iter().map(|(kid, ..)| kid).collect();
    assert_eq!(kids, ["two", "three", "four"]);
    let mode = fs::metadata(folder.0.join("link-signing.jwks.json")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // What is published says the same as the private set.
    let set = SigningKeys::from_jwks(&fs::read(folder.0.join("link-signing.jwks.json")).unwrap()).unwrap();
    let ours = set.published_at(NOW + 245)["keys"].as_array().unwrap().clone();
    assert_eq!(read(&folder.0.join("link.jwks.json")).unwrap().unwrap()[1..], ours);
}

#[test]
fn where_no_key_signs_any_more_the_new_one_does_at_once() {
    let folder = Folder::new("ended");
    new(folder.place(), Some("one"), false).unwrap();
    let path = folder.0.join("link-signing.jwks.json");
    let mut keys = read(&path).unwrap().unwrap();
    keys[0]["exp"] = NOW.into();
    fs::write(&path, written(&keys)).unwrap();
    let turned = folder.turn("two", NOW);
    assert_eq!((turned.begins_in, turned.dropped), (0, vec!["one".to_owned()]));
    assert_eq!(folder.keys("link-signing.jwks.json"), [("two".to_owned(), Some(NOW), None)]);
}

#[test]
fn a_key_that_ends_soon_is_followed_without_a_gap() {
    let folder = Folder::new("soon");
    new(folder.place(), Some("one"), false).unwrap();
    let path = folder.0.join("link-signing.jwks.json");
    let mut keys = read(&path).unwrap().unwrap();
    keys[0]["exp"] = (NOW + 40).into();
    fs::write(&path, written(&keys)).unwrap();
    assert_eq!(folder.turn("two", NOW).begins_in, 40);
    let set = SigningKeys::from_jwks(&fs::read(&path).unwrap()).unwrap();
    assert!((NOW..NOW + 500).all(|second| set.signs_at(second)));
    // Where another one goes on, nothing is hurried.
    assert_eq!(folder.turn("three", NOW + 10).begins_in, 120);
}

#[test]
fn a_key_that_waits_gets_time_after_its_begin() {
    let folder = Folder::new("waits");
    new(folder.place(), Some("one"), false).unwrap();
    folder.turn("two", NOW);
    let path = folder.0.join("link-signing.jwks.json");
    let mut keys = read(&path).unwrap().unwrap();
    keys[1]["nbf"] = (NOW + 1_000).into();
    keys[0]["exp"].take();
    keys[0].as_object_mut().unwrap().remove("exp");
    fs::write(&path, written(&keys)).unwrap();
    folder.turn("three", NOW + 10);
    let two = ("two".to_owned(), Some(NOW + 1_000), Some(NOW + 1_120));
    assert!(folder.keys("link-signing.jwks.json").contains(&two));
}

#[test]
fn what_cannot_be_read_is_left_as_it_is() {
    let folder = Folder::new("broken");
    fs::create_dir_all(&folder.0).unwrap();
    let rotate = || turn(folder.place(), &LinkKey::new(None).unwrap(), NOW).unwrap_err().to_string();
    assert!(rotate().contains("gwctl keys new"));
    let path = folder.0.join("link-signing.jwks.json");
    for text in ["", "{ secret", "[]", "{\"keys\":[1]}", "{\"keys\":[]}", "{\"keys\":[{\"kid\":\"a\",\"d\":\"secret\"}]}"] {
        fs::write(&path, text).unwrap();
        let said = rotate();
        assert!(said.contains("link-signing.jwks.json: ") && !said.contains("secret"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    new(folder.place(), Some("one"), false).unwrap();
    assert!(turn(folder.place(), &LinkKey::new(Some("one")).unwrap(), NOW).unwrap_err().to_string().contains("named one already"));
    let held = folder.place().lock().unwrap();
    assert!(rotate().contains("somebody else"));
    drop(held);
}
