//! Waits until a file of the configuration has changed.
//!
//! In: what every file looked like when it was read. Out: the path of one that looks otherwise, once it has looked like that twice, so that nothing
//! is read while it is being written. Never: reads on the control runtime; waits for a file system that hangs.

use std::path::PathBuf;
use std::time::Duration;

use settings::sight::Sights;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// How long one look at all files may take before it is told.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Waits for a change of what is in `known`, looking every so often. `None` never looks.
pub(crate) async fn changed(known: &mut Sights, every: Option<Duration>) -> PathBuf {
    let Some(every) = every else { return std::future::pending().await };
    let mut candidate: Option<Sights> = None;
    loop {
        sleep(every).await;
        let Some(seen) = look(known.clone()).await else { continue };
        let Some(path) = seen.first_change(known) else {
            // The same, and its time stamps are a look older: soon they are old enough to be believed.
            *known = seen;
            candidate = None;
            continue;
        };
        if candidate.as_ref() == Some(&seen) {
            return path.to_owned();
        }
        candidate = Some(seen);
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
    use std::path::Path;

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
}
