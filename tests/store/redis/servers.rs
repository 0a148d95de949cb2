//! One address with two servers behind it: all connections of a store lead to the same one, and one
//! that cannot is of no use.

use std::time::{Duration, Instant};

use portcullis::store::redis::Redis;
use portcullis::store::session::{SessionNotice, SessionStore};
use portcullis::store::settings::{RedisServers, RedisSettings};
use portcullis::store::{Position, RevocationLog, StoreError, Tail};

use super::{LOG, open, open_with};
use crate::harness::PATIENCE as HARNESS_PATIENCE;
use crate::harness::eventually;
use crate::harness::redis::{RedisOptions, RedisServer};
use crate::harness::switch::{Link, Switch, cut};
use crate::store::{IMPATIENCE, append, read, sessions, snapshot};

/// A master with a replica, and a store at an address that leads to the master.
struct MasterAndReplica {
    old: RedisServer,
    new: RedisServer,
    switch: Switch,
    store: Redis,
}

impl MasterAndReplica {
    /// `is_hidden`: whether users may not ask for the identity of a server.
    async fn start(is_hidden: bool) -> (Self, Position) {
        let old = RedisServer::start();
        let replica_of = Some(old.port());
        let new = RedisServer::start_with(RedisOptions { replica_of, ..RedisOptions::default() });
        if is_hidden {
            for server in [&old, &new] {
                server.cli(&["acl", "setuser", "default", "-info"]);
            }
        }
        let switch = Switch::to(&old);
        let servers = RedisServers::Single(switch.address());
        let store = open_with(&RedisSettings { servers, ..old.settings() });
        append(&store, &["a"]).await;
        let (_, position) = read(&store, Position::default()).await;
        let pair = Self { old, new, switch, store };
        pair.await_replica("1");
        (pair, position)
    }

    /// Waits until the replica's log has so many records.
    fn await_replica(&self, records: &str) {
        eventually("a replica that has it", || {
            (self.new.cli(&["xlen", LOG]).trim() == records).then_some(())
        });
    }

    /// Makes the replica a master and moves the address there; the link for commands is cut.
    fn fail_over(&self) {
        assert_eq!(self.new.cli(&["replicaof", "no", "one"]).trim(), "OK");
        self.switch.move_to(&self.new);
        assert_ne!(cut(&self.old, Link::Commands), 0);
    }
}

/// What a read fails with, and what it reads afterwards.
async fn read_after_a_fault(log: &Redis, position: Position) -> (String, Vec<String>) {
    let fault = match log.tail(position, IMPATIENCE).await {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("it is not to be believed: {other:?}"),
    };
    let begun = Instant::now();
    loop {
        match log.tail(position, IMPATIENCE).await {
            Ok(Tail::Records(records, _)) => {
                return (fault, sessions(&records).into_iter().map(str::to_owned).collect());
            }
            Ok(Tail::Lost(loss)) => panic!("nothing was lost: {loss:?}"),
            Err(error) => assert!(begun.elapsed() < HARNESS_PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The link for commands told which server it found: the reader goes there before it reads.
#[tokio::test]
async fn reader_follows_the_link_for_commands() {
    let (pair, position) = MasterAndReplica::start(false).await;
    pair.fail_over();
    let appended = append(&pair.store, &["b"]).await;
    assert_eq!(pair.new.cli(&["xlen", LOG]).trim(), "2");
    assert_eq!(read(&pair.store, position).await.0, appended);
}

#[tokio::test]
async fn reader_behind_the_head_that_the_link_for_commands_knows_is_not_believed() {
    let (pair, position) = MasterAndReplica::start(true).await;
    pair.fail_over();
    append(&pair.store, &["b"]).await;
    assert_eq!(pair.new.cli(&["xlen", LOG]).trim(), "2");
    let (fault, read) = read_after_a_fault(&pair.store, position).await;
    assert!(fault.contains("ends before the one that is written"), "{fault}");
    assert_eq!(read, ["b"]);
}

/// Its log is as long, and another one.
#[tokio::test]
async fn reader_whose_log_has_another_record_at_the_head_is_not_believed() {
    let (pair, position) = MasterAndReplica::start(true).await;
    pair.fail_over();
    append(&open(&pair.old), &["x"]).await;
    append(&pair.store, &["b"]).await;
    let (fault, read) = read_after_a_fault(&pair.store, position).await;
    assert!(fault.contains("is not the one that is written"), "{fault}");
    assert_eq!(read, ["b"]);
}

#[tokio::test]
async fn log_that_only_others_trimmed_is_the_same_log() {
    let (pair, position) = MasterAndReplica::start(true).await;
    append(&pair.store, &["b"]).await;
    pair.old.cli(&["xtrim", LOG, "maxlen", "0"]);
    let tail = pair.store.tail(position, IMPATIENCE).await.expect("it answers");
    assert!(matches!(tail, Tail::Lost(portcullis::store::Loss::Trimmed)), "{tail:?}");
    let (_, position) = snapshot(&pair.store).await.expect("a snapshot");
    let tail = pair.store.tail(position, IMPATIENCE).await.expect("it answers");
    assert_eq!(tail, Tail::Records(Vec::new(), position));
}

#[tokio::test]
async fn listener_at_another_server_than_the_link_for_commands_ends() {
    for is_hidden in [false, true] {
        let (pair, _) = MasterAndReplica::start(is_hidden).await;
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut hear = |told: SessionNotice| drop(sender.send(told));
        let moving = async {
            while told.recv().await.expect("it listens") != SessionNotice::Begun {}
            pair.fail_over();
            append(&pair.store, &["b"]).await;
            std::future::pending().await
        };
        let error = tokio::select! {
            error = pair.store.listen(&mut hear) => error,
            () = moving => unreachable!(),
            () = tokio::time::sleep(HARNESS_PATIENCE) => panic!("it goes on"),
        };
        assert!(error.to_string().contains("another server"), "{error}");
        drop(pair);
    }
}

#[tokio::test]
async fn replica_is_not_read_either() {
    let (pair, _) = MasterAndReplica::start(false).await;
    let error = snapshot(&open(&pair.new)).await.expect_err("it may be behind");
    assert!(error.to_string().contains("it is a replica"), "{error}");
}

/// Connections to one server stay, however often a new one is made.
#[tokio::test]
async fn links_to_the_same_server_leave_each_other_alone() {
    let (pair, mut position) = MasterAndReplica::start(false).await;
    for number in 0..20 {
        let before = pair.store.era();
        snapshot(&pair.store).await.expect("a snapshot");
        assert_eq!(pair.store.era(), before);
        append(&pair.store, &[&number.to_string()]).await;
        let (records, next) = read(&pair.store, position).await;
        assert_eq!(sessions(&records), [number.to_string()]);
        position = next;
    }
}
