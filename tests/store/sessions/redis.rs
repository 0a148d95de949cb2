//! The sessions in Redis: what is in the keys, and what others do with them.

use super::*;
use crate::harness::redis::{Cluster, Data, RedisOptions, RedisServer, Sentinels};

const SESSIONS: &str = "portcullis:{revocations}:sessions";
const DUE: &str = "portcullis:{revocations}:due";

/// The key of a record.
pub(super) fn key(number: u64) -> String {
    format!("portcullis:{{revocations}}:session:{}", id(number))
}

/// All keys there are.
fn keys(server: &RedisServer) -> Vec<String> {
    let keys = server.cli(&["keys", "*"]);
    let mut keys: Vec<_> =
        keys.lines().filter(|key| !key.is_empty()).map(ToOwned::to_owned).collect();
    keys.sort();
    keys
}

/// The key of the only subject there is.
fn subject_key(server: &RedisServer) -> String {
    let of_subjects = |key: &String| key.starts_with("portcullis:{revocations}:subject:");
    let mut keys: Vec<_> = keys(server).into_iter().filter(of_subjects).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.remove(0)
}

pub(in crate::store) fn expires(server: &RedisServer, key: &str) -> i64 {
    server.cli(&["expiretime", key]).trim().parse().expect("a number")
}

/// Puts a text in the place of a record.
fn put(server: &RedisServer, number: u64, text: &str) {
    assert_eq!(server.cli(&["set", &key(number), text]).trim(), "OK");
}

#[tokio::test]
async fn record_expires_an_hour_after_the_session_ends() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    assert_eq!(expires(&server, &key(1)), now.plus(LIFETIME_S + MARGIN_S).as_seconds());
    // Using it changes nothing there.
    store.touch(&[(id(1), now.plus(9))]).await.expect("it is noted");
    assert_eq!(expires(&server, &key(1)), now.plus(LIFETIME_S + MARGIN_S).as_seconds());
}

#[tokio::test]
async fn sessions_of_a_subject_expire_with_the_one_that_ends_last() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let until = |ends: i64| {
        let mut session = session("ada", now);
        session.record.ends = now.plus(ends);
        session
    };
    for (number, ends, last) in [(1, 5000, 5000), (2, 9000, 9000), (3, 7000, 9000)] {
        create(&store, number, &until(ends)).await;
        let expires = expires(&server, &subject_key(&server));
        assert_eq!(expires, now.plus(last + MARGIN_S).as_seconds(), "{number}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_sessions_that_are_gone() {
    let server = RedisServer::start();
    server.cli(&["flushall"]);
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    assert_eq!(store.delete(id(1)).await, Ok(true));
    // Another gateway may not know yet.
    store.touch(&[(id(1), now.plus(1))]).await.expect("it is passed over");
    assert_eq!(keys(&server), [""; 0]);
    create(&store, 2, &session("ada", now.plus(-MARGIN_S - IDLE_S))).await;
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(keys(&server), [""; 0]);
    // One whose record went before its time.
    create(&store, 3, &session("ada", now.plus(-MARGIN_S - IDLE_S))).await;
    server.cli(&["del", &key(3)]);
    assert_eq!(store.prune(now).await, Ok(1));
    assert_eq!(keys(&server), [""; 0]);
}

#[tokio::test]
async fn deletion_by_hand_ends_a_session_and_is_mended_in_the_list() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    create(&store, 2, &session("ada", now)).await;
    server.cli(&["del", &key(1)]);
    assert_eq!(found(&store, 1).await, None);
    assert_eq!(store.delete(id(1)).await, Ok(false));
    assert_eq!(listed(&store, "ada", now).await, [id(2)]);
    let counts = [SESSIONS, DUE, &subject_key(&server)].map(|set| server.cli(&["zcard", set]));
    assert_eq!(counts.each_ref().map(|count| count.trim()), ["1", "1", "1"]);
}

