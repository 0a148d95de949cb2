//! Appending, following, snapshots, lists and what is dropped.

use std::sync::Arc;

use portcullis::clock;
use portcullis::gate::revocation::Scope;
use portcullis::gate::time::UnixTime;
use portcullis::store::{AppendBounds, AppendError, Position, RevocationLog, StoreError, Tail};

use super::{LIVE, LOG, open};
use crate::harness::redis::RedisServer;
use crate::store::{
    IMPATIENCE, PATIENCE, append, bounds, read, record, record_until, sessions, snapshot,
};

/// A margin for clocks that are apart, in seconds; the store's own is not public.
const MARGIN_S: i64 = 3600;

#[tokio::test]
async fn what_is_appended_is_read_in_order_and_whole() {
    let server = RedisServer::start();
    let log = open(&server);
    let appended = append(&log, &["a", "b", "c"]).await;
    let (records, position) = read(&log, Position::default()).await;
    assert_eq!(records, appended);
    assert_eq!(position, Position { sequence: 3, mark: Some(appended[2].mark) });
}

#[tokio::test]
async fn append_says_where_the_record_is() {
    let server = RedisServer::start();
    let log = open(&server);
    for sequence in 1..=3 {
        let record = record("a");
        let position = log.append(&record, bounds()).await.expect("it is appended");
        assert_eq!(position, Position { sequence, mark: Some(record.mark) });
    }
}

#[tokio::test]
async fn scopes_and_times_of_every_kind_survive() {
    let server = RedisServer::start();
    let log = open(&server);
    let mut appended = Vec::new();
    for scope in [
        Scope::Token { issuer: "i".into(), id: "\u{0}\"\\".into() },
        Scope::Session("ümläut".into()),
        Scope::Subject { issuer: None, subject: String::new().into() },
        Scope::Client("c".into()),
        Scope::Key { issuer: Some("i".into()), id: "k".into() },
        Scope::Issuer("i".into()),
        Scope::Everything,
    ] {
        let mut record = record_until("", UnixTime::NEVER);
        record.entry.scope = scope;
        record.entry.cut_off = UnixTime::NEVER;
        log.append(&record, bounds()).await.expect("it is appended");
        appended.push(record);
    }
    let (read, _) = read(&log, Position::default()).await;
    assert_eq!(read, appended);
    let (mut taken, _) = snapshot(&log).await.expect("a snapshot");
    taken.sort_by_key(|record| appended.iter().position(|one| one == record));
    assert_eq!(taken, appended);
}

#[tokio::test]
async fn tail_that_waits_is_woken_by_an_append_of_another_gateway() {
    let server = RedisServer::start();
    let (log, other) = (Arc::new(open(&server)), open(&server));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { read(&*log, Position::default()).await }
    });
    while server.blocked_readers() == 0 {
        tokio::task::yield_now().await;
    }
    let appended = append(&other, &["a"]).await;
    assert_eq!(waiting.await.expect("it ends").0, appended);
}

#[tokio::test]
async fn tail_without_news_stays_where_it_is() {
    let server = RedisServer::start();
    let log = open(&server);
    let (_, position) = snapshot(&log).await.expect("a snapshot");
    assert_eq!(position, Position::default());
    let tail = log.tail(position, IMPATIENCE).await.expect("it answers");
    assert_eq!(tail, Tail::Records(Vec::new(), position));
}

#[tokio::test]
async fn snapshot_holds_what_is_live_and_the_log_goes_on_from_it() {
    let server = RedisServer::start();
    let log = open(&server);
    let mut before = append(&log, &["a", "b"]).await;
    let (mut taken, position) = snapshot(&log).await.expect("a snapshot");
    taken.sort_by_key(|record| record.mark);
    before.sort_by_key(|record| record.mark);
    assert_eq!(taken, before);
    assert_eq!(position.sequence, 2);
    let after = append(&log, &["c"]).await;
    assert_eq!(read(&log, position).await.0, after);
}

