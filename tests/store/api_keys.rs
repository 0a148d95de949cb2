//! API keys among the sessions.

use portcullis::clock;
use portcullis::gate::session::{
    ApiKeyDetails, SessionId, SessionKind, SessionRecord, StoredSession,
};
use portcullis::gate::time::UnixTime;
use portcullis::store::session::{API_KEYS_MAX, Displaced, SESSIONS_PER_SUBJECT_MAX, SessionStore};

use super::sessions::{create, found, id, in_file, in_redis, listed, place, session};
use crate::harness::redis::RedisServer;

/// How long API keys live.
const LIFETIME_S: i64 = 400_000;

/// How long a session is kept after it could last be used.
const MARGIN_S: i64 = 3600;

/// An API key for a subject, made at `created`, and not used since.
fn api_key(subject: &str, created: UnixTime) -> StoredSession {
    let StoredSession { record, last_seen } = session(subject, created);
    let record = SessionRecord {
        kind: SessionKind::ApiKey(ApiKeyDetails { label: "nightly".into() }),
        method: "api_key".into(),
        ends: created.plus(LIFETIME_S),
        idle_s: LIFETIME_S,
        ..record
    };
    StoredSession { record, last_seen }
}

/// The API keys that can be used.
async fn keys(store: &dyn SessionStore, now: UnixTime) -> Vec<SessionId> {
    let keys = store.api_keys(now).await.expect("it answers");
    keys.into_iter().map(|(id, _)| id).collect()
}

of_both_stores! {
    api_keys_are_listed_apart_from_logins_the_latest_first
    api_keys_and_logins_never_displace_each_other
    as_many_api_keys_are_listed_as_there_may_be
    deleted_api_key_is_gone_from_the_list
    api_key_does_not_rest_and_is_dropped_an_hour_after_it_ends
}

async fn api_keys_are_listed_apart_from_logins_the_latest_first(store: &dyn SessionStore) {
    let now = clock::now();
    assert_eq!(store.api_keys(now).await, Ok(Vec::new()));
    let (first, second) = (api_key("ada", now.plus(-9)), api_key("bob", now.plus(-5)));
    create(store, 1, &first).await;
    create(store, 2, &session("ada", now)).await;
    create(store, 3, &second).await;
    store.touch(&[(id(1), now)]).await.expect("it is noted");
    let used = StoredSession { last_seen: now, ..first };
    let both = vec![(id(3), second), (id(1), used.clone())];
    assert_eq!(store.api_keys(now).await, Ok(both));
    assert_eq!(found(store, 1).await, Some(used));
    assert_eq!(listed(store, "ada", now).await, [id(2)]);
    assert_eq!(listed(store, "bob", now).await, []);
    for (after, ids) in [
        (LIFETIME_S - 10, vec![id(3), id(1)]),
        (LIFETIME_S - 9, vec![id(3)]),
        (LIFETIME_S - 6, vec![id(3)]),
        (LIFETIME_S - 5, vec![]),
    ] {
        assert_eq!(keys(store, now.plus(after)).await, ids, "{after}");
    }
}

async fn api_keys_and_logins_never_displace_each_other(store: &dyn SessionStore) {
    let now = clock::now();
    let max = SESSIONS_PER_SUBJECT_MAX as u64;
    let at = |number: u64| now.plus(number as i64 - 1000);
    for number in 1..=max + 20 {
        create(store, number, &api_key("ada", at(number))).await;
    }
    for number in 1001..=1000 + max {
        create(store, number, &session("ada", at(number - 1000))).await;
    }
    create(store, 500, &api_key("ada", at(500))).await;
    assert_eq!(keys(store, now).await.len(), SESSIONS_PER_SUBJECT_MAX + 21);
    let displaced = store.create(id(2000), &session("ada", now), None).await;
    assert_eq!(displaced, Ok(vec![Displaced { id: id(1001), created: at(1), end: None }]));
    assert_eq!(keys(store, now).await.len(), SESSIONS_PER_SUBJECT_MAX + 21);
    assert_eq!(listed(store, "ada", now).await.len(), SESSIONS_PER_SUBJECT_MAX);
}

async fn as_many_api_keys_are_listed_as_there_may_be(store: &dyn SessionStore) {
    let now = clock::now();
    // And one more, made while another was.
    let count = API_KEYS_MAX as u64 + 1;
    for number in 1..=count {
        create(store, number, &api_key("ada", now.plus(number as i64 - 5000))).await;
    }
    let all: Vec<_> = (1..=count).rev().map(id).collect();
    assert_eq!(keys(store, now).await, all);
}

async fn deleted_api_key_is_gone_from_the_list(store: &dyn SessionStore) {
    let now = clock::now();
    create(store, 1, &api_key("ada", now)).await;
    create(store, 2, &api_key("ada", now)).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(store.delete(id(1)).await, Ok(false));
    assert_eq!(found(store, 1).await, None);
    assert_eq!(keys(store, now).await, [id(2)]);
}

async fn api_key_does_not_rest_and_is_dropped_an_hour_after_it_ends(store: &dyn SessionStore) {
    let now = clock::now();
    let mut eternal = api_key("ada", now.plus(-LIFETIME_S - MARGIN_S));
    eternal.record.idle_s = i64::MAX;
    let later = api_key("ada", now.plus(-LIFETIME_S - MARGIN_S + 60));
    // Its use makes it no older than it may get.
    let used = StoredSession { last_seen: now, ..eternal.clone() };
    let lives = api_key("ada", now.plus(1 - LIFETIME_S));
    for (number, key) in [(1, &eternal), (2, &later), (3, &used), (4, &lives)] {
        create(store, number, key).await;
    }
    assert_eq!(keys(store, now).await, [id(4)]);
    // One that went by itself is not counted twice: whoever lists may notice first.
    let dropped = store.prune(now).await.expect("it prunes");
    assert!((1..=2).contains(&dropped), "{dropped}");
    assert_eq!((found(store, 1).await, found(store, 3).await), (None, None));
    assert!(found(store, 2).await.is_some() && found(store, 4).await.is_some());
}

#[tokio::test]
async fn nothing_is_left_in_redis_of_api_keys_that_are_gone() {
    let server = RedisServer::start();
    server.cli(&["flushall"]);
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &api_key("ada", now)).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(server.cli(&["dbsize"]).trim(), "0");
    create(&store, 2, &api_key("ada", now.plus(-LIFETIME_S - MARGIN_S))).await;
    store.prune(now).await.expect("it prunes");
    assert_eq!(server.cli(&["dbsize"]).trim(), "0");
}

#[tokio::test]
async fn deletion_by_hand_ends_an_api_key_and_is_mended_in_the_list() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &api_key("ada", now)).await;
    create(&store, 2, &api_key("bob", now)).await;
    server.cli(&["del", &format!("portcullis:{{revocations}}:session:{}", id(1))]);
    assert_eq!(keys(&store, now).await, [id(2)]);
    assert_eq!(found(&store, 1).await, None);
}

#[tokio::test]
async fn api_keys_survive_reopening() {
    let (_directory, path) = place();
    let store = in_file(&path);
    let now = clock::now();
    create(&store, 1, &api_key("ada", now)).await;
    create(&store, 2, &api_key("ada", now)).await;
    assert_eq!(store.delete(id(2)).await, Ok(true));
    drop(store);
    let store = in_file(&path);
    assert_eq!(store.api_keys(now).await, Ok(vec![(id(1), api_key("ada", now))]));
}