#[tokio::test]
async fn sessions_that_are_gone_make_room() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let max = SESSIONS_PER_SUBJECT_MAX as u64;
    for number in 1..=max {
        create(&store, number, &session("ada", now.plus(number as i64))).await;
    }
    server.cli(&["del", &key(70)]);
    create(&store, max + 1, &session("ada", now.plus(1000))).await;
    assert!(found(&store, 1).await.is_some());
}

#[tokio::test]
async fn session_whose_last_use_was_deleted_was_last_used_at_its_login() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let created = now.plus(-MARGIN_S - IDLE_S);
    create(&store, 1, &session("ada", created.plus(1))).await;
    create(&store, 2, &session("ada", created)).await;
    store.touch(&[(id(1), now), (id(2), now)]).await.expect("it is noted");
    server.cli(&["del", SESSIONS]);
    assert_eq!(found(&store, 1).await.map(|found| found.last_seen), Some(created.plus(1)));
    // Nobody knows any more that they were among the sessions, so they are not counted.
    assert_eq!(store.prune(now).await, Ok(0));
    assert!(found(&store, 1).await.is_some());
    assert_eq!(found(&store, 2).await, None);
}

#[tokio::test]
async fn gateway_whose_clock_is_ahead_drops_nothing_that_is_live() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    assert_eq!(store.prune(now.plus(10 * LIFETIME_S)).await, Ok(0));
    assert!(found(&store, 1).await.is_some());
}

#[tokio::test]
async fn gateway_whose_clock_is_behind_drops_nothing_that_is_live_for_it() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now.plus(-MARGIN_S - IDLE_S))).await;
    assert_eq!(store.prune(now.plus(-1)).await, Ok(0));
    assert_eq!(store.prune(now).await, Ok(1));
}

#[tokio::test]
async fn session_that_was_given_up_is_not_begun_when_the_server_comes_to_it() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    clock::share(clock::micros() / 1000, clock::steady());
    server.pause();
    let given_up = store.create(id(2), &session("ada", now), None).await;
    assert!(matches!(given_up, Err(StoreError::Unavailable(_))), "{given_up:?}");
    server.resume();
    // On the same connection, so it is answered after what was sent before.
    assert!(found(&store, 1).await.is_some());
    assert_eq!(found(&store, 2).await, None);
    // Whoever asks again in time is served, also for what is there already.
    for _ in 0..2 {
        create(&store, 2, &session("ada", now)).await;
        assert!(found(&store, 2).await.is_some());
    }
}

#[tokio::test]
async fn session_of_a_later_version_is_left_alone() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    let spent = session("ada", now.plus(-MARGIN_S - IDLE_S));
    create(&store, 1, &spent).await;
    create(&store, 2, &session("ada", now)).await;
    for later in [r#"{"version":2,"who":"ada"}"#, "not even JSON"] {
        put(&server, 1, later);
        let error = store.find(id(1)).await.expect_err("it cannot be read");
        assert!(matches!(error, StoreError::Unreadable(_)), "{error}");
        assert_eq!(listed(&store, "ada", now).await, [id(2)]);
        create(&store, 1, &spent).await;
        server.cli(&["zadd", DUE, "1", &server.cli(&["zrange", DUE, "0", "0"])]);
        assert_eq!(store.prune(now).await, Ok(0));
        assert_eq!(store.prune(now).await, Ok(0));
        assert_eq!(server.cli(&["get", &key(1)]).trim(), later);
    }
    // Whoever says that it is to go need not be able to read it.
    assert_eq!(store.delete(id(1)).await, Ok(true));
    assert_eq!(found(&store, 1).await, None);
    assert_eq!(listed(&store, "ada", now).await, [id(2)]);
}

#[tokio::test]
async fn record_without_what_came_later_is_read() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    put(&server, 1, r#"{"version":1,"subject":"ada","issuer":"i","created":7}"#);
    let found = found(&store, 1).await.expect("it is there");
    assert_eq!((&*found.record.subject, found.record.roles.len()), ("ada", 0));
    assert_eq!(found.last_seen, UnixTime::from_seconds(7));
}

