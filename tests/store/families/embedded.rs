//! Families in a file.

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle,
};

use super::*;

const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("families");

/// A digest, a time in milliseconds, and what the token was exchanged for.
type Last<'a> = (&'a [u8; 32], u64, &'a [u8]);

const LAST: TableDefinition<&[u8; 32], Last<'_>> = TableDefinition::new("families_last_exchange");

/// What others write into the closed file.
fn edit(path: &Path, edit: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).expect("it is ours");
    let transaction = database.begin_write().expect("a transaction");
    edit(&transaction);
    transaction.commit().expect("it is written");
}

/// Has the closed file believe that the last exchange, of token 0 for 1, was so long ago.
fn exchanged(path: &Path, number: u64, ago_ms: i64) {
    edit(path, |transaction| {
        let now_ms = clock::micros() / 1000;
        let rotated_ms = now_ms.checked_add_signed(-ago_ms).expect("a time");
        let mut last = transaction.open_table(LAST).expect("a table");
        let sealed = sealed(1);
        let before = last.insert(id(number).as_bytes(), (&token(0).digest, rotated_ms, &*sealed));
        assert!(before.expect("it is put").is_some(), "it was there");
    });
}

/// The names of the tables of families and of what was used, and how many entries they have.
fn entries(path: &Path) -> Vec<(String, u64)> {
    let database = Database::open(path).expect("it is ours");
    let transaction = database.begin_read().expect("a transaction");
    let tables = transaction.list_tables().expect("a list");
    let ours = |name: &str| name.starts_with("families") || name.starts_with("spent");
    let mut entries: Vec<_> = tables
        .filter(|table| ours(table.name()))
        .map(|table| {
            let name = table.name().to_owned();
            let table = transaction.open_untyped_table(table).expect("a table");
            (name, table.len().expect("it is counted"))
        })
        .collect();
    entries.sort();
    entries
}

/// Whether nothing is left in these tables.
fn is_empty(path: &Path) -> bool {
    let entries = entries(path);
    assert_eq!(entries.len(), 7, "{entries:?}");
    entries.iter().all(|(_, count)| *count == 0)
}

/// What a gateway has acknowledged, looked at in the file that it leaves behind.
async fn is_as_acknowledged(store: &Embedded, now: UnixTime) {
    assert_eq!(kept(store, 1).await, Some(used(&family(1, now), 2, now.plus(5))));
    assert_eq!(found(store, 1).await.map(|found| found.last_seen), Some(now.plus(5)));
    assert_eq!(kept(store, 3).await, None);
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(false));
    // A gateway that is restarted goes by the wall clock.
    assert_eq!(rotate(store, 1, 1, 9, now).await, Rotation::Replayed(vec![sealed(2)]));
    assert_eq!(rotate(store, 1, 2, 3, now).await, Rotation::Rotated);
    assert_eq!(rotate(store, 2, 0, 1, now).await, Rotation::Reused, "dead stays dead");
}

#[tokio::test]
async fn acknowledged_exchanges_survive_a_killed_gateway_and_reopening() {
    let (directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    for number in 1..=3 {
        begin(&store, &family(number, now)).await;
    }
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 1, 1, 2, now.plus(5)).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 2, 99, 1, now).await, Rotation::Reused);
    assert_eq!(store.delete(id(3)).await, Ok(true));
    assert_eq!(store.spend("one", now.plus(60), now).await, Ok(true));
    // What is in the file now is what a gateway that is killed now leaves behind.
    let left = directory.path().join("left.redb");
    std::fs::copy(&path, &left).expect("a copy");
    is_as_acknowledged(&in_file(&left), now).await;
    drop(store);
    is_as_acknowledged(&in_file(&path), now).await;
}

