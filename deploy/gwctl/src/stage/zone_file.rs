//! The zone file of the demo, watched.
//!
//! In: a file that people edit. Out: the zone changed within about a third of a second of the edit. Refuses: a text that
//! is not a zone, or has no record at all (an editor has just truncated the file): the last good zone stays, and stderr
//! says why. Never: takes a file that is still being written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::stage::zone::{ZONE_BYTES_MAX, Zone};
use crate::stage::zone_handle::ZoneHandle;

/// How often the file is looked at. A content is taken when two looks in a row have seen it.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads the zone below `origin` from `path`.
///
/// # Errors
/// When the file cannot be read or is not a zone.
pub fn open(path: &Path, origin: &str) -> io::Result<ZoneHandle> {
    ZoneHandle::new(origin, &read(path)?).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
}

/// Follows `path` for ever, and gives `told` one line for each change, taken or refused.
pub async fn follow(path: &Path, zone: &ZoneHandle, told: impl Fn(&str)) {
    let mut watch = Watch { taken: read(path).unwrap_or_default(), seen: None };
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if let Some(news) = watch.look(read(path).map_err(|error| error.to_string()), zone) {
            told(&format!("zone {}: {news}", path.display()));
        }
    }
}

/// What was taken or refused last, and what the last look saw when it differed.
struct Watch {
    taken: String,
    seen: Option<Result<String, String>>,
}

impl Watch {
    /// One look at the file; the line to tell, when there is one.
    fn look(&mut self, found: Result<String, String>, zone: &ZoneHandle) -> Option<String> {
        if found.as_deref() == Ok(self.taken.as_str()) {
            self.seen = None;
            return None;
        }
        if self.seen.as_ref() != Some(&found) {
            self.seen = Some(found);
            return None;
        }
        let refused = |why: String| Some(format!("{why}; the former zone stays"));
        let text = match found {
            Ok(text) => text,
            // Told once: `taken` differs from every real content, so the file is read again when it is back.
            Err(_) if self.taken.is_empty() => return None,
            Err(why) => {
                self.taken.clear();
                return refused(why);
            }
        };
        self.taken.clone_from(&text);
        self.seen = None;
        match Zone::parse(zone.origin(), &text) {
            Err(fault) => refused(fault.to_string()),
            Ok(read) if read.records() == 0 => refused("it has no record".to_owned()),
            Ok(read) => {
                let count = read.records();
                zone.replace(read);
                Some(format!("{count} records"))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(ZONE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "a.demo. 2 A 127.0.0.1\n";
    const BOTH: &str = "a.demo. 2 A 127.0.0.1\nb.demo. 2 A 127.0.0.1\n";

    fn watched() -> (Watch, ZoneHandle) {
        (Watch { taken: FIRST.to_owned(), seen: None }, ZoneHandle::new("demo.", FIRST).unwrap())
    }

    #[test]
    fn a_content_is_taken_when_two_looks_agree() {
        let (mut watch, zone) = watched();
        assert_eq!(watch.look(Ok(String::new()), &zone), None, "an editor has truncated the file");
        assert_eq!(watch.look(Ok(BOTH.to_owned()), &zone), None);
        assert_eq!(zone.now().0.records(), 1);
        assert_eq!(watch.look(Ok(BOTH.to_owned()), &zone), Some("2 records".to_owned()));
        assert_eq!(zone.now().0.records(), 2);
        assert_eq!(watch.look(Ok(BOTH.to_owned()), &zone), None);
    }

    #[test]
    fn a_broken_or_empty_or_missing_file_keeps_the_last_good_zone_and_is_told_once() {
        for (found, said) in [
            (Ok("a.demo. 2 A nowhere".to_owned()), "line 1: nowhere is not an IPv4 address; the former zone stays"),
            (Ok("; nothing".to_owned()), "it has no record; the former zone stays"),
            (Err("no such file".to_owned()), "no such file; the former zone stays"),
        ] {
            let (mut watch, zone) = watched();
            let told: Vec<_> = (0..5).filter_map(|_| watch.look(found.clone(), &zone)).collect();
            assert_eq!(told, [said]);
            assert_eq!(zone.now().0.records(), 1);
            let mended: Vec<_> = (0..5).filter_map(|_| watch.look(Ok(BOTH.to_owned()), &zone)).collect();
            assert_eq!(mended, ["2 records"]);
        }
    }
}