#[tokio::test]
async fn keys_of_another_program_are_unreadable() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    server.cli(&["rpush", &key(1), "x"]);
    server.cli(&["set", SESSIONS, "x"]);
    let now = clock::now();
    let unreadable = |error: StoreError| matches!(error, StoreError::Unreadable(_));
    assert!(store.find(id(1)).await.is_err_and(unreadable));
    assert!(store.find(id(2)).await.is_err_and(unreadable));
    assert!(store.touch(&[(id(2), now)]).await.is_err_and(unreadable));
    assert!(store.create(id(2), &session("ada", now), None).await.is_err_and(unreadable));
}

#[tokio::test]
async fn full_server_refuses_new_sessions_and_tells_of_old_ones() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    let refused = store.create(id(2), &session("ada", now), None).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(found(&store, 1).await, Some(session("ada", now)));
    assert_eq!(store.delete(id(1)).await, Ok(true), "nobody has to stay logged in");
}

#[tokio::test]
async fn acknowledged_sessions_survive_a_killed_server() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let store = in_redis(&server);
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    create(&store, 2, &session("ada", now)).await;
    store.touch(&[(id(2), now.plus(4))]).await.expect("it is noted");
    assert_eq!(store.delete(id(1)).await, Ok(true));
    server.restart(Data::Kept);
    let used = StoredSession { last_seen: now.plus(4), ..session("ada", now) };
    assert_eq!((found(&store, 1).await, found(&store, 2).await), (None, Some(used)));
    assert_eq!(listed(&store, "ada", now).await, [id(2)]);
}

#[tokio::test]
async fn killed_connections_cost_nothing() {
    let server = RedisServer::start();
    let store = in_redis(&server);
    let now = clock::now();
    for number in 1..10 {
        server.cli(&["client", "kill", "type", "normal"]);
        create(&store, number, &session("ada", now)).await;
        server.cli(&["client", "kill", "type", "normal"]);
        assert!(found(&store, number).await.is_some());
    }
}

#[tokio::test]
async fn everything_is_on_one_node_of_a_cluster() {
    let cluster = Cluster::start();
    let now = clock::now();
    for (number, node) in (1..).zip(cluster.nodes()) {
        let store = Redis::open(&cluster.settings(&[node])).expect("settings that can work");
        create(&store, number, &session("ada", now.plus(number as i64))).await;
        store.touch(&[(id(number), now.plus(9))]).await.expect("it is noted");
        assert_eq!(found(&store, number).await.map(|found| found.last_seen), Some(now.plus(9)));
    }
    let store = Redis::open(&cluster.settings(&[&cluster.nodes()[0]])).expect("settings");
    assert_eq!(listed(&store, "ada", now).await, [id(3), id(2), id(1)]);
    let home = cluster.home_of(SESSIONS);
    assert_eq!([cluster.home_of(DUE), cluster.home_of(&key(1))], [home, home]);
    create(&store, 4, &session("bob", now.plus(-MARGIN_S - IDLE_S))).await;
    assert_eq!(store.prune(now).await, Ok(1));
    // Displaced by a script that makes the names of keys itself.
    for number in 4..=SESSIONS_PER_SUBJECT_MAX as u64 {
        create(&store, number, &session("ada", now.plus(number as i64))).await;
    }
    let displaced = store.create(id(1000), &session("ada", now.plus(1000)), None).await;
    assert_eq!(displaced, Ok(vec![Displaced { id: id(1), created: now.plus(1), end: None }]));
    assert_eq!(store.delete(id(2)).await, Ok(true));
}

#[tokio::test]
async fn sessions_outlive_a_fail_over() {
    let mut sentinels = Sentinels::start();
    let store = Redis::open(&sentinels.settings()).expect("settings that can work");
    let now = clock::now();
    create(&store, 1, &session("ada", now)).await;
    assert_eq!(sentinels.master().cli(&["wait", "1", "20000"]).trim(), "1");
    sentinels.fail_over();
    let begun = std::time::Instant::now();
    loop {
        match store.create(id(2), &session("ada", now.plus(1)), None).await {
            Ok(displaced) => break assert_eq!(displaced, []),
            Err(error) => assert!(begun.elapsed() < crate::harness::PATIENCE, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(listed(&store, "ada", now).await, [id(2), id(1)]);
}
