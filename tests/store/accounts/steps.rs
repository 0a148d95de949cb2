//! What ends a login is one step: its session, its family and its entry in the log go together, or not at all.

use portcullis::gate::session::{ApiKeyDetails, SessionKind};
use portcullis::store::session::{Displaced, SESSIONS_PER_SUBJECT_MAX};

use super::*;

of_both_stores! {
    reuse_ends_session_and_family_and_is_in_the_log
    reuse_ends_session_and_family_though_there_is_no_room
    reuse_is_merged_with_what_else_the_account_ended
    dead_family_is_brought_to_its_end_once
    session_that_is_displaced_is_in_the_log
    session_that_is_displaced_makes_room_though_there_is_none_in_the_log
    sessions_that_are_displaced_are_merged_beyond_a_hundred
    key_displaces_nothing
}

const MAX: u64 = SESSIONS_PER_SUBJECT_MAX as u64;

/// When the session of a number began: the same, however long a test takes.
fn at(second: u64) -> UnixTime {
    static BEGINNING: std::sync::LazyLock<UnixTime> = std::sync::LazyLock::new(clock::now);
    BEGINNING.plus(second as i64)
}

fn login_end(record: &Record, entries_max: u64) -> LoginEnd {
    LoginEnd { record: record.clone(), entries_max, now: clock::now() }
}

/// Begins a session; what had to make room for it.
async fn begin(
    store: &dyn WholeStore,
    number: u64,
    subject: &str,
    entries_max: u64,
) -> Vec<Displaced> {
    let record = end(number, subject, at(number), at(9000));
    let (session, end) = (session(subject, at(number)), login_end(&record, entries_max));
    let displaced = SessionStore::create(store, id(number), &session, Some(&end)).await;
    displaced.expect("it is written")
}

async fn reuse_ends_session_and_family_and_is_in_the_log(store: &dyn WholeStore) {
    let now = clock::now();
    let record = end(1, "ada \"x\"", now, now.plus(LIVES_S));
    for number in [1, 2] {
        log_in(store, number, "ada \"x\"", now).await;
    }
    let Rotation::Ended(Some(charged)) = reuse(store, 1, &record, 1000).await else {
        panic!("it has not ended")
    };
    assert_eq!(charged.written, std::slice::from_ref(&record));
    assert_eq!(charged.position, Position { sequence: 1, mark: Some(record.mark) });
    assert_eq!([is_there(store, 1).await, is_there(store, 2).await], [false, true]);
    let listed = store.list(0, 9, now).await.expect("it answers").records;
    assert_eq!(listed, std::slice::from_ref(&record));
    // Asked again, there is nothing left to end.
    assert_eq!(reuse(store, 1, &record, 1000).await, Rotation::Absent);
    assert_eq!(live(store).await.len(), 1);
}

async fn reuse_ends_session_and_family_though_there_is_no_room(store: &dyn WholeStore) {
    let now = clock::now();
    log_in(store, 1, "ada", now).await;
    let another = Record { owner: None, ..everywhere("bob", now, now.plus(LIVES_S)) };
    charge(store, &another, 1).await.expect("there is room for one");
    let record = end(1, "ada", now, now.plus(LIVES_S));
    assert_eq!(reuse(store, 1, &record, 1).await, Rotation::Ended(None));
    assert!(!is_there(store, 1).await);
    assert_eq!(live(store).await, [another.entry]);
    let listed = store.of_subject(ISSUER, "ada", now).await.expect("it answers");
    assert!(listed.is_empty());
}

