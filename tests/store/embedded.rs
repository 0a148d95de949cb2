//! The store in a file.

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

// ---- the file

#[tokio::test]
async fn records_and_positions_survive_reopening() {
    let (_directory, path) = place();
    let log = open(&path);
    let records = append(&log, &["one", "two"]).await;
    let taken = snapshot(&log).await;
    drop(log);
    let log = open(&path);
    assert_eq!(snapshot(&log).await, taken);
    let second = Position { sequence: 2, mark: Some(records[1].mark) };
    assert_eq!(taken, Ok((records, second)));
    let third = record("three");
    let position = log.append(&third, bounds()).await.expect("it is appended");
    assert_eq!(position, Position { sequence: 3, mark: Some(third.mark) });
    assert_eq!(read(&log, second).await, (vec![third], position));
}

#[tokio::test]
async fn acknowledged_record_survives_a_killed_gateway() {
    let (directory, path) = place();
    let log = open(&path);
    let records = append(&log, &["one", "two"]).await;
    // What is in the file now is what a gateway that is killed now leaves behind.
    let left = directory.path().join("left.redb");
    std::fs::copy(&path, &left).expect("a copy");
    let (taken, _) = snapshot(&open(&left)).await.expect("a snapshot");
    assert_eq!(taken, records);
}

#[test]
fn file_is_for_its_owner_only() {
    let (_directory, path) = place();
    let _log = open(&path);
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn second_gateway_is_refused_and_the_first_goes_on() {
    let (_directory, path) = place();
    let first = open(&path);
    let records = append(&first, &["one"]).await;
    assert_eq!(
        refusal(&path),
        format!(
            "{} is in use by another gateway: give each its own file (store.embedded.path), or \
             let them share a Redis (store.redis)",
            path.display()
        )
    );
    assert_eq!(snapshot(&first).await.expect("a snapshot").0, records);
    drop(first);
    drop(open(&path));
}

#[test]
fn file_that_is_no_database_is_refused_and_left_alone() {
    let (directory, _) = place();
    for text in ["x", "issuers: []\nroutes: []\n", &"no database ".repeat(100_000)] {
        let path = directory.path().join("other");
        std::fs::write(&path, text).expect("a file");
        let refusal = refusal(&path);
        assert!(refusal.contains("is not a store of Portcullis"), "{refusal}");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), text);
    }
}

#[test]
fn file_that_was_emptied_is_refused_and_one_that_is_not_there_is_made() {
    let (directory, path) = place();
    drop(open(&path));
    std::fs::write(&path, "").expect("a file");
    let refusal = refusal(&path);
    assert!(refusal.contains("is empty") && refusal.contains("remove it"), "{refusal}");
    assert_eq!(std::fs::metadata(&path).expect("the file").len(), 0);
    std::fs::remove_file(&path).expect("it was there");
    drop(open(&path));
    // Nothing else is left beside it.
    let beside = path.parent().expect("a directory");
    assert_eq!(std::fs::read_dir(beside).expect("a directory").count(), 1);
    drop(directory);
}

#[test]
fn of_gateways_that_make_the_file_at_once_one_has_it() {
    const COUNT: usize = 8;
    let (_directory, path) = place();
    let barrier = std::sync::Barrier::new(COUNT);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let gateways: Vec<_> = (0..COUNT)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    Embedded::open(&path)
                })
            })
            .collect();
        gateways.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    let refused = opened.iter().filter_map(|one| one.as_ref().err());
    assert!(refused.clone().all(|why| why.contains("in use")), "{opened:?}");
    assert_eq!(refused.count(), COUNT - 1);
}

#[test]
fn truncated_file_is_refused() {
    let (_directory, path) = place();
    drop(open(&path));
    let bytes = std::fs::read(&path).expect("a file");
    for length in [5, 100, 4096, bytes.len() / 2] {
        std::fs::write(&path, &bytes[..length]).expect("a file");
        let refusal = refusal(&path);
        assert!(refusal.contains("damaged"), "{length}: {refusal}");
    }
}

#[test]
fn database_of_another_program_is_refused_and_left_alone() {
    let (directory, _) = place();
    let path = directory.path().join("other.redb");
    let table = TableDefinition::<&str, &str>::new("meta");
    let database = Database::create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(table).expect("a table").insert("a", "b").expect("it is put");
    transaction.commit().expect("it is written");
    drop(database);
    let refusal = refusal(&path);
    assert!(refusal.contains("another program"), "{refusal}");
    let database = Database::open(&path).expect("it is still theirs");
    let read = redb::ReadableDatabase::begin_read(&database).expect("a transaction");
    let kept = read.open_table(table).expect("a table").get("a").expect("it reads");
    assert_eq!(kept.expect("it is there").value(), "b");
}