#[tokio::test]
async fn snapshot_of_many_pages_is_whole() {
    let server = RedisServer::start();
    let log = open(&server);
    let script = "for i = 1, 20000 do redis.call('ZADD', KEYS[1], i, \
        '{\"kind\":\"revocation\",\"scope\":\"session\",\"id\":\"' .. i .. '\"}') end";
    server.cli(&["eval", script, "1", LIVE]);
    let mut pieces = 0;
    let mut taken = Vec::new();
    let mut take = |records| {
        pieces += 1;
        taken.extend(records);
    };
    log.snapshot(&mut take).await.expect("a snapshot");
    assert!(pieces > 2, "{pieces}");
    let mut found = sessions(&taken);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 20000);
}

#[tokio::test]
async fn snapshot_is_whole_although_records_come_and_go_meanwhile() {
    let server = RedisServer::start();
    let log = open(&server);
    let add = "for i = ARGV[1], ARGV[2] do redis.call('ZADD', KEYS[1], i, \
        '{\"kind\":\"revocation\",\"scope\":\"session\",\"id\":\"' .. i .. '\"}') end";
    server.cli(&["eval", add, "1", LIVE, "10000", "29999"]);
    let mut pieces = 0;
    let mut taken = Vec::new();
    let mut take = |records: Vec<_>| {
        pieces += 1;
        taken.extend(records);
        // What comes shifts the rest up, by less than a page and by more; what goes, down.
        match pieces {
            2 => drop(server.cli(&["eval", add, "1", LIVE, "1000", "1009"])),
            4 => drop(server.cli(&["zremrangebyrank", LIVE, "0", "499"])),
            6 => drop(server.cli(&["eval", add, "1", LIVE, "1", "5000"])),
            8 => drop(server.cli(&["zremrangebyrank", LIVE, "0", "17000"])),
            _ => {}
        }
    };
    log.snapshot(&mut take).await.expect("a snapshot");
    assert!(pieces > 8, "{pieces}");
    let found = sessions(&taken).into_iter().map(|session| session.parse().expect("a number"));
    let found: std::collections::BTreeSet<u64> = found.collect();
    assert_eq!(found.range(10000..).count(), 20000);
}

#[tokio::test]
async fn list_is_in_the_order_of_expiry_by_pages_and_without_what_is_spent() {
    let server = RedisServer::start();
    let log = open(&server);
    let now = clock::now();
    for (session, expires) in
        [("never", UnixTime::NEVER), ("late", now.plus(200)), ("spent", now), ("soon", now.plus(1))]
    {
        log.append(&record_until(session, expires), bounds()).await.expect("it is appended");
    }
    let all = log.list(0, 10, now).await.expect("a list");
    assert_eq!((all.total, sessions(&all.records)), (3, vec!["soon", "late", "never"]));
    let page = log.list(1, 1, now).await.expect("a list");
    assert_eq!((page.total, sessions(&page.records)), (3, vec!["late"]));
    let beyond = log.list(3, u64::MAX, now).await.expect("a list");
    assert_eq!((beyond.total, beyond.records.len()), (3, 0));
}

#[tokio::test]
async fn prune_drops_what_has_been_spent_for_the_margin() {
    let server = RedisServer::start();
    let log = open(&server);
    let now = clock::now();
    for (session, expires) in [
        ("spent", now.plus(-MARGIN_S)),
        ("kept", now.plus(1 - MARGIN_S)),
        ("ever", UnixTime::NEVER),
    ] {
        // Long ago, so that appending does not make room by itself.
        let bounds = AppendBounds { now: now.plus(-2 * MARGIN_S), ..bounds() };
        log.append(&record_until(session, expires), bounds).await.expect("it is appended");
    }
    assert_eq!(log.prune(now).await, Ok(1));
    assert_eq!(log.prune(now).await, Ok(0));
    let (taken, _) = snapshot(&log).await.expect("a snapshot");
    let mut left = sessions(&taken);
    left.sort_unstable();
    assert_eq!(left, ["ever", "kept"]);
}

#[tokio::test]
async fn prune_drops_however_many_there_are() {
    let server = RedisServer::start();
    let log = open(&server);
    let script = "for i = 1, 12345 do redis.call('ZADD', KEYS[1], i, i) end";
    server.cli(&["eval", script, "1", LIVE]);
    assert_eq!(log.prune(clock::now()).await, Ok(12345));
}

