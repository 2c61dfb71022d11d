//! Waits until a file of the configuration has changed.
//!
//! In: what every file looked like when it was read. Out: the path of one that looks otherwise, once it has looked like that twice, so that nothing
//! is read while it is being written; or at last also without that, so that a file which never rests holds nothing up. Never: reads on the control
//! runtime; waits for a file system that hangs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use settings::sight::Sights;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// How long one look at all files may take before it is told.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// The pause before the second look; whoever looks more often than that waits no longer for it.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks at changes that do not come to rest. Then what there is is read: half a file is a complaint, and the next look mends it.
const RESTLESS_MAX: u32 = 10;

/// Waits for a change of what is in `known`, looking every so often. `None` never looks.
pub(crate) async fn changed(known: &mut Sights, every: Option<Duration>) -> PathBuf {
    let Some(every) = every else { return std::future::pending().await };
    let mut looks = Looks::default();
    loop {
        sleep(looks.pause(every)).await;
        let Some(seen) = look(known.clone()).await else { continue };
        if let Some(path) = looks.judge(known, seen) {
            return path;
        }
    }
}

/// What the last look has shown, if it was a change.
#[derive(Debug, Default)]
struct Looks {
    former: Option<Sights>,
    restless: u32,
}

impl Looks {
    fn pause(&self, every: Duration) -> Duration {
        if self.former.is_some() { every.min(AGAIN) } else { every }
    }

    /// The path of a change that is to be read now.
    fn judge(&mut self, known: &mut Sights, seen: Sights) -> Option<PathBuf> {
        let Some(path) = seen.first_change(known).map(Path::to_owned) else {
            // The same, and its time stamps are a look older: soon they are old enough to be believed.
            *known = seen;
            *self = Self::default();
            return None;
        };
        let rests = self.former.as_ref().is_some_and(|former| seen.is_at_rest(known, former));
        self.restless += u32::from(!rests);
        self.former = Some(seen);
        (rests || self.restless >= RESTLESS_MAX).then_some(path)
    }
}

/// One look at a time: while one hangs, the next waits for it.
async fn look(known: Sights) -> Option<Sights> {
    let mut looking = spawn_blocking(move || known.again());
    let mut told = false;
    loop {
        match timeout(LOOK_MAX, &mut looking).await {
            Ok(seen) => return seen.ok(),
            Err(_) if told => {}
            Err(_) => {
                told = true;
                tracing::warn!(
                    "looking at the files of the configuration takes longer than {LOOK_MAX:?}; a change is not noticed meanwhile"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use settings::files::Files;

    use super::*;

    const EVERY: Option<Duration> = Some(Duration::from_millis(10));

    #[tokio::test]
    async fn a_change_is_told_once_it_stands() {
        let folder = std::env::temp_dir().join(format!("host-change-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a"), "one").unwrap();
        let files = Files::of(&folder);
        files.read("a", 100).unwrap();
        files.read("absent", 100).unwrap_err();
        let mut known = files.sights();
        std::fs::write(folder.join("new"), "two").unwrap();
        std::fs::rename(folder.join("new"), folder.join("a")).unwrap();
        assert_eq!(changed(&mut known, EVERY).await, folder.join("a"));
        let mut known = known.again();
        std::fs::write(folder.join("absent"), "here").unwrap();
        assert_eq!(changed(&mut known, EVERY).await, folder.join("absent"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn nothing_is_told_of_what_stays_and_of_what_is_never_looked_at() {
        let mut known = Sights::default();
        assert!(timeout(Duration::from_millis(60), changed(&mut known, EVERY)).await.is_err());
        let files = Files::of(Path::new("/nonexistent"));
        files.read("a", 1).unwrap_err();
        assert!(timeout(Duration::from_millis(60), changed(&mut files.sights(), EVERY)).await.is_err());
        assert!(timeout(Duration::from_millis(60), changed(&mut files.sights(), None)).await.is_err());
    }

    #[test]
    fn a_change_is_looked_at_again_soon_and_a_file_that_never_rests_holds_nothing_up() {
        let folder = std::env::temp_dir().join(format!("host-change-restless-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("a", "one");
        write("token", "one");
        let files = Files::of(&folder);
        files.read("a", 100).unwrap();
        files.read("token", 100).unwrap();
        let first = files.sights();
        let every = Duration::from_secs(300);

        let (mut known, mut looks) = (first.clone(), Looks::default());
        assert_eq!((looks.pause(every), looks.pause(AGAIN / 2)), (every, AGAIN / 2));
        write("a", "two");
        assert_eq!(looks.judge(&mut known, first.again()), None);
        assert_eq!((looks.pause(every), looks.pause(AGAIN / 2)), (AGAIN, AGAIN / 2));
        assert_eq!(looks.judge(&mut known, first.again()), Some(folder.join("a")));

        let (mut known, mut looks) = (first.clone(), Looks::default());
        for turn in 1..RESTLESS_MAX {
            write("token", &turn.to_string());
            assert_eq!(looks.judge(&mut known, first.again()), None, "look {turn}");
        }
        write("token", "last");
        assert_eq!(looks.judge(&mut known, first.again()), Some(folder.join("a")));

        // What is again as it was is no change, and holds up nothing either.
        let (mut known, mut looks) = (first.clone(), Looks::default());
        write("token", "two");
        assert_eq!(looks.judge(&mut known, first.again()), None);
        write("token", "one");
        assert_eq!(looks.judge(&mut known, first.again()), Some(folder.join("a")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
