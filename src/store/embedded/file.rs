//! The file: opened once, locked, and reopened after the disk has failed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, TableError,
};

use super::fault::FileFault;
use super::tables::log::META;
use super::tables::{Tables, are_complete};
use crate::private_files;
use crate::store::StoreError;

/// The cache of the file. redb's default is a gibibyte, but the lists are kept elsewhere.
const CACHE_BYTES: usize = 32 << 20;

/// The format of the tables. A file of a later format is refused. New tables do not need a new
/// format: a version that does not know them ignores them, and a version that misses them creates
/// them.
const FORMAT: u64 = 1;

/// The key of the format in [`META`].
const FORMAT_NAME: &str = "format";

/// An open file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    state: RwLock<FileState>,
}

#[derive(Debug)]
enum FileState {
    Open(Database),
    /// After a disk error redb does nothing until the file is reopened.
    Failed,
    Closed,
}

impl File {
    /// Opens the file, or creates it and the directories above.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            Some(_) | None => Path::new("."),
        };
        private_files::create_directory(directory).map_err(|error| not_opened(path, &error))?;
        match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
            Ok(found) if found.is_file() && found.len() == 0 => return Err(emptied(path)),
            Ok(_) | Err(_) => {}
        }
        let file = private_files::options().read(true).write(true).open(path);
        let file = file.map_err(|error| not_opened(path, &error))?;
        let database = builder().create_file(file).map_err(|error| refused(path, &error))?;
        begin(path, &database)?;
        // Makes the name of the file as durable as its contents.
        let named = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        named.map_err(|error| not_opened(path, &error))?;
        Ok(Self { path: path.to_owned(), state: RwLock::new(FileState::Open(database)) })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file, once no operation on it is in progress.
    pub(super) fn close(&self) {
        self.enter(FileState::Closed);
    }

    /// Reads in a transaction of its own.
    pub(super) fn read<T>(
        &self,
        job: impl FnOnce(&ReadTransaction) -> Result<T, FileFault>,
    ) -> Result<T, StoreError> {
        self.with(|database| job(&database.begin_read()?))
    }

    /// Runs a job on the database.
    pub(super) fn with<T>(
        &self,
        job: impl FnOnce(&Database) -> Result<T, FileFault>,
    ) -> Result<T, StoreError> {
        self.recover()?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let outcome = match &*state {
            FileState::Open(database) => job(database),
            FileState::Failed | FileState::Closed => return Err(self.unavailable("it is closed")),
        };
        drop(state);
        outcome.map_err(|fault| match fault {
            FileFault::File(error) => {
                self.enter(FileState::Failed);
                self.unavailable(&error.to_string())
            }
            FileFault::Record(error) => StoreError::Unreadable(format!("{}: {error}", self.name())),
        })
    }

    /// Reopens the file after a disk error, which may have passed.
    fn recover(&self) -> Result<(), StoreError> {
        let is_failed = |state: &FileState| matches!(state, FileState::Failed);
        if !is_failed(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if is_failed(&state) {
            // A missing file is not created again: that would hide the loss.
            let reopened = builder().open(&self.path).map_err(|error| refused(&self.path, &error));
            let database = reopened.map_err(StoreError::Unavailable)?;
            begin(&self.path, &database).map_err(StoreError::Unavailable)?;
            *state = FileState::Open(database);
        }
        Ok(())
    }

    fn enter(&self, next: FileState) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, FileState::Closed) {
            *state = next;
        }
    }

    fn unavailable(&self, why: &str) -> StoreError {
        StoreError::Unavailable(format!("{}: {why}", self.name()))
    }

    fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Creates a store where there is none. The file gets its name only once it is complete, so an
/// empty file with that name has lost its contents.
fn make(path: &Path) -> Result<(), String> {
    let not_made = |error: std::io::Error| not_opened(path, &error);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", fastrand::u64(..)));
    // For its owner only: anyone who could write the file could undo revocations.
    let file = private_files::options().read(true).write(true).create_new(true).open(&temporary);
    let made = builder().create_file(file.map_err(not_made)?);
    let made = made
        .map_err(|error| refused(path, &error))
        .and_then(|database| begin(path, &database))
        .and_then(|()| match std::fs::hard_link(&temporary, path) {
            // Another gateway was faster; the lock decides which of them gets it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked.map_err(not_made),
        });
    let removed = std::fs::remove_file(&temporary).map_err(not_made);
    made.and(removed)
}

/// Creates missing tables, and verifies that existing ones are the gateway's.
fn begin(path: &Path, database: &Database) -> Result<(), String> {
    let path = path.display();
    match format(database).map_err(|error| format!("{path} cannot be read: {error}"))? {
        Format::Known => Ok(()),
        Format::Empty | Format::Earlier => {
            make_tables(database).map_err(|error| format!("{path} cannot be written: {error}"))
        }
        Format::Newer(format) => Err(format!(
            "{path} was written by a later version of Portcullis (its format is {format}, this \
             one knows {FORMAT}); it was left as it is: use that version, or name another file \
             (store.embedded.path)"
        )),
        Format::Foreign => Err(format!(
            "{path} is the database of another program; it was left as it is: name another file \
             (store.embedded.path)"
        )),
    }
}

/// The version that wrote the tables of a file.
enum Format {
    Empty,
    Known,
    /// The gateway's, with some tables missing.
    Earlier,
    Newer(u64),
    Foreign,
}

fn format(database: &Database) -> Result<Format, FileFault> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.next().is_none() {
        return Ok(Format::Empty);
    }
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(Format::Foreign),
    };
    Ok(match meta.get(FORMAT_NAME)?.map(|format| format.value()) {
        None => Format::Foreign,
        Some(format) if format > FORMAT => Format::Newer(format),
        Some(_) if are_complete(&transaction)? => Format::Known,
        Some(_) => Format::Earlier,
    })
}

fn make_tables(database: &Database) -> Result<(), FileFault> {
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction)?);
    transaction.open_table(META)?.insert(FORMAT_NAME, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

fn not_opened(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be opened: {error}: give the gateway a directory that it may write, or name \
         another file (store.embedded.path)",
        path.display()
    )
}

/// The refusal of an existing file without contents.
fn emptied(path: &Path) -> String {
    format!(
        "{} is empty: who was cut off and who was logged in is lost. Put it back from a copy; or remove \
         it (store.embedded.path) to begin anew, and cut off again whoever must stay out",
        path.display()
    )
}

/// Why redb cannot open a file, and what to do.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is redb's")]
fn refused(path: &Path, error: &DatabaseError) -> String {
    let name = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => format!(
            "{name} is in use by another gateway: give each its own file (store.embedded.path), \
             or let them share a Redis (store.redis)"
        ),
        DatabaseError::Storage(StorageError::Io(error)) if !is_about_content(error) => {
            not_opened(path, error)
        }
        error => format!(
            "{name} is not a store of Portcullis, or it is damaged ({error}); it was left as it \
             is: move it away, or name another file (store.embedded.path)"
        ),
    }
}

/// Whether the disk works, and the contents of the file are wrong.
fn is_about_content(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}