async fn reuse_is_merged_with_what_else_the_account_ended(store: &dyn WholeStore) {
    let expires = at(9000);
    for number in 1..=MAX {
        let record = end(number, "ada", at(number), expires);
        charge(store, &record, 10_000).await.expect("there is room");
    }
    log_in(store, 500, "ada", at(2)).await;
    log_in(store, 501, "ada", at(MAX + 1)).await;
    let record = end(501, "ada", at(MAX + 1), expires);
    let rotated = reuse(store, 501, &record, 10_000).await;
    let Some(Some(entries)) = written(&rotated) else { panic!("{rotated:?}") };
    let scope = Scope::Grants { issuer: ISSUER.into(), subject: "ada".into() };
    assert_eq!(entries, [record.entry, Entry { scope, cut_off: at(2), expires }]);
    assert_eq!(live(store).await.len() as u64, MAX);
    assert_eq!([is_there(store, 500).await, is_there(store, 501).await], [false, false]);
}

/// A gateway of an earlier version has it dead, and was killed before it wrote that down.
async fn dead_family_is_brought_to_its_end_once(store: &dyn WholeStore) {
    let now = clock::now();
    log_in(store, 1, "ada", now).await;
    let record = end(1, "ada", now, now.plus(LIVES_S));
    let found = FamilyStore::find(store, id(1)).await.expect("it answers").expect("it is there");
    let digest = |byte| TokenDigest { place: 0, digest: [byte; 32] };
    let earlier = Exchange {
        family: id(1),
        presented: digest(9),
        successor: Successor { digest: digest(10), sealed: vec![1] },
        grace_ms: 0,
        now,
        premise: Premise { current: found.current, read_ms: found.read_ms, waited_ms: 0 },
        end: None,
    };
    assert_eq!(store.rotate(&earlier).await, Ok(Rotation::Reused));
    assert!(is_there(store, 1).await);
    assert_eq!(live(store).await, []);
    // Also by one that presents what was the current token.
    let end = Some(login_end(&record, 1000));
    let ended = store.rotate(&Exchange { presented: found.current, end, ..earlier }).await;
    assert_eq!(written(&ended.expect("it answers")), Some(Some(vec![record.entry.clone()])));
    assert!(!is_there(store, 1).await);
    assert_eq!(reuse(store, 1, &record, 1000).await, Rotation::Absent);
    assert_eq!(live(store).await, [record.entry]);
}

async fn session_that_is_displaced_is_in_the_log(store: &dyn WholeStore) {
    let subject = "ada \"id\":\"\" \"mark\":0";
    for number in 1..=MAX {
        assert_eq!(begin(store, number, subject, 1000).await, []);
    }
    for number in 1..=3 {
        let displaced = begin(store, MAX + number, subject, 1000).await;
        let [Displaced { id: session, created, end: Some(charged) }] = &displaced[..] else {
            panic!("{displaced:?}")
        };
        assert_eq!((*session, *created), (id(number), at(number)));
        assert_eq!(charged.written.len(), 1);
        let written = &charged.written[0];
        let expected = end(number, subject, *created, written.entry.expires);
        assert_eq!(
            written,
            &Record { mark: written.mark, written_us: written.written_us, ..expected }
        );
        let mark = Some(written.mark);
        assert_eq!(charged.position, Position { sequence: number, mark });
        assert!(!is_there_alone(store, number).await);
        let listed = store.list(0, 9, clock::now()).await.expect("it answers").records;
        assert_eq!(listed.len() as u64, number);
        assert!(listed.contains(written), "{listed:?}");
        // Asked again, it is done once.
        assert_eq!(begin(store, MAX + number, subject, 1000).await, []);
    }
}

async fn session_that_is_displaced_makes_room_though_there_is_none_in_the_log(
    store: &dyn WholeStore,
) {
    let now = clock::now();
    for number in 1..=MAX {
        begin(store, number, "ada", 1).await;
    }
    let another = Record { owner: None, ..everywhere("bob", now, now.plus(LIVES_S)) };
    charge(store, &another, 1).await.expect("there is room for one");
    let displaced = begin(store, MAX + 1, "ada", 1).await;
    assert_eq!(displaced, [Displaced { id: id(1), created: at(1), end: None }]);
    assert!(!is_there_alone(store, 1).await);
    assert!(is_there_alone(store, MAX + 1).await);
    assert_eq!(live(store).await, [another.entry]);
}

