//! The store in a file.

mod file;
mod log;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use portcullis::store::embedded::Embedded;
use portcullis::store::{AppendError, Fleet, GatewayState, Listing, TAIL_RECORDS_MAX};
use redb::{Database, TableDefinition};
use tempfile::TempDir;

use super::*;

/// How long a record stays after it is spent.
const MARGIN_S: i64 = 3600;

const NOTHING: Position = Position { sequence: 0, mark: None };

/// A place for a file, in directories that are not there yet.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data/deep/portcullis.redb");
    (directory, path)
}

fn open(path: &Path) -> Embedded {
    Embedded::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Why a file is not opened; it must name the file, and what to do.
fn refusal(path: &Path) -> String {
    let refusal = Embedded::open(path).expect_err("it is refused");
    assert!(refusal.contains(&path.display().to_string()), "{refusal}");
    assert!(refusal.contains("store.embedded.path"), "{refusal}");
    refusal
}

/// A store that has been opened and closed, and in which others have then written.
fn edited(edit: impl FnOnce(&redb::WriteTransaction)) -> (TempDir, PathBuf) {
    let (directory, path) = place();
    drop(open(&path));
    let database = Database::open(&path).expect("it is ours");
    let transaction = database.begin_write().expect("a transaction");
    edit(&transaction);
    transaction.commit().expect("it is written");
    (directory, path)
}

/// Puts a text in the place of a record.
fn put(transaction: &redb::WriteTransaction, sequence: u64, text: &str) {
    let records = TableDefinition::<u64, &[u8]>::new("revocations");
    let mut records = transaction.open_table(records).expect("a table");
    records.insert(sequence, text.as_bytes()).expect("it is put");
    let mut meta =
        transaction.open_table(TableDefinition::<&str, u64>::new("meta")).expect("a table");
    meta.insert("revocations_sequence", sequence).expect("it is put");
}

/// Appends many records at once; they expire together.
async fn append_many(log: &Arc<Embedded>, count: u64, expires: UnixTime) -> BTreeSet<u64> {
    let appending = (0..count).map(|number| {
        let log = log.clone();
        tokio::spawn(async move {
            let record = record_until(&number.to_string(), expires);
            let bounds = AppendBounds { entries_max: u64::MAX, ..bounds() };
            log.append(&record, bounds).await.expect("it is appended").sequence
        })
    });
    let mut sequences = BTreeSet::new();
    for appended in appending.collect::<Vec<_>>() {
        sequences.insert(appended.await.expect("no panic"));
    }
    sequences
}

// ---- the fleet

#[tokio::test]
async fn roster_tells_the_head_and_who_follows_until_they_leave() {
    let (_directory, path) = place();
    let store = open(&path);
    let state = |instance: &str, name: &str, applied| GatewayState {
        instance: instance.into(),
        name: name.into(),
        version: "1".into(),
        applied,
        mark: None,
        counted_for_ms: 0,
        clock_ahead_ms: None,
        settings: Default::default(),
    };
    let known = async || {
        let gateways = store.roster().await.expect("a roster").gateways;
        gateways.into_iter().map(|gateway| gateway.state).collect::<Vec<_>>()
    };
    append(&store, &["one"]).await;
    assert_eq!(store.roster().await.expect("a roster").head, 1);
    store.announce(&state("1", "b", 0)).await.expect("it is told");
    store.announce(&state("2", "a", 1)).await.expect("it is told");
    store.announce(&state("1", "b", 1)).await.expect("it is told");
    assert_eq!(known().await, [state("2", "a", 1), state("1", "b", 1)]);
    store.leave("2").await.expect("it is told");
    assert_eq!(known().await, [state("1", "b", 1)]);
}
