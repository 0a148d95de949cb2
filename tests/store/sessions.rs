//! The sessions: what both stores promise, and then what only one of them can break.

mod embedded;
mod listening;
mod model;
mod redis;

use std::path::{Path, PathBuf};

use portcullis::clock;
use portcullis::gate::session::{
    LoginDetails, SessionId, SessionKind, SessionRecord, StoredSession,
};
use portcullis::gate::time::UnixTime;
use portcullis::store::StoreError;
use portcullis::store::embedded::Embedded;
use portcullis::store::redis::Redis;
use portcullis::store::session::{Displaced, SESSIONS_PER_SUBJECT_MAX, SessionStore};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::redis::RedisServer;

/// How long a session is kept after it could last be used.
const MARGIN_S: i64 = 3600;

/// How long sessions may rest.
const IDLE_S: i64 = 1800;

/// How long they live.
const LIFETIME_S: i64 = 500_000;

/// Who vouches for everybody.
pub(super) const ISSUER: &str = "https://gateway.test";

/// An id, different for each number.
pub(super) fn id(number: u64) -> SessionId {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// A session of a subject, of a login at `created`, and not used since.
pub(super) fn session(subject: &str, created: UnixTime) -> StoredSession {
    let claims =
        json!({"mail": "a@b.test", "deep": {"idle_s": 1, "list": [1, 2.5, null, "ü\"\n"]}});
    let record = SessionRecord {
        kind: SessionKind::Login(LoginDetails {
            family: id(0).to_string().into(),
            user_agent: "Firefox \"quoted\"".into(),
            address: "192.0.2.7".into(),
        }),
        subject: subject.into(),
        issuer: ISSUER.into(),
        method: "password".into(),
        roles: vec!["admin".into(), "ops".into()],
        scopes: vec!["read".into()],
        claims: claims.as_object().expect("an object").clone(),
        created,
        ends: created.plus(LIFETIME_S),
        idle_s: IDLE_S,
    };
    StoredSession { record, last_seen: created }
}

/// Writes a session down; nobody has to make room for it.
pub(super) async fn create(store: &dyn SessionStore, number: u64, session: &StoredSession) {
    let displaced = store.create(id(number), session, None).await;
    assert_eq!(displaced, Ok(Vec::new()), "{number}");
}

/// What is found.
pub(super) async fn found(store: &dyn SessionStore, number: u64) -> Option<StoredSession> {
    store.find(id(number)).await.expect("it answers")
}

/// The ids of the sessions of a subject that can be used.
pub(super) async fn listed(
    store: &dyn SessionStore,
    subject: &str,
    now: UnixTime,
) -> Vec<SessionId> {
    let listed = store.of_subject(ISSUER, subject, now).await.expect("it answers");
    listed.into_iter().map(|(id, _)| id).collect()
}

/// A place for a file.
pub(super) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("portcullis.redb");
    (directory, path)
}