async fn sessions_that_are_displaced_are_merged_beyond_a_hundred(store: &dyn WholeStore) {
    let mut marks = std::collections::BTreeSet::new();
    for number in 1..=2 * MAX + 2 {
        for Displaced { end, .. } in begin(store, number, "ada", 10_000).await {
            let charged = end.expect("there is room");
            assert_eq!(charged.position.mark, charged.written.last().map(|record| record.mark));
            for record in charged.written {
                assert!(marks.insert(record.mark), "{record:?}");
            }
        }
    }
    let list = live(store).await;
    assert_eq!(list.len() as u64, MAX);
    let scope = Scope::Grants { issuer: ISSUER.into(), subject: "ada".into() };
    let merged = list.iter().filter(|entry| entry.scope == scope);
    assert_eq!(merged.map(|entry| entry.cut_off).collect::<Vec<_>>(), [at(3)]);
    assert_eq!(store.of_subject(ISSUER, "ada", at(1)).await.expect("listed").len() as u64, MAX);
}

async fn key_displaces_nothing(store: &dyn WholeStore) {
    let (now, record) = (clock::now(), end(1, "ada", at(1), clock::now().plus(LIVES_S)));
    for number in 1..=MAX + 1 {
        let mut key = session("ada", now);
        key.record.kind = SessionKind::ApiKey(ApiKeyDetails::default());
        let end = login_end(&record, 1000);
        let displaced = SessionStore::create(store, id(number), &key, Some(&end)).await;
        assert_eq!(displaced, Ok(Vec::new()));
    }
    assert_eq!(live(store).await, []);
}

/// Whether a session without a family is there.
async fn is_there_alone(store: &dyn WholeStore, number: u64) -> bool {
    SessionStore::find(store, id(number)).await.expect("it answers").is_some()
}

// ---- both alike

/// Whoever logs in again and again, with others ending in between: both stores displace and write the same.
#[test]
fn file_and_redis_displace_alike() {
    let runtime = Runtime::new().expect("a runtime");
    let server = RedisServer::start();
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    // A login, or the end of one of the last hundred.
    let event = prop_oneof![3 => Just(None), 1 => (0..MAX).prop_map(Some)];
    let events = proptest::collection::vec(event, 1..60);
    let told = TestRunner::new(config).run(&(events, 5..300_u64), |(events, entries_max)| {
        server.flush();
        let (_directory, path) = place();
        runtime.block_on(async {
            let (file, redis) = (in_file(&path), in_redis(&server));
            let stores: [&dyn WholeStore; 2] = [&file, &redis];
            let mut last = 0;
            for event in std::iter::repeat_n(None, MAX as usize).chain(events) {
                let mut outcomes = Vec::new();
                last += u64::from(event.is_none());
                for store in stores {
                    outcomes.push(match event {
                        None => ends_of(&begin(store, last, "ada", entries_max).await),
                        Some(ago) => {
                            let number = last - ago;
                            let record = end(number, "ada", at(number), at(9000));
                            let charged = charge(store, &record, entries_max).await;
                            vec![(id(number), charged.ok().as_ref().map(entries))]
                        }
                    });
                }
                prop_assert_eq!(&outcomes[0], &outcomes[1]);
            }
            let mut lists = [live(&file).await, live(&redis).await];
            lists.iter_mut().for_each(|list| list.sort_by_key(|entry| format!("{entry:?}")));
            prop_assert_eq!(&lists[0], &lists[1]);
            for number in 1..=last {
                let there =
                    [is_there_alone(&file, number).await, is_there_alone(&redis, number).await];
                prop_assert_eq!(there[0], there[1], "{}", number);
            }
            Ok(())
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

fn ends_of(
    displaced: &[Displaced],
) -> Vec<(portcullis::gate::session::SessionId, Option<Vec<Entry>>)> {
    displaced.iter().map(|one| (one.id, one.end.as_ref().map(entries))).collect()
}
