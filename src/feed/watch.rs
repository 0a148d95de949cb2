//! Notices when one of the configuration's files changes.
//!
//! It polls instead of using inotify. A few `stat` calls a second detect changes by editors, `mv`,
//! network file systems and the symlink swaps of mounted secrets alike.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How often files are checked. A change counts once two checks agree, so that a file is not read
/// while it is being written.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A fingerprint of the files. It changes when they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<(u64, u64, u64, std::time::SystemTime)>>);

impl Fingerprint {
    /// Takes the fingerprint of the files.
    pub fn of(files: &BTreeSet<PathBuf>) -> Self {
        Self(files.iter().map(look).collect())
    }
}

fn look(file: &PathBuf) -> Option<(u64, u64, u64, std::time::SystemTime)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.modified().ok()?))
}

/// Returns once the files differ from `known` and have stopped changing. Returns their new state.
pub async fn changed(files: &BTreeSet<PathBuf>, known: &Fingerprint) -> Fingerprint {
    let mut last = known.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let current = Fingerprint::of(files);
        if current != *known && current == last {
            return current;
        }
        last = current;
    }
}