#[tokio::test]
async fn grace_ends_while_the_gateway_is_down() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    let long_ms = GRACE_MS as i64;
    let ago_ms = [0, long_ms - 60_000, long_ms, 10 * long_ms, 60_000 - long_ms, -60_000 - long_ms];
    for number in 0..6 {
        begin(&store, &family(number, now)).await;
        assert_eq!(rotate(&store, number, 0, 1, now).await, Rotation::Rotated);
    }
    drop(store);
    for (number, ago_ms) in (0..).zip(ago_ms) {
        exchanged(&path, number, ago_ms);
    }
    let store = in_file(&path);
    for (number, is_replayed) in (0..).zip([true, true, false, false, true, false]) {
        let replayed = Rotation::Replayed(vec![sealed(1)]);
        let expected = if is_replayed { replayed } else { Rotation::Reused };
        assert_eq!(rotate(&store, number, 0, 2, now).await, expected, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn family_of_a_later_version_is_left_alone_and_others_are_not_kept_from_theirs() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    for number in 1..=100 {
        begin(&store, &family(number, now)).await;
    }
    drop(store);
    let later = br#"{"version":2,"who":"ada"}"#;
    edit(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).expect("a table");
        records.insert(id(1).as_bytes(), &later[..]).expect("it is put");
    });
    let store = Arc::new(in_file(&path));
    let error = FamilyStore::find(&*store, id(1)).await.expect_err("it cannot be read");
    assert!(matches!(&error, StoreError::Unreadable(why) if why.contains('2')), "{error}");
    // In transactions that they share, as like as not.
    let rotating = (2..=100).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let next = successor(1);
            let unreadable = exchange(&*store, 1, token(99), &next, GRACE_MS, now);
            let readable = exchange(&*store, number, token(0), &next, GRACE_MS, now);
            let (unreadable, readable) = tokio::join!(unreadable, readable);
            assert!(matches!(unreadable, Err(StoreError::Unreadable(_))), "{unreadable:?}");
            assert_eq!(readable, Ok(Rotation::Rotated), "{number}");
        })
    });
    for rotating in rotating.collect::<Vec<_>>() {
        rotating.await.expect("no panic");
    }
    assert_eq!(store.begin(&family(1, now), token(7)).await, Ok(true));
    assert_eq!(SessionStore::prune(&*store, now).await, Ok(0));
    drop(store);
    // Whoever knows it finds it as it was: the token that was made up has killed nothing.
    edit(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).expect("a table");
        let held =
            records.get(id(1).as_bytes()).expect("it reads").map(|held| held.value().to_vec());
        assert_eq!(held.as_deref(), Some(&later[..]));
        let text = portcullis::store::family::encode(&family(1, now));
        records.insert(id(1).as_bytes(), text.as_bytes()).expect("it is put");
    });
    let store = in_file(&path);
    assert_eq!(rotate(&store, 1, 0, 1, now).await, Rotation::Rotated);
    // Whoever says that it is to go need not be able to read it.
    drop(store);
    edit(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).expect("a table");
        records.insert(id(1).as_bytes(), &later[..]).expect("it is put");
    });
    assert_eq!(in_file(&path).delete(id(1)).await, Ok(true));
}

#[tokio::test]
async fn family_is_dropped_an_hour_after_it_could_last_be_used() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    let begun = now.plus(-IDLE_S - MARGIN_S);
    let ends = now.plus(-MARGIN_S);
    // Rested, not quite, used since, ended, not quite, dead.
    begin(&store, &family(1, begun)).await;
    begin(&store, &family(2, begun.plus(1))).await;
    begin(&store, &family(3, begun)).await;
    begin(&store, &Family { ends, idle_s: i64::MAX, ..family(4, begun) }).await;
    begin(&store, &Family { ends: ends.plus(1), idle_s: i64::MAX, ..family(5, begun) }).await;
    begin(&store, &family(6, begun)).await;
    assert_eq!(rotate(&store, 3, 0, 1, begun.plus(1)).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 6, 0, 1, begun).await, Rotation::Rotated);
    assert_eq!(rotate(&store, 6, 99, 1, begun).await, Rotation::Reused);
    for (now, left) in [(now.plus(-1), vec![1, 2, 3, 4, 5, 6]), (now, vec![2, 3, 5])] {
        assert_eq!(SessionStore::prune(&store, now).await, Ok(0), "they are no sessions");
        let mut found = Vec::new();
        for number in 1..=6 {
            found.extend(kept(&store, number).await.map(|_| number));
        }
        assert_eq!(found, left);
    }
    assert_eq!(SessionStore::prune(&store, now.plus(1)).await, Ok(0));
    drop(store);
    assert!(is_empty(&path));
}

#[tokio::test]
async fn nothing_is_left_of_families_that_were_ended() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    for number in [1, 2] {
        begin(&store, &family(number, now)).await;
        assert_eq!(rotate(&store, number, 0, 1, now.plus(9)).await, Rotation::Rotated);
    }
    assert_eq!(rotate(&store, 2, 99, 1, now).await, Rotation::Reused);
    for number in [1, 2] {
        assert_eq!(store.delete(id(number)).await, Ok(true));
    }
    drop(store);
    assert!(is_empty(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_goes_on_until_nothing_is_left() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = Arc::new(in_file(&path));
    let spending = (0..10_001).map(|key| {
        let store = store.clone();
        tokio::spawn(async move { store.spend(&key.to_string(), now, now).await })
    });
    for spending in spending.collect::<Vec<_>>() {
        assert_eq!(spending.await.expect("no panic"), Ok(true));
    }
    SessionStore::prune(&*store, now.plus(MARGIN_S)).await.expect("it prunes");
    drop(store);
    assert!(is_empty(&path));
}

#[tokio::test]
async fn what_was_used_is_forgotten_an_hour_after_it_may_be() {
    let (_directory, path) = place();
    let now = clock::now();
    let store = in_file(&path);
    for (key, until) in [("one", now.plus(60)), ("past", now.plus(-60))] {
        assert_eq!(store.spend(key, until, now).await, Ok(true));
    }
    for (after, one, past) in [
        (MARGIN_S - 1, false, false),
        (MARGIN_S, false, true),
        (MARGIN_S + 59, false, false),
        (MARGIN_S + 60, true, false),
    ] {
        SessionStore::prune(&store, now.plus(after)).await.expect("it prunes");
        let later = now.plus(1_000_000);
        assert_eq!(store.spend("one", later, now).await, Ok(one), "{after}");
        assert_eq!(store.spend("past", later, now).await, Ok(past), "{after}");
    }
}
