//! Logs that are not what they were.

use std::sync::Arc;

use portcullis::store::{Loss, Position, RevocationLog, Tail};

use super::{LOG, open};
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::store::{IMPATIENCE, PATIENCE, append, bounds, loss, read, record, sessions, snapshot};

#[tokio::test]
async fn trimmed_log_is_told_apart_from_an_empty_one() {
    let server = RedisServer::start();
    let log = open(&server);
    let empty = log.tail(Position::default(), IMPATIENCE).await.expect("it answers");
    assert_eq!(empty, Tail::Records(Vec::new(), Position::default()));
    append(&log, &["a", "b", "c"]).await;
    server.cli(&["xtrim", LOG, "maxlen", "=", "1"]);
    assert_eq!(loss(&log, Position::default()).await, Loss::Trimmed);
    assert_eq!(loss(&open(&server), Position::default()).await, Loss::Trimmed);
}

#[tokio::test]
async fn log_trimmed_past_the_position_is_lost() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    append(&log, &["b", "c"]).await;
    server.cli(&["xtrim", LOG, "minid", "=", "3-0"]);
    assert_eq!(loss(&log, position).await, Loss::Trimmed);
    assert_eq!(loss(&open(&server), position).await, Loss::Trimmed);
}

#[tokio::test]
async fn log_trimmed_to_nothing_counts_on_and_a_snapshot_finds_back_to_it() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a", "b"]).await;
    server.cli(&["xtrim", LOG, "maxlen", "=", "0"]);
    let (taken, position) = snapshot(&log).await.expect("a snapshot");
    assert_eq!((taken.len(), position), (2, Position { sequence: 2, mark: None }));
    let tail = log.tail(position, IMPATIENCE).await.expect("it answers");
    assert_eq!(tail, Tail::Records(Vec::new(), position));
    let appended = append(&log, &["c"]).await;
    let (records, position) = read(&log, position).await;
    assert_eq!((records, position.sequence), (appended, 3));
}

#[tokio::test]
async fn server_that_lost_its_data_went_backwards() {
    let mut server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a", "b"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.restart(Data::Lost);
    assert_eq!(loss(&open(&server), position).await, Loss::WentBackwards);
}

#[tokio::test]
async fn server_that_lost_its_data_is_found_out_when_it_has_more_than_before() {
    let mut server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a", "b"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.restart(Data::Lost);
    append(&open(&server), &["c", "d", "e"]).await;
    assert_eq!(loss(&open(&server), position).await, Loss::WentBackwards);
}

#[tokio::test]
async fn server_that_kept_its_data_goes_on() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let log = open(&server);
    append(&log, &["a", "b"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.restart(Data::Kept);
    let appended = append(&open(&server), &["c"]).await;
    assert_eq!(read(&open(&server), position).await.0, appended);
    let (taken, _) = snapshot(&open(&server)).await.expect("a snapshot");
    assert_eq!(taken.len(), 3);
}

#[tokio::test]
async fn log_that_is_deleted_on_an_open_connection_is_noticed_although_nothing_comes() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a", "b"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.cli(&["flushall"]);
    assert_eq!(loss(&log, position).await, Loss::WentBackwards);
}

#[tokio::test]
async fn log_that_is_replaced_while_a_tail_waits_is_noticed() {
    let server = RedisServer::start();
    let log = Arc::new(open(&server));
    append(&*log, &["a", "b"]).await;
    let (_, position) = read(&*log, Position::default()).await;
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.tail(position, PATIENCE).await }
    });
    while server.blocked_readers() == 0 {
        tokio::task::yield_now().await;
    }
    server.cli(&["flushall"]);
    append(&open(&server), &["c", "d", "e"]).await;
    let tail = waiting.await.expect("it ends").expect("it answers");
    assert_eq!(tail, Tail::Lost(Loss::WentBackwards));
}

#[tokio::test]
async fn log_that_is_too_long_is_trimmed_and_the_snapshot_is_not() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a"]).await;
    let script = "for i = 2, 110000 do redis.call('XADD', KEYS[1], i .. '-0', 'record', '{}') end";
    server.cli(&["eval", script, "1", LOG]);
    log.append(&record("b"), bounds()).await.expect("it is appended");
    let length: u64 = server.cli(&["xlen", LOG]).trim().parse().expect("a number");
    assert!((100_000..101_000).contains(&length), "{length}");
    assert_eq!(loss(&log, Position::default()).await, Loss::Trimmed);
    let (taken, position) = snapshot(&log).await.expect("a snapshot");
    assert_eq!(position.sequence, 110_001);
    let mut taken = sessions(&taken);
    taken.sort_unstable();
    assert_eq!(taken, ["a", "b"]);
}