#[tokio::test]
async fn full_list_refuses_the_next_record() {
    let server = RedisServer::start();
    let log = open(&server);
    let bounds = AppendBounds { entries_max: 2, ..bounds() };
    log.append(&record("a"), bounds).await.expect("room for one");
    log.append(&record("b"), bounds).await.expect("room for two");
    assert_eq!(log.append(&record("c"), bounds).await, Err(AppendError::Full));
    let (records, position) = read(&log, Position::default()).await;
    assert_eq!((sessions(&records), position.sequence), (vec!["a", "b"], 2));
}

#[tokio::test]
async fn full_list_makes_room_by_dropping_what_is_spent() {
    let server = RedisServer::start();
    let log = open(&server);
    let bounds = AppendBounds { entries_max: 1, ..bounds() };
    let spent = record_until("a", bounds.now.plus(-MARGIN_S));
    log.append(&spent, bounds).await.expect("room");
    log.append(&record("b"), bounds).await.expect("room for another");
    assert_eq!(log.append(&record("c"), bounds).await, Err(AppendError::Full));
}

#[tokio::test]
async fn appends_at_once_get_numbers_without_gaps() {
    let server = RedisServer::start();
    let log = Arc::new(open(&server));
    let mut appending = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let log = log.clone();
        appending.spawn(async move { log.append(&record("a"), bounds()).await });
    }
    let mut numbers: Vec<u64> = Vec::new();
    while let Some(appended) = appending.join_next().await {
        numbers.push(appended.expect("it ends").expect("it is appended").sequence);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn prefixes_keep_stores_apart() {
    let server = RedisServer::start();
    let log = open(&server);
    let settings = super::RedisSettings { prefix: "staging".into(), ..server.settings() };
    let other = super::open_with(&settings);
    append(&log, &["a"]).await;
    append(&other, &["b"]).await;
    assert_eq!(sessions(&read(&log, Position::default()).await.0), ["a"]);
    assert_eq!(sessions(&read(&other, Position::default()).await.0), ["b"]);
    assert_eq!(server.cli(&["type", "staging:{revocations}:log"]).trim(), "stream");
}

#[tokio::test]
async fn databases_keep_stores_apart() {
    let server = RedisServer::start();
    server.cli(&["flushall"]);
    let log = super::open_with(&super::RedisSettings { database: 3, ..server.settings() });
    append(&log, &["a"]).await;
    assert_eq!(server.cli(&["dbsize"]).trim(), "0");
    assert_eq!(server.cli(&["-n", "3", "dbsize"]).trim(), "2");
}

#[tokio::test]
async fn what_a_newer_gateway_wrote_is_passed_over() {
    let server = RedisServer::start();
    let log = open(&server);
    server.cli(&["xadd", LOG, "1-0", "record", r#"{"kind":"invalidate","id":"x"}"#]);
    let (records, position) = read(&log, Position::default()).await;
    assert_eq!((records.len(), position), (0, Position { sequence: 1, mark: None }));
    let appended = append(&log, &["a"]).await;
    assert_eq!(read(&log, position).await.0, appended);
    let (_, again) = snapshot(&log).await.expect("a snapshot");
    assert_eq!(again.sequence, 2);
}

#[tokio::test]
async fn record_that_cannot_be_read_is_an_error_after_what_came_before_it() {
    let server = RedisServer::start();
    let log = open(&server);
    let appended = append(&log, &["a"]).await;
    server.cli(&["xadd", LOG, "2-0", "record", r#"{"kind":"revocation","scope":"planet"}"#]);
    let (records, position) = read(&log, Position::default()).await;
    assert_eq!(records, appended);
    let error = log.tail(position, PATIENCE).await.expect_err("it cannot be read");
    assert!(matches!(&error, StoreError::Unreadable(text) if text.contains("planet")), "{error}");
}

#[tokio::test]
async fn keys_of_another_program_are_an_error() {
    let server = RedisServer::start();
    let log = open(&server);
    server.cli(&["set", LOG, "something else"]);
    let error = log.append(&record("a"), bounds()).await.expect_err("it is not a stream");
    assert!(matches!(error, AppendError::Store(_)), "{error}");
    log.tail(Position::default(), IMPATIENCE).await.expect_err("it is not a stream");
}
