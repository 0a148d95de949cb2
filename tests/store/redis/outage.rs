//! Connections that break and servers that do not answer.

use std::time::{Duration, Instant};

use portcullis::store::{AppendError, Fleet, Position, RevocationLog, StoreError, Tail};

use super::open;
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::store::{IMPATIENCE, append, bounds, read, record, snapshot};

/// How long at most a call may take at a server that does not answer: a second for a connection
/// that breaks, another to connect, and what a busy machine needs.
const BOUND: Duration = Duration::from_secs(4);

/// The error of a call that ended in time.
async fn unavailable<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> String {
    let begun = Instant::now();
    let error = call.await.expect_err("nobody answers");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    match error {
        StoreError::Unavailable(text) => text,
        StoreError::Refused(_) => panic!("refused"),
        StoreError::Unreadable(text) => panic!("it is not even there: {text}"),
    }
}

async fn appended(log: &dyn RevocationLog) -> Result<Position, StoreError> {
    log.append(&record("a"), bounds()).await.map_err(|error| match error {
        AppendError::Store(error) => error,
        AppendError::Full | AppendError::Lifted => panic!("there is room"),
    })
}

#[tokio::test]
async fn killed_connections_cost_the_tail_one_call_and_the_commands_none() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.cli(&["client", "kill", "type", "normal"]);
    let appended = append(&log, &["b"]).await;
    let _ = log.tail(position, IMPATIENCE).await;
    assert_eq!(read(&log, position).await.0, appended);
}

#[tokio::test]
async fn killed_tail_that_waits_ends_at_once() {
    let server = RedisServer::start();
    let log = std::sync::Arc::new(open(&server));
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.tail(Position::default(), Duration::from_secs(60)).await }
    });
    while server.blocked_readers() == 0 {
        tokio::task::yield_now().await;
    }
    server.cli(&["client", "kill", "type", "normal"]);
    let ended = tokio::time::timeout(BOUND, waiting).await.expect("it ends in time");
    let error = ended.expect("it ends").expect_err("the connection was killed");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn paused_server_is_unavailable_in_time_and_found_again() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.pause();
    // On the connections that there are, then on new ones.
    for _ in 0..2 {
        unavailable(appended(&log)).await;
        unavailable(log.tail(position, IMPATIENCE)).await;
        unavailable(log.list(0, 1, bounds().now)).await;
        unavailable(log.prune(bounds().now)).await;
        unavailable(log.roster()).await;
        unavailable(snapshot(&log)).await;
    }
    server.resume();
    // What was sent meanwhile may have been done, and so may come first.
    append(&log, &["b"]).await;
    let (records, _) = read(&log, position).await;
    assert!(!records.is_empty());
}

#[tokio::test]
async fn appends_at_once_at_a_paused_server_do_not_wait_for_each_other() {
    let server = RedisServer::start();
    let log = std::sync::Arc::new(open(&server));
    server.pause();
    let begun = Instant::now();
    let mut appending = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let log = log.clone();
        appending.spawn(async move { appended(&*log).await });
    }
    while let Some(appended) = appending.join_next().await {
        appended.expect("it ends").expect_err("nobody answers");
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    server.resume();
}

#[tokio::test]
async fn server_that_is_gone_is_named_and_found_when_it_is_back() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let log = open(&server);
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    server.kill();
    for _ in 0..2 {
        let text = unavailable(appended(&log)).await;
        assert!(text.contains(&server.address().to_string()), "{text}");
        unavailable(log.tail(position, IMPATIENCE)).await;
    }
    server.restart(Data::Kept);
    let appended = append(&log, &["b"]).await;
    assert_eq!(read(&log, position).await.0, appended);
}

#[tokio::test]
async fn store_may_be_opened_before_its_server_is_there() {
    let mut server = RedisServer::start();
    server.kill();
    let log = open(&server);
    unavailable(snapshot(&log)).await;
    server.restart(Data::Lost);
    snapshot(&log).await.expect("a snapshot");
}

#[tokio::test]
async fn replica_is_not_written_to() {
    let master = RedisServer::start();
    let replica_of = Some(master.port());
    let replica = RedisServer::start_with(RedisOptions { replica_of, ..RedisOptions::default() });
    let text = unavailable(appended(&open(&replica))).await;
    assert!(text.contains("replica"), "{text}");
}

#[tokio::test]
async fn tail_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    let server = RedisServer::start();
    let log = open(&server);
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    let tail = log.tail(position, Duration::from_secs(60));
    tokio::time::timeout(IMPATIENCE, tail).await.expect_err("nothing comes");
    let appended = append(&log, &["b"]).await;
    assert_eq!(read(&log, position).await.0, appended);
    assert_eq!(server.blocked_readers(), 0);
}

#[tokio::test]
async fn two_tails_at_once_do_not_wait_for_each_other() {
    let server = RedisServer::start();
    let log = open(&server);
    let appended = append(&log, &["a"]).await;
    let (_, end) = read(&log, Position::default()).await;
    let (waits, reads) = tokio::join!(
        log.tail(end, Duration::from_millis(300)),
        log.tail(Position::default(), Duration::from_secs(60)),
    );
    assert_eq!(waits, Ok(Tail::Records(Vec::new(), end)));
    assert_eq!(reads, Ok(Tail::Records(appended, end)));
}