#[test]
fn file_of_a_later_format_is_refused() {
    let meta = TableDefinition::<&str, u64>::new("meta");
    for (format, is_refused) in [(1, false), (2, true)] {
        let (_directory, path) = edited(|transaction| {
            let mut meta = transaction.open_table(meta).expect("a table");
            meta.insert("format", format).expect("it is put");
        });
        if is_refused {
            let refusal = refusal(&path);
            assert!(refusal.contains("later version of Portcullis"), "{refusal}");
        } else {
            drop(open(&path));
        }
    }
}

#[test]
fn place_that_cannot_be_a_directory_is_an_error() {
    let (directory, path) = place();
    // Not even root can write below a file.
    std::fs::write(directory.path().join("data"), "in the way").expect("a file");
    let refusal = refusal(&path);
    assert!(refusal.contains("cannot be opened"), "{refusal}");
}

#[test]
fn directory_in_the_place_of_the_file_is_an_error() {
    let (_directory, path) = place();
    std::fs::create_dir_all(&path).expect("a directory");
    let refusal = refusal(&path);
    assert!(refusal.contains("cannot be opened"), "{refusal}");
}

/// Set for the child of the test below.
const FULL_DISK: &str = "PORTCULLIS_TEST_FULL_DISK";

/// A limit on the size of files stands for a full disk. It is one for the whole process, which is
/// therefore one of its own.
#[test]
fn disk_that_was_full_is_written_again() {
    let this = std::env::current_exe().expect("a program");
    // Ignored, the signal becomes an error, as on a full disk.
    let script = "trap '' XFSZ; exec \"$0\" --exact store::embedded::full_disk --ignored";
    let mut child = Command::new("sh");
    let output = child.args(["-c", script]).arg(this).env(FULL_DISK, "1").output().expect("sh");
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{errors}");
}

#[tokio::test]
#[ignore = "a part of disk_that_was_full_is_written_again"]
async fn full_disk() {
    assert!(std::env::var_os(FULL_DISK).is_some(), "it changes a limit of the process");
    let limit = |limit: &str| {
        let this = std::process::id().to_string();
        let limit = format!("--fsize={limit}:");
        let limited = Command::new("prlimit").args(["--pid", &this, &limit]).status();
        assert!(limited.expect("prlimit").success());
    };
    let (_directory, path) = place();
    let log = open(&path);
    let mut kept = append(&log, &["before"]).await;
    limit("4096");
    let refused = log.append(&record("meanwhile"), bounds()).await;
    let Err(AppendError::Store(StoreError::Unavailable(why))) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.contains(&path.display().to_string()), "{why}");
    limit("unlimited");
    kept.extend(append(&log, &["after"]).await);
    let (taken, position) = snapshot(&log).await.expect("a snapshot");
    assert_eq!(sessions(&taken), sessions(&kept));
    assert_eq!(position.sequence, 2);
}

// ---- the log

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_are_numbered_without_gaps() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let sequences = append_many(&log, 300, clock::now().plus(60)).await;
    assert_eq!(sequences, (1..=300).collect());
    let (records, position) = read(&*log, NOTHING).await;
    assert_eq!((records.len(), position.sequence), (300, 300));
}

#[tokio::test]
async fn full_log_takes_nothing_until_records_have_been_spent_for_an_hour() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let bounds = |now| AppendBounds { entries_max: 2, now, login_issuer: None };
    for session in ["one", "two"] {
        log.append(&record_until(session, now), bounds(now)).await.expect("there is room");
    }
    let third = record_until("three", now.plus(2 * MARGIN_S));
    let not_yet = bounds(now.plus(MARGIN_S - 1));
    assert_eq!(log.append(&third, not_yet).await, Err(AppendError::Full));
    let position = log.append(&third, bounds(now.plus(MARGIN_S))).await.expect("there is room");
    assert_eq!(position.sequence, 3);
    assert_eq!(snapshot(&log).await.expect("a snapshot").0, [third]);
}

#[tokio::test]
async fn record_is_pruned_when_it_has_been_spent_for_an_hour_and_not_before() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let never = record_until("never", UnixTime::NEVER);
    log.append(&record_until("one", now), bounds()).await.expect("it is appended");
    log.append(&never, bounds()).await.expect("it is appended");
    assert_eq!(log.prune(now.plus(MARGIN_S - 1)).await, Ok(0));
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(1));
    assert_eq!(log.prune(now.plus(i64::MAX)).await, Ok(0));
    assert_eq!(snapshot(&log).await.expect("a snapshot").0, [never]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_goes_on_until_nothing_is_left() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let now = clock::now();
    append_many(&log, 10_001, now).await;
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(10_001));
}

