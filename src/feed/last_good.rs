//! The last good copy of an issuer's keys on disk, for a cold start while the issuer is away.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::gate::time::UnixTime;
use crate::private_files;

/// A key set as it was fetched.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastGood {
    /// The URL it came from. A copy from another URL is not used.
    pub url: String,
    /// When it was fetched, in seconds since 1970.
    pub fetched_at: i64,
    /// The document.
    pub jwks: String,
}

/// Where copies are kept.
#[derive(Clone, Debug)]
pub struct LastGoodFiles {
    directory: PathBuf,
}

impl LastGoodFiles {
    /// Copies in a directory of their own below `data`.
    pub fn below(data: &Path) -> Self {
        Self { directory: data.join("jwks") }
    }

    /// The copy for an issuer from `url`, if there is one. A copy that this process cannot write is
    /// not trusted: it may be one that should have been withdrawn.
    ///
    /// # Errors
    ///
    /// If there is a copy that cannot be read or written, or is damaged.
    pub fn find(&self, issuer: &str, url: &str) -> std::io::Result<Option<LastGood>> {
        let mut bytes = Vec::new();
        let opened = OpenOptions::new().read(true).write(true).open(self.file(issuer));
        match opened.and_then(|mut file| file.read_to_end(&mut bytes)) {
            // Withdrawn.
            Ok(0) => return Ok(None),
            Ok(_) => {}
            // A first start, or a data directory that is unusable: `keep` will report that.
            Err(error) if is_nothing(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let copy: LastGood = serde_json::from_slice(&bytes)?;
        Ok((copy.url == url).then_some(copy))
    }

    /// Saves a copy. It replaces an older one atomically.
    ///
    /// # Errors
    ///
    /// If the directory cannot be written.
    pub fn keep(
        &self,
        issuer: &str,
        url: &str,
        jwks: &[u8],
        fetched_at: UnixTime,
    ) -> std::io::Result<()> {
        let copy = LastGood {
            url: url.to_owned(),
            fetched_at: fetched_at.as_seconds(),
            jwks: String::from_utf8_lossy(jwks).into_owned(),
        };
        private_files::create_directory(&self.directory)?;
        // Only the owner may access it: another writer could add keys, and the URL may hold a
        // password.
        private_files::replace(&self.file(issuer), &serde_json::to_vec(&copy)?)
    }

    /// Withdraws the copy for an issuer: removes the file, or empties it if only the directory is
    /// write-protected.
    ///
    /// # Errors
    ///
    /// If neither can be done: the copy is unchanged.
    pub fn withdraw(&self, issuer: &str) -> std::io::Result<()> {
        let file = self.file(issuer);
        match std::fs::remove_file(&file) {
            Ok(()) => Ok(()),
            Err(error) if is_nothing(&error) => Ok(()),
            Err(_) => OpenOptions::new().write(true).truncate(true).open(&file)?.sync_all(),
        }
    }

    /// The directory, and the file for each of these issuers.
    pub fn places<'i>(&self, issuers: impl IntoIterator<Item = &'i str>) -> Vec<PathBuf> {
        let files = issuers.into_iter().map(|issuer| self.file(issuer));
        std::iter::once(self.directory.clone()).chain(files).collect()
    }

    /// The file for an issuer.
    ///
    /// Issuer names are letters, digits, `-`, `_` and `.`; the prefix keeps `..` a file name.
    pub fn file(&self, issuer: &str) -> PathBuf {
        self.directory.join(format!("keys-{issuer}.json"))
    }
}

/// Whether the error says that there is no copy.
fn is_nothing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
