//! The file: whose it is, and what becomes of one that is no store.

use super::*;

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
    let script = "trap '' XFSZ; exec \"$0\" --exact store::embedded::file::full_disk --ignored";
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