#[tokio::test]
async fn sequence_goes_on_after_everything_was_pruned() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    for session in ["one", "two"] {
        log.append(&record_until(session, now), bounds()).await.expect("it is appended");
    }
    assert_eq!(log.prune(now.plus(MARGIN_S)).await, Ok(2));
    drop(log);
    let log = open(&path);
    let end = Position { sequence: 2, mark: None };
    assert_eq!(snapshot(&log).await, Ok((Vec::new(), end)));
    // Whoever had not read them goes on: they are spent.
    assert_eq!(read(&log, NOTHING).await, (Vec::new(), end));
    let position = log.append(&record("three"), bounds()).await.expect("it is appended");
    assert_eq!(position.sequence, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_wakes_when_a_record_is_appended() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { (read(&*log, NOTHING).await, Instant::now()) }
    });
    // Whether it already waits by then makes no difference to what must come.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let record = record("one");
    let position = log.append(&record, bounds()).await.expect("it is appended");
    let acknowledged = Instant::now();
    let (read, woken) = waiting.await.expect("no panic");
    assert_eq!(read, (vec![record], position));
    let late = woken.saturating_duration_since(acknowledged);
    assert!(late < Duration::from_millis(200), "{late:?}");
}

#[tokio::test]
async fn tail_without_news_returns_when_patience_ends() {
    let (_directory, path) = place();
    let log = open(&path);
    append(&log, &["one"]).await;
    let (_, position) = snapshot(&log).await.expect("a snapshot");
    let begun = Instant::now();
    let tail = log.tail(position, IMPATIENCE).await;
    assert_eq!(tail, Ok(Tail::Records(Vec::new(), position)));
    assert!(begun.elapsed() >= IMPATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_brings_so_many_records_and_then_goes_on() {
    let (_directory, path) = place();
    let log = Arc::new(open(&path));
    append_many(&log, TAIL_RECORDS_MAX + 1, clock::now().plus(60)).await;
    let (records, position) = read(&*log, NOTHING).await;
    assert_eq!((records.len() as u64, position.sequence), (TAIL_RECORDS_MAX, TAIL_RECORDS_MAX));
    let (records, position) = read(&*log, position).await;
    assert_eq!((records.len(), position.sequence), (1, TAIL_RECORDS_MAX + 1));
}

#[tokio::test]
async fn position_of_another_log_is_lost() {
    let (_directory, path) = place();
    let log = open(&path);
    let records = append(&log, &["one", "two"]).await;
    let at = |sequence, mark| Position { sequence, mark };
    let other = Some(records[0].mark ^ 1);
    for position in [at(3, None), at(1, other), at(2, other), at(u64::MAX, None)] {
        assert_eq!(loss(&log, position).await, Loss::WentBackwards, "{position:?}");
    }
    assert_eq!(read(&log, at(1, Some(records[0].mark))).await.0, records[1..]);
}

#[tokio::test]
async fn list_is_in_the_order_of_expiry_and_in_pages() {
    let (_directory, path) = place();
    let log = open(&path);
    let now = clock::now();
    let never = record_until("never", UnixTime::NEVER);
    log.append(&never, bounds()).await.expect("it is appended");
    for (session, seconds) in [("late", 300), ("spent", 0), ("soon", 1), ("later", 400)] {
        let record = record_until(session, now.plus(seconds));
        log.append(&record, bounds()).await.expect("it is appended");
    }
    let Listing { records, total } = log.list(0, u64::MAX, now).await.expect("a list");
    assert_eq!((sessions(&records), total), (vec!["soon", "late", "later", "never"], 4));
    for (offset, limit, page) in
        [(0, 1, 0..1), (1, 2, 1..3), (3, 2, 3..4), (4, 2, 4..4), (0, 0, 0..0), (u64::MAX, 1, 4..4)]
    {
        let listing = log.list(offset, limit, now).await.expect("a list");
        assert_eq!(listing, Listing { records: records[page].to_vec(), total: 4 }, "{offset}");
    }
}

// ---- what others wrote

#[tokio::test]
async fn what_a_newer_gateway_wrote_is_passed_over() {
    let (_directory, path) = edited(|transaction| put(transaction, 1, r#"{"kind":"invalidate"}"#));
    let log = open(&path);
    let end = Position { sequence: 1, mark: None };
    assert_eq!(read(&log, NOTHING).await, (Vec::new(), end));
    assert_eq!(snapshot(&log).await, Ok((Vec::new(), end)));
}

#[tokio::test]
async fn what_came_before_an_unreadable_record_is_told_first() {
    let readable = record("one");
    let (_directory, path) = edited(|transaction| {
        put(transaction, 1, &readable.encode());
        put(transaction, 2, r#"{"kind":"revocation","scope":"planet"}"#);
    });
    let log = open(&path);
    let (records, position) = read(&log, NOTHING).await;
    assert_eq!((records, position.sequence), (vec![readable], 1));
    let unreadable = |error: StoreError| matches!(error, StoreError::Unreadable(_));
    assert!(log.tail(position, IMPATIENCE).await.is_err_and(unreadable));
    assert!(snapshot(&log).await.is_err_and(unreadable));
    // The file itself is fine.
    append(&log, &["three"]).await;
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
