//! Redis with sentinels.

use std::time::{Duration, Instant};

use portcullis::store::{Fleet, Loss, Position, RevocationLog, StoreError, Tail};

use super::open_with;
use crate::harness::PATIENCE as HARNESS_PATIENCE;
use crate::harness::redis::{RedisOptions, RedisServer, Sentinels};
use crate::store::{IMPATIENCE, append, bounds, gateway_state, loss, read, record, snapshot};

/// Asks until there is an answer.
async fn until_answered<T, A>(mut ask: impl FnMut() -> A) -> T
where
    A: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < HARNESS_PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the replica has what the master has.
fn await_replica(master: &RedisServer) {
    assert_eq!(master.cli(&["wait", "1", "20000"]).trim(), "1");
}

#[tokio::test]
async fn fail_over_is_followed_and_nothing_is_lost() {
    let mut sentinels = Sentinels::start();
    let log = open_with(&sentinels.settings());
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    await_replica(sentinels.master());
    sentinels.fail_over();
    let record = record("b");
    until_answered(async || match log.append(&record, bounds()).await {
        Ok(position) => Ok(position),
        Err(portcullis::store::AppendError::Store(error)) => Err(error),
        Err(error) => panic!("there is room: {error}"),
    })
    .await;
    let tail = until_answered(|| log.tail(position, IMPATIENCE)).await;
    let Tail::Records(records, _) = tail else { panic!("{tail:?}") };
    assert_eq!(records, [record]);
}

#[tokio::test]
async fn master_that_dies_is_replaced() {
    let mut sentinels = Sentinels::start();
    let log = open_with(&sentinels.settings());
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    await_replica(sentinels.master());
    let port = sentinels.master().port();
    sentinels.master().kill();
    sentinels.await_another_than(port);
    let tail = until_answered(|| log.tail(position, IMPATIENCE)).await;
    assert_eq!(tail, Tail::Records(Vec::new(), position));
    append(&log, &["b"]).await;
}

#[tokio::test]
async fn master_that_does_not_know_that_it_was_deposed_is_left() {
    let sentinels = Sentinels::start();
    let log = open_with(&sentinels.settings());
    append(&log, &["a"]).await;
    let (_, position) = read(&log, Position::default()).await;
    let usurper = RedisServer::start();
    sentinels.name(&usurper);
    // The old one answers as ever.
    let tail = log.tail(position, IMPATIENCE).await.expect("it answers");
    assert_eq!(tail, Tail::Records(Vec::new(), position));
    until_answered(async || {
        log.announce(&gateway_state()).await?;
        match log.tail(position, IMPATIENCE).await? {
            Tail::Lost(Loss::WentBackwards) => Ok(()),
            other @ (Tail::Records(..) | Tail::Lost(_)) => {
                Err(StoreError::Unavailable(format!("not yet: {other:?}")))
            }
        }
    })
    .await;
    append(&log, &["b"]).await;
    assert_eq!(usurper.cli(&["xlen", super::LOG]).trim(), "1");
    assert_eq!(loss(&log, position).await, Loss::WentBackwards);
}

#[tokio::test]
async fn servers_with_a_password_are_found_through_sentinels_without_one() {
    let password = Some("s3cret".to_owned());
    let sentinels = Sentinels::start_with(&RedisOptions { password, ..RedisOptions::default() });
    let log = open_with(&sentinels.settings());
    append(&log, &["a"]).await;
    snapshot(&log).await.expect("a snapshot");
}

#[tokio::test]
async fn name_that_no_sentinel_knows_is_told() {
    use portcullis::store::settings::{RedisServers, RedisSettings};
    let sentinels = Sentinels::start();
    let settings = sentinels.settings();
    let RedisServers::Sentinel { nodes, .. } = settings.servers else { panic!("not sentinels") };
    let servers = RedisServers::Sentinel { master: "another".into(), nodes };
    let log = open_with(&RedisSettings { servers, ..settings });
    let text = snapshot(&log).await.expect_err("nobody knows it").to_string();
    assert!(text.contains("`another`"), "{text}");
}