pub(super) fn in_file(path: &Path) -> Embedded {
    Embedded::open(path).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn in_redis(server: &RedisServer) -> Redis {
    Redis::open(&server.settings()).expect("settings that can work")
}

of_both_stores! {
    session_is_found_as_it_was_written
    creating_twice_is_creating_once
    last_use_moves_forwards_only
    use_of_a_session_that_is_gone_is_passed_over
    many_uses_are_written_down_at_once
    deleted_session_is_gone
    sessions_of_a_subject_are_those_that_can_be_used
    subjects_are_told_apart_by_issuer_and_name
    hundred_and_first_session_displaces_the_first
    new_session_is_never_displaced_by_itself
    deleted_session_makes_room
    session_is_dropped_an_hour_after_it_could_last_be_used
    session_that_was_used_is_not_dropped
    session_that_ended_long_ago_is_dropped
    pruning_goes_on_until_nothing_is_left
    time_that_never_comes_is_a_time
}

async fn session_is_found_as_it_was_written(store: &dyn SessionStore) {
    let now = clock::now();
    let written = StoredSession { last_seen: now.plus(7), ..session("ada", now) };
    assert_eq!(found(store, 1).await, None);
    create(store, 1, &written).await;
    assert_eq!(found(store, 1).await, Some(written));
    assert_eq!(found(store, 2).await, None);
}

async fn creating_twice_is_creating_once(store: &dyn SessionStore) {
    let now = clock::now();
    let written = session("ada", now);
    create(store, 1, &written).await;
    store.touch(&[(id(1), now.plus(9))]).await.expect("it is noted");
    create(store, 1, &written).await;
    // Nor is another put in its place.
    create(store, 1, &session("eve", now.plus(1))).await;
    let used = StoredSession { last_seen: now.plus(9), ..written };
    assert_eq!(found(store, 1).await, Some(used));
    assert_eq!(listed(store, "ada", now).await, [id(1)]);
    assert_eq!(listed(store, "eve", now).await, []);
}

async fn last_use_moves_forwards_only(store: &dyn SessionStore) {
    let now = clock::now();
    create(store, 1, &session("ada", now)).await;
    for (seen, last_seen) in [(5, 5), (4, 5), (5, 5), (6, 6), (-100, 6)] {
        store.touch(&[(id(1), now.plus(seen))]).await.expect("it is noted");
        let found = found(store, 1).await.expect("it is there");
        assert_eq!(found.last_seen, now.plus(last_seen), "{seen}");
    }
}

async fn use_of_a_session_that_is_gone_is_passed_over(store: &dyn SessionStore) {
    let now = clock::now();
    create(store, 1, &session("ada", now)).await;
    let seen = [(id(2), now.plus(1)), (id(1), now.plus(1)), (id(3), now.plus(1))];
    store.touch(&seen).await.expect("it is noted");
    assert_eq!(found(store, 1).await.map(|found| found.last_seen), Some(now.plus(1)));
    assert_eq!(found(store, 2).await, None);
    store.delete(id(1)).await.expect("it is deleted");
    store.touch(&[(id(1), now.plus(2))]).await.expect("it is noted");
    assert_eq!(found(store, 1).await, None);
    store.touch(&[]).await.expect("nothing is noted");
}

async fn many_uses_are_written_down_at_once(store: &dyn SessionStore) {
    let now = clock::now();
    for number in [1, 1500] {
        create(store, number, &session("ada", now)).await;
    }
    let seen: Vec<_> = (1..=1500).map(|number| (id(number), now.plus(3))).collect();
    store.touch(&seen).await.expect("it is noted");
    for number in [1, 1500] {
        let found = found(store, number).await.expect("it is there");
        assert_eq!(found.last_seen, now.plus(3), "{number}");
    }
}

async fn deleted_session_is_gone(store: &dyn SessionStore) {
    let now = clock::now();
    create(store, 1, &session("ada", now)).await;
    create(store, 2, &session("ada", now)).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(store.delete(id(1)).await, Ok(false));
    assert_eq!(store.delete(id(3)).await, Ok(false));
    assert_eq!(found(store, 1).await, None);
    assert_eq!(listed(store, "ada", now).await, [id(2)]);
    assert_eq!(found(store, 2).await, Some(session("ada", now)));
}

async fn sessions_of_a_subject_are_those_that_can_be_used(store: &dyn SessionStore) {
    let now = clock::now();
    let ends_soon = session("ada", now.plus(-3));
    let ends = now.plus(100);
    let record = SessionRecord { ends, ..ends_soon.record };
    let ends_soon = StoredSession { record, last_seen: now };
    create(store, 1, &session("ada", now.plus(-1))).await;
    create(store, 2, &ends_soon).await;
    create(store, 3, &session("ada", now.plus(-2))).await;
    store.touch(&[(id(3), now)]).await.expect("it is noted");
    let of_ada = store.of_subject(ISSUER, "ada", now).await.expect("it answers");
    let used = StoredSession { last_seen: now, ..session("ada", now.plus(-2)) };
    let all =
        [(id(1), session("ada", now.plus(-1))), (id(3), used.clone()), (id(2), ends_soon.clone())];
    assert_eq!(of_ada, all, "the latest login first");
    for (after, ids) in [
        (99, vec![id(1), id(3), id(2)]),
        (100, vec![id(1), id(3)]),
        (IDLE_S - 2, vec![id(1), id(3)]),
        (IDLE_S - 1, vec![id(3)]),
        (IDLE_S, vec![]),
    ] {
        assert_eq!(listed(store, "ada", now.plus(after)).await, ids, "{after}");
    }
    // Nothing is dropped only because it was not listed.
    assert_eq!(found(store, 2).await, Some(ends_soon));
}

async fn subjects_are_told_apart_by_issuer_and_name(store: &dyn SessionStore) {
    let now = clock::now();
    create(store, 1, &session("ada", now)).await;
    let elsewhere = session("ada", now);
    let record = SessionRecord { issuer: "https://other.test".into(), ..elsewhere.record };
    create(store, 2, &StoredSession { record, last_seen: now }).await;
    create(store, 3, &session("bob", now)).await;
    assert_eq!(listed(store, "ada", now).await, [id(1)]);
    assert_eq!(listed(store, "bob", now).await, [id(3)]);
    assert_eq!(listed(store, "", now).await, []);
}

async fn hundred_and_first_session_displaces_the_first(store: &dyn SessionStore) {
    let now = clock::now();
    let max = SESSIONS_PER_SUBJECT_MAX as u64;
    let login = |number: u64| session("ada", now.plus(i64::try_from(number).expect("small")));
    create(store, 1000, &session("bob", now)).await;
    for number in 1..=max {
        create(store, number, &login(number)).await;
    }
    let displaced = store.create(id(max + 1), &login(max + 1), None).await;
    assert_eq!(displaced, Ok(vec![Displaced { id: id(1), created: now.plus(1), end: None }]));
    assert_eq!(found(store, 1).await, None);
    let last: Vec<_> = (2..=max + 1).rev().map(id).collect();
    assert_eq!(listed(store, "ada", now).await, last);
    // Whose answer was lost, and who asks again, displaces no other.
    create(store, max + 1, &login(max + 1)).await;
    assert_eq!(listed(store, "ada", now).await, last);
    assert_eq!(listed(store, "bob", now).await, [id(1000)]);
}

async fn new_session_is_never_displaced_by_itself(store: &dyn SessionStore) {
    let now = clock::now();
    let max = SESSIONS_PER_SUBJECT_MAX as u64;
    for number in 1..=max {
        create(store, number, &session("ada", now.plus(number as i64))).await;
    }
    // A gateway whose clock is behind.
    let displaced = store.create(id(max + 1), &session("ada", now.plus(-60)), None).await;
    assert_eq!(displaced, Ok(vec![Displaced { id: id(1), created: now.plus(1), end: None }]));
    assert!(found(store, max + 1).await.is_some());
}

async fn deleted_session_makes_room(store: &dyn SessionStore) {
    let now = clock::now();
    let max = SESSIONS_PER_SUBJECT_MAX as u64;
    for number in 1..=max {
        create(store, number, &session("ada", now.plus(number as i64))).await;
    }
    assert_eq!(store.delete(id(50)).await, Ok(true));
    create(store, max + 1, &session("ada", now.plus(1000))).await;
    assert_eq!(listed(store, "ada", now).await.len(), SESSIONS_PER_SUBJECT_MAX);
}

async fn session_is_dropped_an_hour_after_it_could_last_be_used(store: &dyn SessionStore) {
    let now = clock::now();
    let idle_ended = now.plus(-MARGIN_S - IDLE_S);
    create(store, 1, &session("ada", idle_ended)).await;
    create(store, 2, &session("ada", idle_ended.plus(1))).await;
    create(store, 3, &session("ada", now)).await;
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(found(store, 1).await, None);
    assert!(found(store, 2).await.is_some() && found(store, 3).await.is_some());
}

async fn session_that_was_used_is_not_dropped(store: &dyn SessionStore) {
    let now = clock::now();
    let idle_ended = now.plus(-MARGIN_S - IDLE_S);
    for number in [1, 2] {
        create(store, number, &session("ada", idle_ended.plus(-100))).await;
    }
    store.touch(&[(id(1), idle_ended), (id(2), idle_ended.plus(1))]).await.expect("it is noted");
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(found(store, 1).await, None);
    // Nor is it forgotten where it is looked for the next time.
    store.touch(&[(id(2), idle_ended.plus(2))]).await.expect("it is noted");
    assert_eq!(store.prune(now).await, Ok(0));
    let last_seen = found(store, 2).await.map(|found| found.last_seen);
    assert_eq!(last_seen, Some(idle_ended.plus(2)));
    assert_eq!(store.delete(id(2)).await, Ok(true));
    assert_eq!(store.prune(now).await, Ok(0));
}

async fn session_that_ended_long_ago_is_dropped(store: &dyn SessionStore) {
    let now = clock::now();
    let ended = session("ada", now.plus(-MARGIN_S - LIFETIME_S));
    create(store, 1, &StoredSession { last_seen: now, ..ended }).await;
    create(store, 2, &session("ada", now)).await;
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(store.prune(now).await, Ok(0));
    assert_eq!(found(store, 1).await, None);
    assert_eq!(listed(store, "ada", now).await, [id(2)]);
}

async fn pruning_goes_on_until_nothing_is_left(store: &dyn SessionStore) {
    let now = clock::now();
    let spent = now.plus(-MARGIN_S - IDLE_S);
    let count = 2001;
    let creating = (0..count).map(|number| async move {
        create(store, number, &session(&(number / 50).to_string(), spent)).await;
    });
    at_once(creating).await;
    assert_eq!(store.prune(now).await, Ok(count));
    assert_eq!(store.prune(now).await, Ok(0));
    assert_eq!(found(store, 0).await, None);
}

/// Does all of it at once.
async fn at_once(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn time_that_never_comes_is_a_time(store: &dyn SessionStore) {
    let now = clock::now();
    let mut eternal = session("ada", now);
    eternal.record.ends = UnixTime::NEVER;
    eternal.record.idle_s = i64::MAX;
    create(store, 1, &eternal).await;
    assert_eq!(found(store, 1).await, Some(eternal));
    assert_eq!(listed(store, "ada", now.plus(1_000_000_000)).await, [id(1)]);
    assert_eq!(store.prune(now.plus(i64::MAX - 1)).await, Ok(0));
}
