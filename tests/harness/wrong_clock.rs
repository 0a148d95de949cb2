//! A clock that is not that of the others, for one process: libfaketime (Debian's `libfaketime`).

use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;

/// How long a process may go on by what the clock said before; libfaketime is told to look each time.
const LOOKS_AFTER: Duration = Duration::from_millis(50);

/// A wall clock that is so far from the machine's. The steady clock is left alone.
pub(crate) struct WrongClock(NamedTempFile);

impl WrongClock {
    /// A clock that is so many seconds ahead; behind, if there are fewer than none.
    pub(crate) fn ahead(seconds: i64) -> Self {
        let clock = Self(NamedTempFile::new().expect("a file"));
        clock.put(seconds);
        clock
    }

    /// Sets it.
    pub(crate) fn set(&self, seconds: i64) {
        self.put(seconds);
        std::thread::sleep(LOOKS_AFTER);
    }

    fn put(&self, seconds: i64) {
        std::fs::write(self.0.path(), format!("{seconds:+}s\n")).expect("a file");
    }

    /// What makes a process go by it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let library = library().display().to_string();
        let file = self.0.path().display().to_string();
        [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// Debian keeps it in a folder of the machine's architecture.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("the libraries").flatten();
    let found = folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists());
    found.expect("libfaketime is installed")
}
