//! The sessions in a file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::store::session::SessionNotice;
use redb::{Database, ReadableDatabase, TableDefinition, TableHandle};

use super::*;

const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");

/// What others write into the closed file.
fn edit(path: &Path, edit: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).expect("it is ours");
    let transaction = database.begin_write().expect("a transaction");
    edit(&transaction);
    transaction.commit().expect("it is written");
}

/// Puts a text in the place of a record.
fn put(path: &Path, number: u64, text: &str) {
    edit(path, |transaction| {
        let mut records = transaction.open_table(RECORDS).expect("a table");
        records.insert(id(number).as_bytes(), text.as_bytes()).expect("it is put");
    });
}

/// The names of the tables in the closed file, and how many entries they have.
fn tables(path: &Path) -> Vec<(String, u64)> {
    let database = Database::open(path).expect("it is ours");
    let transaction = database.begin_read().expect("a transaction");
    let mut tables: Vec<_> = transaction
        .list_tables()
        .expect("a list")
        .map(|handle| {
            let name = handle.name().to_owned();
            let table = transaction.open_untyped_table(handle).expect("a table");
            (name, redb::ReadableTableMetadata::len(&table).expect("it is counted"))
        })
        .collect();
    tables.sort();
    tables
}

#[tokio::test]
async fn sessions_survive_reopening() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    create(&store, 1, &session("ada", now)).await;
    store.touch(&[(id(1), now.plus(5))]).await.expect("it is noted");
    create(&store, 2, &session("ada", now)).await;
    store.delete(id(2)).await.expect("it is deleted");
    drop(store);
    let store = in_file(&path);
    let kept = StoredSession { last_seen: now.plus(5), ..session("ada", now) };
    assert_eq!(found(&store, 1).await, Some(kept));
    assert_eq!(listed(&store, "ada", now).await, [id(1)]);
}

#[tokio::test]
async fn session_that_was_acknowledged_survives_a_killed_gateway_and_a_deleted_one_does_not() {
    let (directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    create(&store, 1, &session("ada", now)).await;
    create(&store, 2, &session("ada", now)).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    // What is in the file now is what a gateway that is killed now leaves behind.
    let left = directory.path().join("left.redb");
    std::fs::copy(&path, &left).expect("a copy");
    let left = in_file(&left);
    assert_eq!((found(&left, 1).await, found(&left, 2).await), (None, Some(session("ada", now))));
}

#[tokio::test]
async fn file_of_an_earlier_version_is_opened_and_keeps_its_log() {
    use crate::store::{append, snapshot};
    let (_directory, path) = place();
    let store = in_file(&path);
    let records = append(&store, &["a"]).await;
    drop(store);
    // An earlier version knew these.
    let known = ["meta", "revocations", "revocations_by_expiry"];
    edit(&path, |transaction| {
        let others: Vec<_> = transaction
            .list_tables()
            .expect("a list")
            .filter(|table| !known.contains(&table.name()))
            .collect();
        assert!(!others.is_empty());
        for table in others {
            assert!(transaction.delete_table(table).expect("it is deleted"));
        }
    });
    assert_eq!(tables(&path).len(), known.len());
    let store = in_file(&path);
    assert_eq!(found(&store, 1).await, None);
    assert_eq!(listed(&store, "ada", clock::now()).await, []);
    create(&store, 1, &session("ada", clock::now())).await;
    assert_eq!(snapshot(&store).await.expect("a snapshot").0, records);
}

#[tokio::test]
async fn session_of_a_later_version_is_left_alone() {
    let (_directory, path) = place();
    let now = clock::now();
    let spent = session("ada", now.plus(-MARGIN_S - IDLE_S));
    let store = in_file(&path);
    create(&store, 1, &spent).await;
    create(&store, 2, &session("ada", now)).await;
    drop(store);
    put(&path, 1, r#"{"version":2,"who":"ada"}"#);
    let store = in_file(&path);
    let error = store.find(id(1)).await.expect_err("it cannot be read");
    assert!(matches!(&error, StoreError::Unreadable(why) if why.contains('2')), "{error}");
    assert_eq!(listed(&store, "ada", now).await, [id(2)]);
    create(&store, 1, &spent).await;
    assert_eq!(store.prune(now).await, Ok(0));
    assert_eq!(store.prune(now).await, Ok(0));
    assert!(matches!(store.find(id(1)).await, Err(StoreError::Unreadable(_))));
    // Whoever says that it is to go need not be able to read it.
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(found(&store, 1).await, None);
}

#[tokio::test]
async fn record_without_what_came_later_is_read() {
    let (_directory, path) = place();
    drop(in_file(&path));
    put(&path, 1, r#"{"version":1,"subject":"ada","issuer":"i","created":7}"#);
    let found = found(&in_file(&path), 1).await.expect("it is there");
    assert_eq!((&*found.record.subject, found.record.roles.len()), ("ada", 0));
    assert_eq!(found.last_seen, UnixTime::from_seconds(7));
}

#[tokio::test]
async fn nothing_is_left_of_sessions_that_are_gone() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    create(&store, 1, &session("ada", now)).await;
    create(&store, 2, &session("ada", now.plus(-MARGIN_S - IDLE_S - 1))).await;
    store.touch(&[(id(1), now.plus(1))]).await.expect("it is noted");
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(store.delete(id(1)).await, Ok(true));
    store.touch(&[(id(1), now.plus(2))]).await.expect("it is passed over");
    drop(store);
    let left: Vec<_> = tables(&path)
        .into_iter()
        .filter(|(name, entries)| name.starts_with("sessions") && *entries > 0)
        .collect();
    assert_eq!(left, []);
}

#[tokio::test]
async fn whoever_listens_has_contact_for_ever() {
    let (_directory, path) = place();
    let store = in_file(&path);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut hear = |told| heard.lock().expect("no panic").push(told);
    let listening = store.listen(&mut hear);
    tokio::time::timeout(Duration::from_millis(1200), listening).await.expect_err("it goes on");
    let heard = heard.lock().expect("no panic").clone();
    assert_eq!(
        heard[..3],
        [SessionNotice::Begun, SessionNotice::Contact(0), SessionNotice::Contact(0)]
    );
}
